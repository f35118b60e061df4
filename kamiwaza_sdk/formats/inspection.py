"""Inspects one file, local or remote, and caches the results for the files of one model."""

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
from kamiwaza_sdk.formats.content import reading_key, what_is_instead
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
from kamiwaza_sdk.formats.source import ByteSource, InspectionBudget, Reading, Span

if TYPE_CHECKING:
    from kamiwaza_sdk.formats.parameters import Quantization


FileFormat: TypeAlias = Literal["safetensors", "gguf", "onnx", "pickle"]
_T = TypeVar("_T")
ReadRange: TypeAlias = Callable[[int, int], Awaitable[bytes]]

#: More than the header of the largest safetensors file has.
_LOCAL_BYTES: Final = 512 * 1024**2
#: More than the largest archives have members.
_LOCAL_REQUESTS: Final = 1_000_000
_REMOTE_BYTES: Final = 32 * 1024**2
_REMOTE_REQUESTS: Final = 64


def detect_format(head: bytes, *, path: str = "") -> FileFormat | None:
    r"""Return the format of a file by its first bytes; of formats without a magic number, by its name.

    The bytes count more than the name: a pickle that is called ``model.safetensors`` is a pickle.

    Args:
        head: The first bytes: up to 64 KiB help to recognise ONNX, which has no magic number; 32 suffice for others.
        path: The name, whose ending helps.

    Returns:
        The format; `None` of any whose content `inspect_file` does not read.

    Example:
        >>> detect_format(b"GGUF\x03\x00\x00\x00"), detect_format(b"\x80\x04K\x01.", path="model.safetensors")
        ('gguf', 'pickle')
    """
    return detect(head, path)


def inspect_file(path: str | os.PathLike[str], *, name: str | None = None) -> FormatSchema:
    """Return the description of a local file. It reads only headers, and executes nothing.

    It blocks while it reads, well under a second: in asyncio, call it in a thread.

    Args:
        path: A file of weights, or any file beside them.
        name: The name of the file, for messages and for its ending. Default: `path`; give the name where the path is
            another, as in a store that names files by their digests.

    Returns:
        `SafetensorsSchema`, `GGUFSchema`, `ONNXSchema` or `PickleSchema`, whose content is read; or `OtherFileSchema`,
        of which little or nothing is read: its ``format`` names the format.

    Raises:
        MalformedFileException: The file violates its format.
        NotTheModelException: The file has other content than a model: a pointer, a web page, an error, a text.
        FormatLimitException: To read the file takes more than is allowed.
        UnknownFormatException: The format is not known.
        OSError: It cannot be opened or read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("empty.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        >>> inspect_file("empty.safetensors").parameters
        0
    """
    return inspect_within(path, name=name, budget=InspectionBudget())


def inspect_within(path: str | os.PathLike[str], *, name: str | None = None, budget: InspectionBudget) -> FormatSchema:
    """Do the same as `inspect_file`, within the budget that the files of one model share."""
    # To open a pipe blocks until there is a writer; with O_NONBLOCK it is an empty file.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode):  # the error of a read would not name it
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
    """Return the description of a remote file, from ranges of it.

    A safetensors file takes at most two ranges: its first 64 KiB, and the rest of its header. Files of other formats
    take at most 64.

    Args:
        read_range: Returns the bytes of a range, which its arguments name: the offset, and the length. The range is
            always inside the file.
        path: The name of the file, for messages and for its ending.
        size: Of the file, in bytes.
        byte_budget: The most bytes to read in all. Beyond it an ONNX file is described as far as it was read
            (``complete`` is `False`), and any other is refused.

    Returns:
        The same as `inspect_file`, except that fewer members of a zip archive are scanned.

    Raises:
        MalformedFileException: The file violates its format, or `read_range` returned another number of bytes.
        NotTheModelException: The file has other content than a model: a pointer, a web page, an error, a text.
        FormatLimitException: To read the file takes more than is allowed.
        UnknownFormatException: The format is not known.
        Exception: Whatever `read_range` raises.

    Example:
        >>> async def read_range(offset: int, length: int) -> bytes:
        ...     return ((2).to_bytes(8, "little") + b"{}")[offset : offset + length]
        >>> asyncio.run(inspect_remote(read_range, path="empty.safetensors", size=10)).parameters
        0
    """
    return await inspect_ranges(read_range, path=path, size=size, byte_budget=byte_budget, budget=InspectionBudget())


async def inspect_ranges(
    read_range: ReadRange, *, path: str, size: int, byte_budget: int = _REMOTE_BYTES, budget: InspectionBudget
) -> FormatSchema:
    """Do the same as `inspect_remote`, within the budget that the files of one model share.

    It parses in a thread, for a hostile file can take a second.
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
    wanted = await asyncio.to_thread(_advance, reading, None)
    while isinstance(wanted, Span):
        data = _whole(await read_range(*wanted), wanted, source)
        wanted = await asyncio.to_thread(_advance, reading, data)
    return wanted


def _drive(reading: Reading[FormatSchema], file: int, source: ByteSource) -> FormatSchema:
    wanted = _advance(reading, None)
    while isinstance(wanted, Span):
        wanted = _advance(reading, _whole(os.pread(file, wanted.length, wanted.offset), wanted, source))
    return wanted


def _advance(reading: Reading[_T], data: bytes | None) -> "Span | _T":
    """Return the next span that a reader asks for, or its result."""
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
    yield from _refuse_other_content(source, head)
    content, named = candidates(head, ""), named_format(source.path)
    if content and (content[0] in {"gguf", "onnx"} or content[0] == named == "safetensors"):
        return (yield from _READERS[content[0]](source))
    try:  # a file that begins like safetensors can be a pickle to loaders that check neither its name nor its header
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
    """Return whether the first bytes of a file prove the format that its name says.

    Args:
        head: The first bytes: `CONTENT_HEAD` of them, or all.
        path: The name of the file.
        size: Of the whole file, in bytes.

    Returns:
        `False` where more bytes are needed to decide.

    Raises:
        NotTheModelException: The file has other content than a model.
        MalformedFileException: The name says safetensors, and the first bytes do not.
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


def _refuse_other_content(source: ByteSource, head: bytes) -> Reading[None]:
    """Raise where a file has other content than its name promises.

    Not where an archive ends a pickle: some programs look there first, so its members are scanned.
    """
    fault = what_is_instead(head, path=source.path, size=source.size)
    if fault is None or (source.format == "pickle" and source.size and (yield from find_members(source))):
        return
    raise NotTheModelException(path=source.path, format=source.format, reason=fault.reason, kind=fault.kind)


_Check: TypeAlias = Callable[[FormatSchema], None]
#: The keys of a GGUF file that decide its role.
_ROLE_KEYS = ("split.count", "general.type")


@dataclass(frozen=True, slots=True)
class FileSummary:
    """The part of a file's description that has a bounded size.

    Attributes:
        schema: The description without tensors, metadata, inputs and outputs.
        role: A model, or which companion of one; `None` where the file does not say.
        count: The parameters of its tensors; `None` where the file does not say.
    """

    schema: FormatSchema
    role: FileRole | None = None
    count: ParameterCount | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of the files that hold its weights, relative to its directory."""
        return (self.schema.external_files or ()) if isinstance(self.schema, ONNXSchema) else ()

    @property
    def outside(self) -> str | None:
        """The problem that weights are outside of its directory; `None` where none are."""
        outside = (self.schema.outside_files or ()) if isinstance(self.schema, ONNXSchema) else ()
        return f"it has weights outside of its directory, in {outside[0][:80]!a}" if outside else None


class InspectionCache:
    """Inspects the files of one model within one budget, each content once per `reading_key`. Not thread-safe.

    Attributes:
        quantization: How the weights of the model are quantized; to be set before the first inspection.
    """

    def __init__(self) -> None:
        self.quantization: Quantization | None = None
        self._budget = InspectionBudget()
        self._comparisons = MOST_COMPARISONS
        self._results = dict[tuple[Hashable, str], FileSummary | FormatException]()

    def inspect(self, path: Path, *, name: str, check: _Check | None = None) -> FileSummary:
        """Return the summary of a local file. Blocks.

        Args:
            path: Of the file.
            name: Its name in the model.
            check: Is called with the whole description, before it is summarized.

        Raises:
            FormatException: As `inspect_file` raises it, again for each name.
            OSError: The file cannot be opened or read.
        """
        status = path.stat()
        key = ((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), reading_key(name))
        result = self._results.get(key)
        if result is None or (check is not None and not isinstance(result, FormatException)):
            result = self._inspect(path, name, check)
            self._results[key] = result
        if isinstance(result, FormatException):
            raise result.renamed(name) from result
        return result

    async def inspect_remote(self, read_range: ReadRange, *, path: str, size: int) -> FileSummary:
        """Return the summary of a remote file, from ranges of it; the result is not cached.

        Raises:
            FormatException: As `inspect_remote` raises it.
            Exception: Any that `read_range` raises.
        """
        schema = await inspect_ranges(read_range, path=path, size=size, budget=self._budget)
        return await asyncio.to_thread(self.summarize, schema)

    def _inspect(self, path: Path, name: str, check: _Check | None) -> FileSummary | FormatException:
        try:
            schema = inspect_within(path, name=name, budget=self._budget)
        except FormatException as error:
            return error.with_traceback(None)  # it refers to all that was read
        if check is not None:
            check(schema)
        return self.summarize(schema)

    def summarize(self, schema: FormatSchema) -> FileSummary:
        """Return the summary of a description."""
        dropped: dict[str, object] = {}
        count = None
        if isinstance(schema, SafetensorsSchema):
            dropped, count = {"tensors": TensorTable({}), "metadata": {}}, self._count(schema)
        elif isinstance(schema, GGUFSchema):
            keys = {key: schema.metadata[key] for key in _ROLE_KEYS if key in schema.metadata}
            dropped = {"tensors": TensorTable({}), "metadata": keys}
            count = ParameterCount(schema.parameters, schema.parameters_by_dtype)
        elif isinstance(schema, ONNXSchema):
            dropped = {
                "tensors": None,
                "inputs": None,
                "outputs": None,
                "metadata": {},
                "opsets": {},
                "cut_metadata": (),
            }
            if schema.parameters is not None:
                count = ParameterCount(schema.parameters, schema.unpacked_by_dtype or {}, schema.packing_problem)
        return FileSummary(schema.model_copy(update=dropped), header_role(schema), count)

    def _count(self, schema: SafetensorsSchema) -> ParameterCount:
        patterns = 0 if self.quantization is None else self.quantization.pattern_count
        comparisons = max(0, self._comparisons)
        count = count_parameters(schema.tensors.stored(), self.quantization, most_comparisons=comparisons)
        self._comparisons -= patterns * len(schema.tensors)
        return count


def is_weights(schema: FormatSchema) -> bool:
    """Return whether files of this format are weights."""
    return not isinstance(schema, OtherFileSchema) or schema.is_weights
