"""Looks through pickle-based files: bare ones, PyTorch's old and new formats, archives, arrays of NumPy's."""

import pickletools
import re
from typing import Final, Literal

from kamiwaza_sdk.formats._archive import Allowance, Member, find_members, open_member
from kamiwaza_sdk.formats._detection import is_pickle_name
from kamiwaza_sdk.formats._pickle_rules import judge
from kamiwaza_sdk.formats._pickle_walk import Walked, walk_pickles
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.schemas.pickles import PickleImportSchema, PickleSchema, PickleVerdict

__all__ = ["read_pickle"]

_Container = Literal["pickle", "torch", "zip", "numpy"]

#: The first pickle of PyTorch's old format: a number, by which it is known.
_TORCH: Final = re.compile(rb"\x80[\x02-\x05]\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.")
#: That number, a version, the system, the objects, the keys of the storages; picklescan looks at one more.
_TORCH_PICKLES: Final = 5
_PICKLE: Final = re.compile(rb"\x80[\x00-\x05]")
#: The instructions that ask nothing of the stack, so that a pickle can begin with them; the oldest do, like text.
_BEGINNINGS: Final = frozenset(ord(code.code) for code in pickletools.opcodes if not code.stack_before)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_NUMPY: Final = b"\x93NUMPY"
#: Members with these names are looked through, whatever they begin with.
_NAMED: Final = (".pkl", ".pickle", ".joblib", ".dat", ".data", ".npy", ".pt", ".pth", ".bin", ".ckpt")
#: Who reads a file with such a name reads one pickle; what follows it is then out of place.
_PLAIN: Final = (".pkl", ".pickle", ".joblib")
#: What headers of arrays of plain numbers are made of. There are more ways to write that an array is one of objects
#: (by another name, escaped, in pieces) than need to be known.
_FORMAT: Final = rb"'[<>|=]?[?bBhHiIlLqQefdgcuSaUVmM]\d*(?:\[\w+\])?'"
_SHAPE: Final = rb"\([\d, ]*\)"
_FIELD: Final = rb"\('[^'\\]*', ?" + _FORMAT + rb"(?:, ?" + _SHAPE + rb")?\)"
_NUMBERS: Final = re.compile(
    rb"\{'descr': ?(?:" + _FORMAT + rb"|\[" + _FIELD + rb"(?:, ?" + _FIELD + rb")*\]), ?"
    rb"'fortran_order': ?(?:True|False), ?'shape': ?" + _SHAPE + rb",? ?\}\s*"
)
_PLAINLY_NUMBERS: Final = re.compile(rb"[^Oo\\]*")
#: PyTorch's weights, which its loader never takes for pickles.
_STORAGE: Final = re.compile(r"(.*/)?data/\d+")
_PEEK: Final = 8
_TAR_BLOCK: Final = 512
_MAX_DESCRIPTION: Final = 65_536
_ORDER: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")
_MAX_FINDINGS: Final = 20


def read_pickle(source: ByteSource, head: bytes) -> Reading[PickleSchema]:
    """Return what loading the file would import, or raise: it holds no pickle."""
    marked = bool(_PICKLE.match(head)) or head.startswith((*_ZIP, _NUMPY))
    if not source.size or not (marked or is_pickle_name(source.path) or source.format or _could_be_pickle(head)):
        _refuse(source)
    walked = Walked()
    container = yield from _look_through(source, head, walked)
    whole = bool(walked.pickles) and not walked.findings
    if container != "zip":  # to a program that looks at the end first, it can be one all the same
        yield from _look_through_archive(source, walked, required=False)
    walked.findings += _disguises(head)
    # A name like .bin says little, and no name less: what is no pickle from the first byte on is something else.
    likely = whole or _does_harm(walked) or (source.format and walked.imports)
    if not (marked or is_pickle_name(source.path) or likely):
        _refuse(source)
    source.format = "pickle"
    imports = tuple(
        PickleImportSchema(module=module, name=name, verdict=judge(module, name))
        for module, name in sorted(walked.imports)
    )
    verdicts = [found.verdict for found in imports] + ["suspicious"] * bool(walked.findings)
    return PickleSchema(
        size=source.size,
        container=container,
        verdict=max(verdicts, key=_ORDER.index, default="safe"),
        imports=imports,
        pickles=walked.pickles,
        findings=tuple(walked.findings[:_MAX_FINDINGS]),
    )


def _could_be_pickle(head: bytes) -> bool:
    """Return whether a file without a name that says so may be one all the same: it begins with a value."""
    return head[:1] != b"" and head[0] in _BEGINNINGS


def _does_harm(walked: Walked) -> bool:
    """Return whether something was called that can do harm: it has been, even where what follows is no pickle."""
    return walked.calls and any(judge(*found) == "dangerous" for found in walked.imports)


def _refuse(source: ByteSource) -> None:
    reason = "it is no safetensors, GGUF, ONNX or pickle-based file, neither by its first bytes nor by its name"
    raise UnknownFormatException(path=source.path, reason=reason)


def _look_through(source: ByteSource, head: bytes, walked: Walked) -> Reading[_Container]:
    if head.startswith(_ZIP):
        yield from _look_through_archive(source, walked, required=True)
        return "zip"
    if head.startswith(_NUMPY):
        yield from _look_through_array(Cursor(source, 0, source.size), walked)
        return "numpy"
    cursor = Cursor(source, 0, source.size)
    if _TORCH.match(head) and not source.path.lower().endswith(_PLAIN):
        yield from walk_pickles(cursor, walked, most=_TORCH_PICKLES)
        yield from _look_at_rest(cursor, walked)
        return "torch"
    yield from walk_pickles(cursor, walked, resumes=_TORCH_PICKLES + 1)
    return "pickle"


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


def _look_at_rest(cursor: Cursor, walked: Walked) -> Reading[None]:
    """Look at what follows the last pickle: weights, which are none, and so no finding."""
    rest = Walked()
    if (yield from cursor.more()):
        yield from walk_pickles(cursor, rest, most=1)
    walked.imports |= rest.imports


def _look_through_archive(source: ByteSource, walked: Walked, *, required: bool) -> Reading[None]:
    try:
        members = yield from find_members(source)
    except MalformedFileException as error:
        members = None
        walked.findings.append(error.reason)
    if members is None:
        if required and not walked.findings:
            walked.findings.append("the archive has no directory; it is not whole")
        return
    allowance = Allowance()
    if members and min(member.offset for member in members) != 0:
        walked.findings.append("something stands before the archive's first member")
    for member in members:
        if member.name.endswith("/") and not member.size:
            continue
        # In archives of NumPy's, members with such names are arrays like all others.
        if source.remote and _STORAGE.fullmatch(member.name) and not source.path.lower().endswith(".npz"):
            continue
        try:
            yield from _look_through_member(source, member, allowance, walked)
        except MalformedFileException as error:
            walked.findings.append(error.reason)


def _look_through_member(source: ByteSource, member: Member, allowance: Allowance, walked: Walked) -> Reading[None]:
    cursor = yield from open_member(source, member, allowance)
    yield from cursor.need(min(_PEEK, max(cursor.end - cursor.offset, 0)))
    head = cursor.data[cursor.position : cursor.position + _PEEK]
    if head.startswith(_NUMPY):
        yield from _look_through_array(cursor, walked)
        return
    likely = bool(_PICKLE.match(head)) or member.name.lower().endswith(_NAMED)
    if not likely and (_STORAGE.fullmatch(member.name) or not _could_be_pickle(head)):
        return
    inside = Walked()
    yield from walk_pickles(cursor, inside)
    if not likely and not _does_harm(inside):
        return
    walked.imports |= inside.imports
    walked.pickles += inside.pickles
    certain = bool(_PICKLE.match(head)) and not _STORAGE.fullmatch(member.name)
    if certain or inside.imports or is_pickle_name(member.name):
        walked.findings += inside.findings


def _look_through_array(cursor: Cursor, walked: Walked) -> Reading[None]:
    """Look through an array of NumPy's: only one of objects is a pickle, after a header that says so."""
    start = yield from cursor.take(_PEEK)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes((yield from cursor.take(width)), "little")
    description = yield from cursor.take(min(length, cursor.end - cursor.offset, _MAX_DESCRIPTION))
    yield from cursor.skip(length - len(description))
    if len(description) < length or not _is_of_numbers(description):
        yield from walk_pickles(cursor, walked)


def _is_of_numbers(description: bytes) -> bool:
    plain = description.replace(b"fortran_order", b"")
    return bool(_NUMBERS.fullmatch(description) or _PLAINLY_NUMBERS.fullmatch(plain))
