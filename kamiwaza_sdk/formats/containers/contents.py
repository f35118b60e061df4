"""Scans a file and the files inside it, archives and packed streams in each other, for pickles and other code.

The result is the description of any file but those of safetensors, GGUF and ONNX.
"""

import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, NoReturn

from kamiwaza_sdk.formats.containers.archive import Member, as_source, find_members, open_member, part_of
from kamiwaza_sdk.formats.containers.packed import Allowance, Packing, Unpacker, packing_of
from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.kinds import (
    Kind,
    is_pickle_name,
    kind_behind_user_block,
    kind_called,
    kind_of_archive,
    kind_of_head,
    named_format,
    unpacked_name,
)
from kamiwaza_sdk.formats.pickles.scan import (
    BEGINNINGS,
    MAX_NEMO,
    NUMPY,
    ScanResult,
    find_code,
    find_code_of_nemo,
    is_torch_file,
    scan_arrays,
    scan_pickles,
    scan_stream,
)
from kamiwaza_sdk.formats.schemas.files import OtherFileSchema, PickleSchema, PickleVerdict
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

#: The number of archives and packed streams in each other that are scanned.
MAX_DEPTH: Final = 4
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_NEMO_CONFIGURATION: Final = "model_config.yaml"
#: The members with PyTorch's weights, which its loader never takes for pickles.
_STORAGE: Final = re.compile(r"(.*/)?data/\d+")
_TAR_BLOCK: Final = 512
#: The steps that a member of a tar archive costs.
_TAR_STEPS: Final = 50
_LONGEST_TAR_NAME: Final = 65_536
#: The padding at the end of a tar archive is shorter.
_MOST_PADDING: Final = 65_536
_TAR_NAMES: Final = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
_PAX_RECORD: Final = re.compile(rb"\d+ (path|size)=([^\n]*)\n")
_ORDER: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")
_MAX_FINDINGS: Final = 20
_PEEK: Final = 4096
#: The kinds that only say how files are packed, and not what they contain.
_PLAIN: Final = frozenset(
    {"zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "zstandard", "7z", "rar", "npy", "numpy"}
)


def read_contents(source: ByteSource, head: bytes) -> Reading[PickleSchema | OtherFileSchema]:
    """Return the kind of a file, and the imports of the pickles in it; raise if its kind is not known."""
    scanner = ContentScanner(source)
    try:
        form, problem = yield from _scan(scanner, head)
    except FormatLimitException as error:
        form, problem = _form_beyond_limit(scanner, head, error), None
    kind = _kind(head, form, scanner)
    if kind is not None and scanner.names is not None:
        yield from scanner.find_code(kind.name)
    return _schema(source, form, kind, scanner.result, problem)


def _scan(scanner: "ContentScanner", head: bytes) -> Reading[tuple[str | None, str | None]]:
    """Scan a file; return the form in which it can hold pickles, and why it is not a pickle itself, if it is not."""
    problem = None
    packing = packing_of(head)
    outer = packing.name if packing else "tar" if is_tar(head) else None
    if head.startswith(ZIP):
        form: str | None = "zip"
        yield from _scan_zip(scanner)
    elif head.startswith(NUMPY):
        form = "numpy"
        yield from scan_arrays(Cursor(scanner.source, 0, scanner.source.size), scanner.result)
    else:
        form, problem = yield from _scan_pickles(scanner, head, outer)
        if outer is not None:
            yield from _scan_outer(scanner, outer, is_pickle=form is not None)
            form = form or outer
    # Programs that look at the end first may take any file for an archive; but no member of a tar archive at its end.
    if form != "zip" and not scanner.ends_with_padding:
        yield from scanner.scan_archive(required=False)
        form = form or ("zip" if scanner.names is not None else None)
    return form, problem


def _form_beyond_limit(scanner: "ContentScanner", head: bytes, error: FormatLimitException) -> str:
    """Return the form of a file whose scan a limit has broken off, and report that the rest is unknown.

    Raises:
        FormatLimitException: It may be no pickle; or it was safe so far, and alone, or as a local file, it could be
            scanned to its end.
    """
    source, result = scanner.source, scanner.result
    result.add_unfinished()
    form = "zip" if head.startswith(ZIP) else "numpy" if head.startswith(NUMPY) else None
    if not (result.has_pickles or is_pickle_name(source.path) or (form and named_format(source.path) == "pickle")):
        raise error
    if source.curtailed and not result.findings and _worst(one.verdict for one in result.judged_imports()) == "safe":
        raise error
    result.expected = True
    result.findings.insert(0, error.reason)
    result.unread.insert(0, error.reason)
    return form or ("torch" if is_torch_file(source, head) else "pickle")


def _scan_zip(scanner: "ContentScanner") -> Reading[None]:
    """Scan an archive as far as the budget allows; one that should hold pickles has to be scanned to its end."""
    try:
        yield from scanner.scan_archive(required=True)
    except FormatLimitException as error:
        if named_format(scanner.source.path) == "pickle":
            raise
        scanner.result.add_unfinished()
        scanner.result.unread.append(error.reason)


def _scan_pickles(scanner: "ContentScanner", head: bytes, outer: str | None) -> Reading[tuple[str | None, str | None]]:
    """Return the form of pickles, if the file is one of them, and else why it is not."""
    expected = is_pickle_name(scanner.source.path) and outer is None
    if not expected and (not head or head[0] not in BEGINNINGS):
        return None, None
    form, problem = yield from scan_pickles(scanner.source, head, scanner.result)
    if scanner.result.has_pickles:
        return form, problem
    scanner.result.findings.clear()
    return None, problem


def _scan_outer(scanner: "ContentScanner", outer: str, *, is_pickle: bool) -> Reading[None]:
    """Scan a packed stream or a tar archive as far as the budget allows; report if it is a pickle, too."""
    result = scanner.result
    if is_pickle:
        what = f"what {outer} has packed, and can be unpacked before it is loaded"
        what = "a tar archive, and can be loaded as one" if outer == "tar" else what
        result.findings.append(f"it begins as {what}")
    try:
        yield from scanner.scan(Cursor(scanner.source, 0, scanner.source.size), PurePosixPath(scanner.source.path).name)
    except FormatLimitException as error:
        result.add_unfinished()
        result.unread.append(error.reason)
    except MalformedFileException as error:
        if not is_pickle:
            result.unread.append(error.reason)


def _kind(head: bytes, form: str | None, scanner: "ContentScanner") -> Kind | None:
    """Return the kind of a file: by its first bytes, by the names in it, or by how it is packed."""
    if form in {"pickle", "torch"}:
        return None
    kind = kind_of_head(head[:_PEEK] if form else head)
    if kind is not None or form is None:
        return kind or kind_behind_user_block(head)
    if form == "numpy":
        return kind_called("npy")
    inner = kind_called(form) if scanner.names is None else kind_of_archive(scanner.names)
    return kind_called(form) if inner.name == "zip" else inner


def _schema(
    source: ByteSource, form: str | None, kind: Kind | None, result: ScanResult, problem: str | None
) -> PickleSchema | OtherFileSchema:
    plain = kind is None or kind.name in _PLAIN
    is_torn = form == "zip" and bool(result.findings) and named_format(source.path) == "pickle"
    if form is not None and plain and (result.has_pickles or is_torn):
        return _pickle_schema(source, form, result)
    if kind is None or (plain and is_pickle_name(source.path) and not result.unread):
        _refuse(source, kind, problem)
    return _other_schema(source, kind, result)


def _worst(verdicts: Iterable[PickleVerdict]) -> PickleVerdict:
    return max(verdicts, key=_ORDER.index, default="safe")


def _pickle_schema(source: ByteSource, form: str, result: ScanResult) -> PickleSchema:
    source.format = "pickle"
    imports = result.judged_imports()
    return PickleSchema(
        size=source.size,
        container=form,  # type: ignore[arg-type]  # of the forms that hold pickles
        verdict=_worst([one.verdict for one in imports] + ["suspicious"] * bool(result.findings)),
        imports=imports,
        pickles=result.pickles,
        findings=tuple(result.findings[:_MAX_FINDINGS]),
        unread=tuple(result.unread[:_MAX_FINDINGS]),
    )


def _other_schema(source: ByteSource, kind: Kind, result: ScanResult) -> OtherFileSchema:
    source.format = kind.name
    imports = result.judged_imports()
    is_numpy = kind.name in {"numpy", "npy"}
    is_suspicious = bool(result.findings) and (result.has_pickles or is_numpy)
    code = [verdict for verdict, _ in result.code]
    verdict = _worst([one.verdict for one in imports] + ["suspicious"] * is_suspicious + code)
    findings = [what for _, what in sorted(result.code, key=lambda one: -_ORDER.index(one[0]))] + result.findings
    unread = "; ".join(result.unread[:1])
    return OtherFileSchema(
        size=source.size,
        format=kind.name,
        is_weights=kind.is_weights,
        verdict=verdict if verdict != "safe" or (is_numpy and not result.unread) else None,
        reason=findings[0] if verdict != "safe" and findings else unread or kind.reason,
        imports=imports,
        pickles=result.pickles,
        findings=tuple(findings[:_MAX_FINDINGS]),
        unread=tuple(result.unread[:_MAX_FINDINGS]),
    )


def _refuse(source: ByteSource, kind: Kind | None, problem: str | None) -> NoReturn:
    if is_pickle_name(source.path):
        source.format = "pickle"
        empty = "it is empty" if not source.size else "it begins with no instruction of one"
        what = f"it is {kind.name}" if kind else problem or empty
        source.refuse(f"it is called a pickle, and is none: {what}")
    reason = "it is no safetensors, GGUF, ONNX or pickle-based file, and of no other kind that is known"
    raise UnknownFormatException(path=source.path, reason=reason)


class ContentScanner:
    """Scans the contents of a file.

    Attributes:
        result: Of the scan so far.
        names: The members of the outermost archive; `None` where there is no archive.
        ends_with_padding: Whether the file is a tar archive, and nothing follows the last member.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.result: ScanResult = ScanResult()
        self.names: dict[str, Member | None] | None = None
        self.ends_with_padding: bool = False
        self._nemo_configuration: bytes | None = None  # up to a byte more than is read
        self._allowance = Allowance()

    def scan(self, cursor: Cursor, name: str, depth: int = 0) -> Reading[None]:
        """Scan the bytes that follow: an archive, a packed stream, pickles, arrays, or anything else."""
        if _STORAGE.fullmatch(name):
            yield from scan_stream(cursor, self.result, named=False)
            return
        head = yield from cursor.peek(_TAR_BLOCK)
        packing = packing_of(head)
        form = "zip" if head.startswith(ZIP) else packing.name if packing else "tar" if is_tar(head) else None
        if form is None:
            # Packages of Python have texts with this ending, of which each line is a path or an import.
            named = is_pickle_name(name) and not (name.endswith(".pth") and head.startswith(b"import "))
            yield from scan_stream(cursor, self.result, named=named, joblib=depth == 1)
        elif depth >= MAX_DEPTH:
            self._skip(name, depth, f" is {form}, and more than {MAX_DEPTH} deep: not looked into")
        elif packing is not None:
            yield from self._scan_packed(cursor, packing, name, depth)
        elif form == "tar":
            yield from self._scan_tar(cursor, depth)
        else:
            yield from self._scan_inner_zip(cursor, name, depth)

    def _skip(self, name: str, depth: int, reason: str) -> None:
        """Report that a file was not scanned. The outermost one is called "it", for the result serves all its names."""
        self.result.unread.append(("it" if not depth else ascii(PurePosixPath(name).name[:80])) + reason)

    def _scan_packed(self, cursor: Cursor, packing: Packing, name: str, depth: int) -> Reading[None]:
        if packing.start is None:
            self._skip(name, depth, f" is {packing.name}: packed, not looked into")
            return
        try:
            unpacked = Unpacker(cursor, packing.start, self._allowance, cost=packing.cost)
        except ImportError:
            lacking = f"packed, and not looked into, as the package {packing.name} is not installed"
            self._skip(name, depth, f" is {packing.name}: {lacking}")
            return
        yield from self.scan(unpacked, unpacked_name(name), depth + 1)
        if unpacked.torn is not None:
            self._skip(name, depth, f": {unpacked.torn}")

    def _scan_inner_zip(self, cursor: Cursor, name: str, depth: int) -> Reading[None]:
        try:
            source = yield from as_source(cursor, name)
        except FormatLimitException as error:
            self._skip(name, 1, f": {error.reason}")
            return
        members = yield from find_members(source)
        if members is None:
            source.refuse("the archive has no directory; it is not whole")
        self.result.expected |= is_pickle_name(name)
        yield from self._scan_members(source, members, depth + 1)

    def scan_archive(self, *, required: bool) -> Reading[None]:
        """Scan the file as a zip archive, which its end identifies."""
        source, problem = self.source, "the archive has no directory; it is not whole" if required else None
        try:
            members = yield from find_members(source)
        except MalformedFileException as error:
            members, problem = None, error.reason
        if members is None:
            may_be_torch = named_format(source.path) == "pickle"
            if problem is not None and (required or self.result.has_pickles):
                (self.result.findings if may_be_torch or not required else self.result.unread).append(problem)
            return
        if members and min(member.offset for member in members) != 0:
            self.result.findings.append("something stands before the archive's first member")
        self._remember({member.name: member for member in members})
        yield from self._scan_members(source, members, 1)

    def _remember(self, names: Mapping[str, Member | None]) -> None:
        self.names = dict(names) if self.names is None else self.names

    def _scan_members(self, source: ByteSource, members: list[Member], depth: int) -> Reading[None]:
        is_numpy = source.path.lower().endswith(".npz")
        for member in members:
            if member.name.endswith("/") and not member.size:
                continue
            # In an archive of NumPy, members with such names are arrays like all others.
            if source.remote and _STORAGE.fullmatch(member.name) and not is_numpy:
                continue
            try:
                cursor = yield from open_member(source, member, self._allowance)
                yield from self.scan(cursor, member.name, depth)
            except MalformedFileException as error:
                self._report(member.name, error.reason)

    def _report(self, name: str, reason: str) -> None:
        """Report a member that cannot be scanned: it is suspicious if it should be a pickle."""
        if is_pickle_name(name):
            self.result.expected = True
            self.result.findings.append(reason)
        else:
            self._skip(name, 1, f": {reason}")

    def _scan_tar(self, cursor: Cursor, depth: int) -> Reading[None]:
        names, name, size = dict[str, Member | None](), None, None
        while (yield from cursor.more()):
            self.source.step(cursor.offset, _TAR_STEPS)
            block = yield from cursor.take(_TAR_BLOCK)
            if not any(block):
                rest = yield from cursor.peek(_MOST_PADDING)
                self.ends_with_padding = not depth and not any(rest) and len(rest) < _MOST_PADDING
                break
            info = _tar_member(self.source, block, cursor.offset)
            length = info.size if size is None or info.type in _TAR_NAMES else size
            part = part_of(cursor, length)
            end = cursor.offset + length
            if info.type in _TAR_NAMES:
                name, size = _long_name(info, (yield from part.take(min(length, _LONGEST_TAR_NAME))), name, size)
            elif info.type == tarfile.GNUTYPE_SPARSE:
                self._skip(info.name, 1, " has holes: not looked into")
            else:
                names[name or info.name] = None
                yield from self._scan_tar_member(part, name or info.name, depth)
                name, size = None, None
            yield from cursor.skip(end - cursor.offset)
            padding = -length % _TAR_BLOCK
            yield from cursor.skip(min(padding, cursor.end - cursor.offset))
        self._remember(names)

    def _scan_tar_member(self, part: Cursor, name: str, depth: int) -> Reading[None]:
        if part.offset == part.end:
            return
        try:
            if name.removeprefix("./") == _NEMO_CONFIGURATION:  # the last of several counts, as when they are unpacked
                self._nemo_configuration = yield from part.peek(MAX_NEMO + 1)
            yield from self.scan(part, name, depth + 1)
        except MalformedFileException as error:
            self._report(name, error.reason)

    def find_code(self, kind: str) -> Reading[None]:
        """Find code outside of pickles in an archive of that kind."""
        if kind == "nemo":
            find_code_of_nemo(self._nemo_configuration, self.result)
            return
        members = {name: member for name, member in (self.names or {}).items() if member is not None}
        try:
            yield from find_code(self.source, kind, members, self._allowance, self.result)
        except MalformedFileException as error:
            self.result.unread.append(error.reason)


def _tar_member(source: ByteSource, block: bytes, at: int) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        source.refuse(f"the tar archive is damaged: {error}", at)
    if info.size < 0:
        source.refuse("a member of the tar archive has a negative size", at)
    if info.type in {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE}:  # they have no bytes, whatever their size says
        info.size = 0
    return info


def _long_name(info: tarfile.TarInfo, text: bytes, name: str | None, size: int | None) -> tuple[str | None, int | None]:
    """Return the name and the size of the member that follows, as far as this one tells them."""
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return text.rstrip(b"\0").decode(errors="replace"), size
    if info.type == tarfile.XHDTYPE:
        fields = dict(_PAX_RECORD.findall(text))
        digits = fields.get(b"size", b"")
        name = fields[b"path"].decode(errors="replace") if b"path" in fields else name
        size = int(digits) if digits.isdigit() and len(digits) < 20 else size  # noqa: PLR2004 - digits of 64 bits
    return name, size


def is_tar(head: bytes) -> bool:
    """Return whether this begins with the header of a tar archive, by the checksum that the standard library verifies.

    The checksum takes its own bytes for blanks, and the others as signed or unsigned; it is octal, or marked as binary.
    """
    header, field = head[:_TAR_BLOCK], head[148:156]
    if len(header) < _TAR_BLOCK:
        return False
    try:
        if field[0] in {0x80, 0xFF}:
            number = int.from_bytes(field[field[0] == 0x80 :], "big", signed=field[0] == 0xFF)  # noqa: PLR2004
        else:
            number = int(field.partition(b"\0")[0].decode("ascii").strip() or "0", 8)
    except ValueError:
        return False
    others = header[:148] + header[156:]
    unsigned = sum(others) + len(field) * ord(" ")
    return number in {unsigned, unsigned - 256 * sum(byte >= 0x80 for byte in others)}  # noqa: PLR2004
