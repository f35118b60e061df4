"""Says what a file is, and what it says about itself, wherever it lies.

Looks into the files of one model: each content once, whatever its names, and all within one budget.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from kamiwaza_sdk.formats.containers.archive import find_members
from kamiwaza_sdk.formats.containers.contents import read_contents
from kamiwaza_sdk.formats.content import name_kind, what_is_instead
from kamiwaza_sdk.formats.exceptions import (
    FormatException,
    MalformedFileException,
    NotTheModelException,
    UnknownFormatException,
)
from kamiwaza_sdk.formats.kinds import candidates, detect, kind_of_head, named_format
from kamiwaza_sdk.formats.layouts.describe import FileRole, header_role
from kamiwaza_sdk.formats.parameters import MOST_COMPARISONS, ParameterCount, count_parameters
from kamiwaza_sdk.formats.readers.gguf import read_gguf
from kamiwaza_sdk.formats.readers.onnx import read_onnx
from kamiwaza_sdk.formats.readers.safetensors import read_safetensors
from kamiwaza_sdk.formats.schemas import (
    FormatSchema,
    GGUFSchema,
    ONNXSchema,
    OtherFileSchema,
    SafetensorsSchema,
    TensorTable,
)
from kamiwaza_sdk.formats.source import Budget, ByteSource, Reading, Span

if TYPE_CHECKING:
    from kamiwaza_sdk.formats.parameters import Quantization


FileFormat: TypeAlias = Literal["safetensors", "gguf", "onnx", "pickle"]
_T = TypeVar("_T")
ReadRange: TypeAlias = Callable[[int, int], Awaitable[bytes]]

#: What the header of the largest safetensors file takes, and some.
_LOCAL_BYTES: Final = 512 * 1024**2
#: A file of a hundred thousand members can be looked into at each.
_LOCAL_REQUESTS: Final = 1_000_000
_REMOTE_BYTES: Final = 32 * 1024**2
_REMOTE_REQUESTS: Final = 64


def detect_format(head: bytes, *, path: str = "") -> FileFormat | None:
    r"""Say what a file is by how it begins, and, for formats that begin like nothing in particular, by its name.

    What the bytes say counts more than the name: a pickle that is called ``model.safetensors`` is a pickle.

    Args:
        head: The first bytes: up to 64 KiB help to know ONNX, which has no mark, 32 do for the others.
        path: The name, whose ending helps.

    Returns:
        The format; `None` where it is none whose inside `inspect_file` reads.

    Example:
        >>> detect_format(b"GGUF\x03\x00\x00\x00"), detect_format(b"\x80\x04K\x01.", path="model.safetensors")
        ('gguf', 'pickle')
    """
    return detect(head, path)


def inspect_file(path: str | os.PathLike[str], *, name: str | None = None) -> FormatSchema:
    """Return what a local file says about itself. Only its headers are read, and nothing is executed.

    It reads from the disk for as long as that takes, well under a second: in asyncio, call it in a thread.

    Args:
        path: A file: of weights, or whatever lies beside them.
        name: What it is called, for messages and for what its ending tells. Default: `path`, which tells nothing of
            files that are kept by their digests.

    Returns:
        `SafetensorsSchema`, `GGUFSchema`, `ONNXSchema` or `PickleSchema`, whose inside is read, or `OtherFileSchema`,
        of which little or nothing is: its ``format`` says which.

    Raises:
        MalformedFileException: It is not what its format demands.
        NotTheModelException: It is not a model at all: a Git LFS pointer, a web page, an error, a text.
        FormatLimitException: It asks for more than reading it is allowed to take.
        UnknownFormatException: It is of no kind that is known.
        OSError: It cannot be opened or read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("empty.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        >>> inspect_file("empty.safetensors").parameters
        0
    """
    return inspect_within(path, name=name, budget=Budget())


def inspect_within(path: str | os.PathLike[str], *, name: str | None = None, budget: Budget) -> FormatSchema:
    """Return what `inspect_file` does, within what is left for the files of one model."""
    # A pipe would keep whoever opens it waiting for a writer; opened so, it is an empty file.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode):  # reading it would fail without its name
            raise IsADirectoryError(errno.EISDIR, "Is a directory, which inspect_directory() looks into", path)
        source = ByteSource(
            path=os.fspath(path) if name is None else name,
            size=status.st_size,
            byte_budget=_LOCAL_BYTES,
            request_budget=_LOCAL_REQUESTS,
            remote=False,
            budget=budget,
        )
        return _drive(_inspect(source), file, source)
    finally:
        os.close(file)


async def inspect_remote(
    read_range: ReadRange, *, path: str, size: int, byte_budget: int = _REMOTE_BYTES
) -> FormatSchema:
    """Return what a file that lies elsewhere says about itself, by reading ranges of it.

    A safetensors file takes two ranges at most: its first 64 KiB, and the rest of its header. Of the other formats, up
    to 64 ranges are read.

    Args:
        read_range: Returns the bytes at an offset, as many as asked for: both are its arguments, in this order, and
            together they never lead outside the file.
        path: The name for messages, whose ending helps to tell the format.
        size: Of the file, in bytes.
        byte_budget: How many bytes may be read in all. Where that does not do, an ONNX file is described as far as it
            was read (``complete`` is `False`), and any other is refused.

    Returns:
        What `inspect_file` returns for the same file, but that fewer members of a zip archive are looked into.

    Raises:
        MalformedFileException: It is not what its format demands, or `read_range` returned another number of bytes.
        NotTheModelException: It is not a model at all: a Git LFS pointer, a web page, an error, a text.
        FormatLimitException: It asks for more than reading it is allowed to take.
        UnknownFormatException: It is of no kind that is known.
        Exception: Whatever `read_range` raises.

    Example:
        >>> async def read_range(offset: int, length: int) -> bytes:
        ...     return ((2).to_bytes(8, "little") + b"{}")[offset : offset + length]
        >>> asyncio.run(inspect_remote(read_range, path="empty.safetensors", size=10)).parameters
        0
    """
    return await inspect_ranges(read_range, path=path, size=size, byte_budget=byte_budget, budget=Budget())


async def inspect_ranges(
    read_range: ReadRange, *, path: str, size: int, byte_budget: int = _REMOTE_BYTES, budget: Budget
) -> FormatSchema:
    """Return what `inspect_remote` does, within what is left for the files of one model.

    What is read is looked at in a thread: of a file that was made to, that takes a second.
    """
    source = ByteSource(
        path=path,
        size=size,
        byte_budget=byte_budget,
        request_budget=_REMOTE_REQUESTS,
        remote=True,
        budget=budget,
    )
    reading = _inspect(source)
    wanted = await asyncio.to_thread(_go_on, reading, None)
    while isinstance(wanted, Span):
        data = _whole(await read_range(*wanted), wanted, source)
        wanted = await asyncio.to_thread(_go_on, reading, data)
    return wanted


def _drive(reading: Reading[FormatSchema], file: int, source: ByteSource) -> FormatSchema:
    wanted = _go_on(reading, None)
    while isinstance(wanted, Span):
        wanted = _go_on(reading, _whole(os.pread(file, wanted.length, wanted.offset), wanted, source))
    return wanted


def _go_on(reading: Reading[_T], data: bytes | None) -> "Span | _T":
    """Return what a reader wants next, or what it came to."""
    try:
        return next(reading) if data is None else reading.send(data)
    except StopIteration as done:
        result: _T = done.value
        return result


def _whole(data: bytes, span: Span, source: ByteSource) -> bytes:
    if len(data) != span.length:
        source.refuse(
            f"{span.length} bytes were asked for, but {len(data)} came; is it still being written?", span.offset
        )
    return data


def _inspect(source: ByteSource) -> Reading[FormatSchema]:
    head = yield from source.begin()
    source.format = detect(head, source.path)
    yield from _refuse_what_is_no_model(source, head)
    content, named = candidates(head, ""), named_format(source.path)
    if content and (content[0] in {"gguf", "onnx"} or content[0] == named == "safetensors"):
        return (yield from _READERS[content[0]](source))
    try:  # what only begins like safetensors can be a pickle to loaders that ask neither its name nor its header
        schema = yield from read_contents(source, head)
    except (UnknownFormatException, MalformedFileException):
        reader = next((kind for kind in (*content, named) if kind in _READERS), None)
        if reader is None:
            raise
        source.format = reader
        return (yield from _READERS[reader](source))
    if isinstance(schema, OtherFileSchema) and named in _READERS:
        source.refuse(f"it is called {named}, and is {schema.format}")
    return schema


_READERS: Final[Mapping[str | None, Callable[[ByteSource], Reading[FormatSchema]]]] = {
    "safetensors": read_safetensors,
    "gguf": read_gguf,
    "onnx": read_onnx,
}


def check_head(head: bytes, *, path: str, size: int) -> bool:
    """Return whether a file that begins like this is what its name says; where it cannot be, raise.

    Where that needs more than the first bytes it is `False`: it may be.

    Args:
        head: Its first bytes: `CONTENT_HEAD` of them, or all.
        path: Its name.
        size: Of the whole file, in bytes.

    Raises:
        NotTheModelException: It is something else than a model.
        MalformedFileException: It is called safetensors, and does not begin as these do.
    """
    named = named_format(path)
    fault = what_is_instead(head, path=path, size=size)
    if fault is not None:
        raise NotTheModelException(path=path, format=named, reason=fault.reason, kind=fault.kind)
    if named == "safetensors" and named not in candidates(head, ""):
        reason = f"its first bytes are {head[:9]!r}, where the length of a header and a brace should be"
        raise MalformedFileException(path=path, format=named, reason=reason)
    kind = kind_of_head(head)
    return named in candidates(head, "") if kind is None else kind.is_weights


def _refuse_what_is_no_model(source: ByteSource, head: bytes) -> Reading[None]:
    """Raise where a file is something else than its name says.

    What is an archive at its end is looked through as one: some programs look there first.
    """
    fault = what_is_instead(head, path=source.path, size=source.size)
    if fault is None or (source.format == "pickle" and source.size and (yield from find_members(source))):
        return
    raise NotTheModelException(path=source.path, format=source.format, reason=fault.reason, kind=fault.kind)


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
