"""Looks into the files of one model: each content once, whatever its names, and all within one budget."""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeAlias

from kamiwaza_sdk.formats._source import Budget
from kamiwaza_sdk.formats.content import name_kind
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.inspection import FormatSchema, ReadRange, inspect_ranges, inspect_within
from kamiwaza_sdk.formats.schemas import GGUFSchema, ONNXSchema, SafetensorsSchema, TensorTable

__all__ = ["Looking", "summary_of"]

_Check: TypeAlias = Callable[[FormatSchema], None]
#: What tells what a GGUF file is a part of, or is for.
_KEPT = ("split.count", "general.type")


def summary_of(schema: FormatSchema) -> FormatSchema:
    """Return what a file says without what grows with it: its tensors, its metadata, its inputs and outputs."""
    if isinstance(schema, SafetensorsSchema):
        return schema.model_copy(update={"tensors": TensorTable({}), "metadata": {}})
    if isinstance(schema, GGUFSchema):
        kept = {key: schema.metadata[key] for key in _KEPT if key in schema.metadata}
        return schema.model_copy(update={"tensors": TensorTable({}), "metadata": kept})
    if isinstance(schema, ONNXSchema):
        none = dict.fromkeys(("tensors", "inputs", "outputs"))
        return schema.model_copy(update={**none, "metadata": {}, "opsets": {}})
    return schema


class Looking:
    """Remembers what was found in a content under a kind of name. Not for several threads at once.

    All files share one budget.
    """

    def __init__(self) -> None:
        self._budget = Budget()
        self._found = dict[tuple[Hashable, str], FormatSchema | FormatException]()

    def look(self, path: Path, *, name: str, check: _Check | None = None) -> FormatSchema:
        """Return the summary of what a local file says. Blocks.

        Args:
            path: Where it lies.
            name: What it is called.
            check: Is given all that the file says, before most of that is forgotten.

        Raises:
            FormatException: Whatever `inspect_file` raises, again for each name.
            OSError: It cannot be opened or read.
        """
        status = path.stat()
        key = ((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), name_kind(name))
        found = self._found.get(key)
        if found is None or (check is not None and not isinstance(found, FormatException)):
            found = self._looked(path, name, check)
            self._found[key] = found
        if isinstance(found, FormatException):
            raise found.renamed(name) from found
        return found

    async def look_there(self, read_range: ReadRange, *, path: str, size: int) -> FormatSchema:
        """Return the summary of what a file elsewhere says, by ranges; what was found is not remembered.

        Raises:
            FormatException: Whatever `inspect_remote` raises.
            Exception: Whatever `read_range` raises.
        """
        return summary_of(await inspect_ranges(read_range, path=path, size=size, budget=self._budget))

    def _looked(self, path: Path, name: str, check: _Check | None) -> FormatSchema | FormatException:
        try:
            schema = inspect_within(path, name=name, budget=self._budget)
        except FormatException as error:
            return error.with_traceback(None)  # which holds all that was read
        if check is not None:
            check(schema)
        return summary_of(schema)
