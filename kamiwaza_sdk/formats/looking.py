"""Looks into the files of one model: each content once, whatever its names, and all within one budget."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kamiwaza_sdk.formats.content import name_kind
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.inspection import ReadRange, inspect_ranges, inspect_within
from kamiwaza_sdk.formats.layouts.describe import FileRole, header_role
from kamiwaza_sdk.formats.parameters import MOST_COMPARISONS, ParameterCount, count_parameters
from kamiwaza_sdk.formats.schemas import (
    FormatSchema,
    GGUFSchema,
    ONNXSchema,
    OtherFileSchema,
    SafetensorsSchema,
    TensorTable,
)
from kamiwaza_sdk.formats.source import Budget

if TYPE_CHECKING:
    from kamiwaza_sdk.formats.parameters import Quantization


_Check: TypeAlias = Callable[[FormatSchema], None]
#: What tells what a GGUF file is a part of, or is for.
_KEPT = ("split.count", "general.type")


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What is kept of a file that was looked into.

    Attributes:
        schema: What it says, without what grows with it: its tensors, its metadata, its inputs and outputs.
        role: Whether it is a model or what goes with one; `None` where it does not say.
        count: What its tensors come to; `None` where it does not say.
    """

    schema: FormatSchema
    role: FileRole | None = None
    count: ParameterCount | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of files that have its weights, relative to its directory."""
        return (self.schema.external_files or ()) if isinstance(self.schema, ONNXSchema) else ()

    @property
    def outside(self) -> str | None:
        """Which of its weights are not in its directory; `None` where none is."""
        outside = (self.schema.outside_files or ()) if isinstance(self.schema, ONNXSchema) else ()
        return f"it has weights outside of its directory, in {outside[0][:80]!a}" if outside else None


class Looking:
    """Remembers what was found in a content under a kind of name. Not for several threads at once.

    All files share one budget.

    Attributes:
        quantization: How the model's weights are quantized, to be told before any of them is looked into.
    """

    def __init__(self) -> None:
        self._budget = Budget()
        self.quantization: Quantization | None = None
        self._comparisons = MOST_COMPARISONS
        self._found = dict[tuple[Hashable, str], FileSummary | FormatException]()

    def look(self, path: Path, *, name: str, check: _Check | None = None) -> FileSummary:
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

    async def look_there(self, read_range: ReadRange, *, path: str, size: int) -> FileSummary:
        """Return the summary of what a file elsewhere says, by ranges; what was found is not remembered.

        Raises:
            FormatException: Whatever `inspect_remote` raises.
            Exception: Whatever `read_range` raises.
        """
        schema = await inspect_ranges(read_range, path=path, size=size, budget=self._budget)
        return await asyncio.to_thread(self.summarize, schema)

    def _looked(self, path: Path, name: str, check: _Check | None) -> FileSummary | FormatException:
        try:
            schema = inspect_within(path, name=name, budget=self._budget)
        except FormatException as error:
            return error.with_traceback(None)  # which holds all that was read
        if check is not None:
            check(schema)
        return self.summarize(schema)

    def summarize(self, schema: FormatSchema) -> FileSummary:
        """Return what is kept of all that a file says."""
        role = header_role(schema)
        if isinstance(schema, SafetensorsSchema):
            count = self._count(schema)
            return FileSummary(schema.model_copy(update={"tensors": TensorTable({}), "metadata": {}}), role, count)
        if isinstance(schema, GGUFSchema):
            kept = {key: schema.metadata[key] for key in _KEPT if key in schema.metadata}
            count = ParameterCount(schema.parameters, schema.parameters_by_dtype)
            return FileSummary(schema.model_copy(update={"tensors": TensorTable({}), "metadata": kept}), role, count)
        if isinstance(schema, ONNXSchema):
            none = dict.fromkeys(("tensors", "inputs", "outputs"))
            brief = schema.model_copy(update={**none, "metadata": {}, "opsets": {}, "cut_metadata": ()})
            return FileSummary(brief, role, _count_of_graph(schema))
        return FileSummary(schema, role)

    def _count(self, schema: SafetensorsSchema) -> ParameterCount:
        patterns = 0 if self.quantization is None else self.quantization.pattern_count
        counted = count_parameters(
            schema.tensors.stored(), self.quantization, most_comparisons=max(0, self._comparisons)
        )
        self._comparisons -= patterns * len(schema.tensors)
        return counted


def is_weights(schema: FormatSchema) -> bool:
    """Return whether files of the format that a file has are weights."""
    return not isinstance(schema, OtherFileSchema) or schema.is_weights


def _count_of_graph(schema: ONNXSchema) -> ParameterCount | None:
    if schema.parameters is None:
        return None
    return ParameterCount(schema.parameters, schema.unpacked_by_dtype or {}, schema.packing_problem)
