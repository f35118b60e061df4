"""Looks through pickle-based files: bare ones, PyTorch's old and new formats, archives, arrays of NumPy's."""

import pickletools
import re
from collections.abc import Mapping
from typing import Final, Literal, NoReturn

from kamiwaza_sdk.formats._archive import Allowance, Member, find_members, open_member
from kamiwaza_sdk.formats._detection import is_pickle_name
from kamiwaza_sdk.formats._numpy_arrays import parse_header
from kamiwaza_sdk.formats._pickle_machine import Import
from kamiwaza_sdk.formats._pickle_rules import judge
from kamiwaza_sdk.formats._pickle_walk import Walked, walk_pickles
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.schemas.pickles import PickleImportSchema, PickleSchema, PickleVerdict

__all__ = ["read_pickle"]

_Container = Literal["pickle", "torch", "zip", "numpy"]

#: The first pickle of PyTorch's old format: a number, by which it is known.
_TORCH: Final = re.compile(rb"\x80[\x02-\x05]\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.")
#: That number, a version, the system, the objects, the keys of the storages.
_TORCH_PICKLES: Final = 5
#: A storage: how many elements it has, then they.
_TORCH_COUNT: Final = 8
_TORCH_SIZES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("Bool", "Byte", "Char", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8", "Untyped"), 1),
    **dict.fromkeys(("BFloat16", "Half", "Short"), 2),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("ComplexFloat", "Double", "Long"), 8),
    "ComplexDouble": 16,
}
#: The instructions that ask nothing of the stack, so that a pickle can begin with them; the oldest do, like text.
_BEGINNINGS: Final = frozenset(ord(code.code) for code in pickletools.opcodes if not code.stack_before)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_NUMPY: Final = b"\x93NUMPY"
#: Who reads a file with such a name reads one pickle; what follows it is then out of place.
_PLAIN: Final = (".pkl", ".pickle", ".joblib")
#: PyTorch's weights, which its loader never takes for pickles.
_STORAGE: Final = re.compile(r"(.*/)?data/\d+")
_PEEK: Final = 8
_TAR_BLOCK: Final = 512
_MAX_DESCRIPTION: Final = 65_536
_ORDER: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")
_MAX_FINDINGS: Final = 20


class _Found:
    """What was found in a file so far: what its pickles import, and what else is to be said."""

    def __init__(self) -> None:
        self.imports = set[Import]()
        self.pickles = 0
        self.findings = list[str]()

    def add(self, walked: Walked) -> None:
        """Add what was seen of pickles."""
        self.imports |= walked.imports
        self.pickles += walked.pickles
        if walked.error is not None:
            self.findings.append(walked.error)
        if walked.extensions:
            self.findings.append("it names imports by numbers that the loading program has registered")
        self.findings += [f"it changes {module}.{name} itself" for module, name in sorted(walked.altered)]


def read_pickle(source: ByteSource, head: bytes) -> Reading[PickleSchema]:
    """Return what loading the file would import, or raise: it holds no pickle."""
    found = _Found()
    container: _Container = "pickle"
    if head.startswith(_ZIP):
        container = "zip"
        yield from _look_through_archive(source, found, required=True)
    elif head.startswith(_NUMPY):
        container = "numpy"
        yield from _look_through_arrays(Cursor(source, 0, source.size), found)
    elif is_pickle_name(source.path) or (head and head[0] in _BEGINNINGS):
        container = yield from _look_through_pickles(source, head, found)
    else:
        _refuse(source)
    if container != "zip":  # to a program that looks at the end first, it can be one all the same
        yield from _look_through_archive(source, found, required=False)
    if container == "pickle" and not found.pickles and not found.imports:
        _refuse(source, *found.findings)
    found.findings += _disguises(head)
    source.format = "pickle"
    return _schema(source, container, found)


def _schema(source: ByteSource, container: _Container, found: _Found) -> PickleSchema:
    imports = tuple(
        PickleImportSchema(module=module, name=name, verdict=judge(module, name))
        for module, name in sorted(found.imports)
    )
    verdicts = [one.verdict for one in imports] + ["suspicious"] * bool(found.findings)
    return PickleSchema(
        size=source.size,
        container=container,
        verdict=max(verdicts, key=_ORDER.index, default="safe"),
        imports=imports,
        pickles=found.pickles,
        findings=tuple(found.findings[:_MAX_FINDINGS]),
    )


def _refuse(source: ByteSource, *reasons: str) -> NoReturn:
    if is_pickle_name(source.path):
        source.format = "pickle"
        what = reasons[0] if reasons else "it is empty" if not source.size else "it begins with no instruction of one"
        source.refuse(f"it is called a pickle, and is none: {what}")
    reason = "it is no safetensors, GGUF, ONNX or pickle-based file, neither by its first bytes nor by its name"
    raise UnknownFormatException(path=source.path, reason=reason)


def _look_through_pickles(source: ByteSource, head: bytes, found: _Found) -> Reading[_Container]:
    """Look through a file that is called a pickle, or may be one: then what is seen counts only if it is one."""
    cursor, walked = Cursor(source, 0, source.size), Walked()
    is_torch = bool(_TORCH.match(head)) and not source.path.lower().endswith(_PLAIN)
    yield from walk_pickles(cursor, walked, most=_TORCH_PICKLES if is_torch else None, joblib=True)
    if is_pickle_name(source.path) or walked.is_pickle:
        found.add(walked)
        if is_torch and walked.error is None:
            yield from _look_at_storages(cursor, walked, found)
    elif walked.error is not None:
        found.findings.append(walked.error)
    return "torch" if is_torch else "pickle"


def _look_at_storages(cursor: Cursor, walked: Walked, found: _Found) -> Reading[None]:
    """Skip PyTorch's weights by the keys and sizes that the pickles tell; what else follows is looked at, and said."""
    left = cursor.end - cursor.offset
    told = _storages_size(walked)
    if told == left:
        return
    what = "as many bytes as its storages have" if told is None else f"{told} bytes of storages"
    found.findings.append(f"{left} bytes follow its pickles, where {what} should; how they are loaded cannot be told")
    rest = Walked()
    if told is not None and told < left:
        yield from cursor.skip(told)
    if (yield from cursor.more()):
        yield from walk_pickles(cursor, rest)
    if rest.is_pickle:
        found.add(rest)


def _storages_size(walked: Walked) -> int | None:
    """Return how many bytes the storages have; `None` where that cannot be told."""
    keys, size = walked.last, 0
    if not isinstance(keys, list) or walked.conflicting:
        return None
    for key in keys:
        kind, count = walked.storages.get(key, (None, 0)) if isinstance(key, str) else (None, 0)
        item = None if kind is None else _TORCH_SIZES.get(kind.name.removesuffix("Storage"))
        if item is None or kind is None or kind.module.partition(".")[0] != "torch" or count < 0:
            return None
        size += _TORCH_COUNT + count * item
    return size


def _disguises(head: bytes) -> list[str]:
    """Return what else a file is to programs that look for it first, and that load what they find inside."""
    disguises = list[str]()
    if head.startswith(b"BZh"):
        disguises.append("it begins as what bzip2 has packed, and can be unpacked before it is loaded")
    if _is_tar(head):
        disguises.append("it begins as a tar archive, and can be loaded as one")
    return disguises


def _is_tar(head: bytes) -> bool:
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


def _look_through_archive(source: ByteSource, found: _Found, *, required: bool) -> Reading[None]:
    try:
        members = yield from find_members(source)
    except MalformedFileException as error:
        members = None
        found.findings.append(error.reason)
    if members is None:
        if required and not found.findings:
            found.findings.append("the archive has no directory; it is not whole")
        return
    allowance = Allowance()
    if members and min(member.offset for member in members) != 0:
        found.findings.append("something stands before the archive's first member")
    for member in members:
        if member.name.endswith("/") and not member.size:
            continue
        # In archives of NumPy's, members with such names are arrays like all others.
        if source.remote and _STORAGE.fullmatch(member.name) and not source.path.lower().endswith(".npz"):
            continue
        try:
            yield from _look_through_member(source, member, allowance, found)
        except MalformedFileException as error:
            found.findings.append(error.reason)


def _look_through_member(source: ByteSource, member: Member, allowance: Allowance, found: _Found) -> Reading[None]:
    cursor = yield from open_member(source, member, allowance)
    yield from cursor.need(min(_PEEK, max(cursor.end - cursor.offset, 0)))
    head = cursor.data[cursor.position : cursor.position + _PEEK]
    if head.startswith(_NUMPY):
        yield from _look_through_arrays(cursor, found)
        return
    named = is_pickle_name(member.name) and not _STORAGE.fullmatch(member.name)
    if not named and (not head or head[0] not in _BEGINNINGS):
        return
    inside = Walked()
    yield from walk_pickles(cursor, inside)
    if named or inside.is_pickle:
        found.add(inside)


def _look_through_arrays(cursor: Cursor, found: _Found) -> Reading[None]:
    """Look through arrays of NumPy's, one after the other: only those of objects are pickles, after a header.

    Several can be saved into one file, and be read one after the other. What follows that is none is looked at, and
    said.
    """
    while (yield from cursor.more()):
        yield from cursor.need(min(_PEEK, cursor.end - cursor.offset))
        if not cursor.data.startswith(_NUMPY, cursor.position):
            yield from _look_behind_array(cursor, found)
            return
        if not (yield from _skip_numbers(cursor)):
            walked = Walked()
            yield from walk_pickles(cursor, walked)
            found.add(walked)
            return


def _look_behind_array(cursor: Cursor, found: _Found) -> Reading[None]:
    found.findings.append(f"{cursor.end - cursor.offset} bytes follow the array at byte {cursor.offset}")
    walked = Walked()
    yield from walk_pickles(cursor, walked)
    if walked.is_pickle:
        found.add(walked)


def _skip_numbers(cursor: Cursor) -> Reading[bool]:
    """Go on behind an array of numbers; of another, behind its header."""
    start = yield from cursor.take(_PEEK)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes((yield from cursor.take(width)), "little")
    description = yield from cursor.take(min(length, cursor.end - cursor.offset, _MAX_DESCRIPTION))
    yield from cursor.skip(length - len(description))
    size = parse_header(description) if len(description) == length else None
    if size is None:
        return False
    yield from cursor.skip(size)
    return True
