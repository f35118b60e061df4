"""Looks into files that are in files: archives, packed streams, and both in each other.

Says what a file is by looking into it, and into the files that it holds.
"""

import re
import tarfile
from collections.abc import Mapping
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
    Found,
    find_code,
    find_code_of_nemo,
    is_torch_file,
    look_through_arrays,
    look_through_pickles,
    look_through_stream,
)
from kamiwaza_sdk.formats.schemas.files import OtherFileSchema, PickleSchema, PickleVerdict
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

#: How many archives and packed streams, one in the other, are looked into.
MAX_DEPTH: Final = 4
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
#: What NeMo makes a model of.
_NEMO: Final = "model_config.yaml"
#: PyTorch's weights, which its loader never takes for pickles.
_STORAGE: Final = re.compile(r"(.*/)?data/\d+")
_TAR_BLOCK: Final = 512
#: What a member of a tar archive costs, in steps.
_TAR_STEPS: Final = 50
_LONGEST_TAR_NAME: Final = 65_536
#: What tar fills its archives up with is shorter.
_MOST_PADDING: Final = 65_536


class Look:
    """A look into a file.

    Attributes:
        found: What was found so far.
        names: What the outermost archive holds; `None` where there is none.
        configuration: What NeMo's archives have as that, up to a byte more than is read; `None` where there is none.
        ends_with_padding: Whether it is a tar archive, and nothing follows the last member.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.found = Found()
        self.names: dict[str, Member | None] | None = None
        self.configuration: bytes | None = None
        self.ends_with_padding = False
        self._allowance = Allowance()

    def into(self, cursor: Cursor, name: str, depth: int) -> Reading[None]:
        """Look into what follows: an archive, a packed stream, pickles, arrays, or nothing that is known."""
        if _STORAGE.fullmatch(name):
            yield from look_through_stream(cursor, self.found, named=False)
            return
        head = yield from cursor.peek(_TAR_BLOCK)
        packing = packing_of(head)
        form = "zip" if head.startswith(ZIP) else packing.name if packing else "tar" if is_tar(head) else None
        if form is None:
            # Packages of Python have texts of this name, each line a path or an import.
            named = is_pickle_name(name) and not (name.endswith(".pth") and head.startswith(b"import "))
            yield from look_through_stream(cursor, self.found, named=named, joblib=depth == 1)
        elif depth >= MAX_DEPTH:
            self.found.unread.append(
                f"{_shown(name, depth)} is {form}, and more than {MAX_DEPTH} deep: not looked into"
            )
        elif packing is not None:
            yield from self._into_packed(cursor, packing, name, depth)
        elif form == "tar":
            yield from self._into_tar(cursor, depth)
        else:
            yield from self._into_inner_zip(cursor, name, depth)

    def _into_packed(self, cursor: Cursor, packing: Packing, name: str, depth: int) -> Reading[None]:
        if packing.start is None:
            self.found.unread.append(f"{_shown(name, depth)} is {packing.name}: packed, not looked into")
            return
        try:
            unpacked = Unpacker(cursor, packing.start, self._allowance, cost=packing.cost)
        except ImportError:
            lacking = f"packed, and not looked into, as the package {packing.name} is not installed"
            self.found.unread.append(f"{_shown(name, depth)} is {packing.name}: {lacking}")
            return
        yield from self.into(unpacked, unpacked_name(name), depth + 1)
        if unpacked.torn is not None:
            self.found.unread.append(f"{_shown(name, depth)}: {unpacked.torn}")

    def _into_inner_zip(self, cursor: Cursor, name: str, depth: int) -> Reading[None]:
        try:
            source = yield from as_source(cursor, name)
        except FormatLimitException as error:
            self.found.unread.append(f"{_shown(name)}: {error.reason}")
            return
        members = yield from find_members(source)
        if members is None:
            source.refuse("the archive has no directory; it is not whole")
        self.found.promised |= is_pickle_name(name)
        yield from self.into_members(source, members, depth + 1)

    def into_archive(self, *, required: bool) -> Reading[None]:
        """Look into the file as a zip archive, which is told by its end."""
        source, problem = self.source, "the archive has no directory; it is not whole" if required else None
        try:
            members = yield from find_members(source)
        except MalformedFileException as error:
            members, problem = None, error.reason
        if members is None:
            may_be_torch = named_format(source.path) == "pickle"
            if problem is not None and (required or self.found.has_pickles):
                (self.found.findings if may_be_torch or not required else self.found.unread).append(problem)
            return
        if members and min(member.offset for member in members) != 0:
            self.found.findings.append("something stands before the archive's first member")
        self._remember({member.name: member for member in members})
        yield from self.into_members(source, members, 1)

    def _remember(self, names: Mapping[str, Member | None]) -> None:
        self.names = dict(names) if self.names is None else self.names

    def into_members(self, source: ByteSource, members: list[Member], depth: int) -> Reading[None]:
        """Look into the members of a zip archive."""
        is_numpy = source.path.lower().endswith(".npz")
        for member in members:
            if member.name.endswith("/") and not member.size:
                continue
            # In archives of NumPy's, members with such names are arrays like all others.
            if source.remote and _STORAGE.fullmatch(member.name) and not is_numpy:
                continue
            try:
                cursor = yield from open_member(source, member, self._allowance)
                yield from self.into(cursor, member.name, depth)
            except MalformedFileException as error:
                self._note(member.name, error.reason)

    def _note(self, name: str, reason: str) -> None:
        """Note what could not be looked into: where a pickle should be, that speaks against it."""
        if is_pickle_name(name):
            self.found.promised = True
            self.found.findings.append(reason)
        else:
            self.found.unread.append(f"{_shown(name)}: {reason}")

    def _into_tar(self, cursor: Cursor, depth: int) -> Reading[None]:
        """Look into the members of a tar archive, one after the other."""
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
                self.found.unread.append(f"{_shown(info.name)} has holes: not looked into")
            else:
                names[name or info.name] = None
                yield from self._into_tar_member(part, name or info.name, depth)
                name, size = None, None
            yield from cursor.skip(end - cursor.offset)
            padding = -length % _TAR_BLOCK
            yield from cursor.skip(min(padding, cursor.end - cursor.offset))
        self._remember(names)

    def _into_tar_member(self, part: Cursor, name: str, depth: int) -> Reading[None]:
        if part.offset == part.end:
            return
        try:
            if name.removeprefix("./") == _NEMO:  # of several the last one counts, as it does when they are unpacked
                self.configuration = yield from part.peek(MAX_NEMO + 1)
            yield from self.into(part, name, depth + 1)
        except MalformedFileException as error:
            self._note(name, error.reason)

    def find_code(self, kind: str) -> Reading[None]:
        """Look for code in an archive of that kind that is in no pickle."""
        if kind == "nemo":
            find_code_of_nemo(self.configuration, self.found)
            return
        members = {name: member for name, member in (self.names or {}).items() if member is not None}
        try:
            yield from find_code(self.source, kind, members, self._allowance, self.found)
        except MalformedFileException as error:
            self.found.unread.append(error.reason)


_TAR_NAMES: Final = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
_PAX_RECORD: Final = re.compile(rb"\d+ (path|size)=([^\n]*)\n")


def _tar_member(source: ByteSource, block: bytes, at: int) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        source.refuse(f"the tar archive is damaged: {error}", at)
    if info.size < 0:
        source.refuse("a member of the tar archive has a negative size", at)
    if not info.isreg() and info.type not in _TAR_NAMES:  # links and folders have no bytes, whatever they say
        info.size = 0 if info.type in {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE} else info.size
    return info


def _long_name(info: tarfile.TarInfo, text: bytes, name: str | None, size: int | None) -> tuple[str | None, int | None]:
    """Return the name and the size of the member that follows, as far as they are told here."""
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return text.rstrip(b"\0").decode(errors="replace"), size
    if info.type == tarfile.XHDTYPE:
        told = dict(_PAX_RECORD.findall(text))
        name = told[b"path"].decode(errors="replace") if b"path" in told else name
        size = int(told[b"size"]) if told.get(b"size", b"").isdigit() and len(told[b"size"]) < 20 else size  # noqa: PLR2004 - digits of 64 bits
    return name, size


def is_tar(head: bytes) -> bool:
    """Return whether a tar archive's first header is here, by the checksum that the standard library looks at.

    It counts its own bytes as blanks, and the others as signed or not; it is octal, or binary where it says so.
    """
    header, told = head[:_TAR_BLOCK], head[148:156]
    if len(header) < _TAR_BLOCK:
        return False
    try:
        if told[0] in {0x80, 0xFF}:
            number = int.from_bytes(told[told[0] == 0x80 :], "big", signed=told[0] == 0xFF)  # noqa: PLR2004
        else:
            number = int(told.partition(b"\0")[0].decode("ascii").strip() or "0", 8)
    except ValueError:
        return False
    others = header[:148] + header[156:]
    unsigned = sum(others) + len(told) * ord(" ")
    return number in {unsigned, unsigned - 256 * sum(byte >= 0x80 for byte in others)}  # noqa: PLR2004


def _shown(name: str, depth: int = 1) -> str:
    """Return the name of a file in another one; what is found in that one itself holds for all of its names."""
    return "it" if not depth else ascii(PurePosixPath(name).name[:80])


_ORDER: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")
_MAX_FINDINGS: Final = 20
_PEEK: Final = 4096
#: What says only how files are put together, and not what they are.
_PLAIN: Final = frozenset(
    {"zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "zstandard", "7z", "rar", "npy", "numpy"}
)


def read_contents(source: ByteSource, head: bytes) -> Reading[PickleSchema | OtherFileSchema]:
    """Return what a file is, and what the pickles in it would import, or raise: it is of no kind that is known."""
    look = Look(source)
    try:
        form, tried = yield from _look_everywhere(look, head)
    except FormatLimitException as error:
        form, tried = _beyond_limit(look, head, error), None
    kind = _kind(head, form, look)
    if kind is not None and look.names is not None:
        yield from look.find_code(kind.name)
    return _schema(source, form, kind, look.found, tried)


def _look_everywhere(look: Look, head: bytes) -> Reading[tuple[str | None, str | None]]:
    """Return in what form pickles can be in a file, and why it is no pickle, if it is none."""
    tried = None
    packing = packing_of(head)
    outer = packing.name if packing else "tar" if is_tar(head) else None
    if head.startswith(ZIP):
        form: str | None = "zip"
        yield from _look_into_zip(look)
    elif head.startswith(NUMPY):
        form = "numpy"
        yield from look_through_arrays(Cursor(look.source, 0, look.source.size), look.found)
    else:
        form, tried = yield from _look_through_pickles(look, head, outer)
        if outer is not None:
            yield from _look_into_outer(look, outer, is_pickle=form is not None)
            form = form or outer
    # To a program that looks at the end first, it can be one all the same; that is then no member of a tar archive.
    if form != "zip" and not look.ends_with_padding:
        yield from look.into_archive(required=False)
        form = form or ("zip" if look.names is not None else None)
    return form, tried


def _beyond_limit(look: Look, head: bytes, error: FormatLimitException) -> str:
    """Keep what was found until a limit was reached, and say that more may follow; return the form.

    Raises:
        FormatLimitException: It may be no pickle, or was safe so far, and could be known alone, or read from here.
    """
    source, found = look.source, look.found
    found.add_begun()
    form = "zip" if head.startswith(ZIP) else "numpy" if head.startswith(NUMPY) else None
    if not (found.has_pickles or is_pickle_name(source.path) or (form and named_format(source.path) == "pickle")):
        raise error
    if source.curtailed and not found.findings and _worst([one.verdict for one in found.judged()]) == "safe":
        raise error
    found.promised = True
    found.findings.insert(0, error.reason)
    found.unread.insert(0, error.reason)
    return form or ("torch" if is_torch_file(source, head) else "pickle")


def _look_into_zip(look: Look) -> Reading[None]:
    """Look into an archive, as far as the budget goes; where pickles are promised, all of it has to be looked into."""
    try:
        yield from look.into_archive(required=True)
    except FormatLimitException as error:
        if named_format(look.source.path) == "pickle":
            raise
        look.found.add_begun()
        look.found.unread.append(error.reason)


def _look_through_pickles(look: Look, head: bytes, outer: str | None) -> Reading[tuple[str | None, str | None]]:
    """Return in what pickles are, if it is pickles, and why not."""
    promised = is_pickle_name(look.source.path) and outer is None
    if not promised and (not head or head[0] not in BEGINNINGS):
        return None, None
    form, tried = yield from look_through_pickles(look.source, head, look.found)
    if look.found.has_pickles:
        return form, tried
    look.found.findings.clear()
    return None, tried


def _look_into_outer(look: Look, outer: str, *, is_pickle: bool) -> Reading[None]:
    """Look into what is packed, or a tar archive, as far as the budget goes; and note if it is a pickle, too."""
    if is_pickle:
        what = f"what {outer} has packed, and can be unpacked before it is loaded"
        what = "a tar archive, and can be loaded as one" if outer == "tar" else what
        look.found.findings.append(f"it begins as {what}")
    try:
        yield from look.into(Cursor(look.source, 0, look.source.size), PurePosixPath(look.source.path).name, 0)
    except FormatLimitException as error:
        look.found.add_begun()
        look.found.unread.append(error.reason)
    except MalformedFileException as error:
        if not is_pickle:
            look.found.unread.append(error.reason)


def _kind(head: bytes, form: str | None, look: Look) -> Kind | None:
    """Return what kind a file is: by what it begins with, by the names in it, or by how it is packed."""
    if form in {"pickle", "torch"}:
        return None
    kind = kind_of_head(head[:_PEEK] if form else head)
    if kind is not None or form is None:
        return kind or kind_behind_user_block(head)
    if form == "numpy":
        return kind_called("npy")
    told = kind_called(form) if look.names is None else kind_of_archive(look.names)
    return kind_called(form) if told.name == "zip" else told


def _schema(
    source: ByteSource, form: str | None, kind: Kind | None, found: Found, tried: str | None
) -> PickleSchema | OtherFileSchema:
    plain = kind is None or kind.name in _PLAIN
    is_torn = form == "zip" and bool(found.findings) and named_format(source.path) == "pickle"
    if form is not None and plain and (found.has_pickles or is_torn):
        return _pickle_schema(source, form, found)
    if kind is None or (plain and is_pickle_name(source.path) and not found.unread):
        _refuse(source, kind, tried)
    return _other_schema(source, kind, found)


def _worst(verdicts: list[PickleVerdict]) -> PickleVerdict:
    return max(verdicts, key=_ORDER.index, default="safe")


def _pickle_schema(source: ByteSource, form: str, found: Found) -> PickleSchema:
    source.format = "pickle"
    imports = found.judged()
    return PickleSchema(
        size=source.size,
        container=form,  # type: ignore[arg-type]  # of the forms that hold pickles
        verdict=_worst([one.verdict for one in imports] + ["suspicious"] * bool(found.findings)),
        imports=imports,
        pickles=found.pickles,
        findings=tuple(found.findings[:_MAX_FINDINGS]),
        unread=tuple(found.unread[:_MAX_FINDINGS]),
    )


def _other_schema(source: ByteSource, kind: Kind, found: Found) -> OtherFileSchema:
    source.format = kind.name
    imports = found.judged()
    spoken = bool(found.findings) and (found.has_pickles or kind.name in {"numpy", "npy"})
    verdict = _worst([one.verdict for one in imports] + ["suspicious"] * spoken + [one for one, _ in found.code])
    is_read = kind.name in {"numpy", "npy"} and not found.unread
    code = sorted(found.code, key=lambda one: -_ORDER.index(one[0]))
    findings = [what for _, what in code] + found.findings
    unread = "; ".join(found.unread[:1])
    return OtherFileSchema(
        size=source.size,
        format=kind.name,
        is_weights=kind.is_weights,
        verdict=verdict if verdict != "safe" or is_read else None,
        reason=findings[0] if verdict != "safe" and findings else unread or kind.reason,
        imports=imports,
        pickles=found.pickles,
        findings=tuple(findings[:_MAX_FINDINGS]),
        unread=tuple(found.unread[:_MAX_FINDINGS]),
    )


def _refuse(source: ByteSource, kind: Kind | None, tried: str | None) -> NoReturn:
    if is_pickle_name(source.path):
        source.format = "pickle"
        empty = "it is empty" if not source.size else "it begins with no instruction of one"
        what = f"it is {kind.name}" if kind else tried or empty
        source.refuse(f"it is called a pickle, and is none: {what}")
    reason = "it is no safetensors, GGUF, ONNX or pickle-based file, and of no other kind that is known"
    raise UnknownFormatException(path=source.path, reason=reason)
