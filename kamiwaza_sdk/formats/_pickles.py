"""Looks through streams of pickles: bare ones, joblib's, PyTorch's old format, arrays of NumPy's."""

import pickletools
import re
from collections.abc import Mapping
from typing import Final, Literal

from kamiwaza_sdk.formats._detection import is_pickle_name
from kamiwaza_sdk.formats._numpy_arrays import parse_header
from kamiwaza_sdk.formats._pickle_machine import Import
from kamiwaza_sdk.formats._pickle_rules import judge
from kamiwaza_sdk.formats._pickle_walk import Walked, walk_pickles
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.schemas.pickles import PickleImportSchema, PickleVerdict

__all__ = [
    "BEGINNINGS",
    "NUMPY",
    "Found",
    "is_torch_file",
    "look_through_arrays",
    "look_through_pickles",
    "look_through_stream",
]

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
BEGINNINGS: Final = frozenset(ord(code.code) for code in pickletools.opcodes if not code.stack_before)
NUMPY: Final = b"\x93NUMPY"
#: Who reads a file with such a name reads one pickle; what follows it is then out of place.
_PLAIN: Final = (".pkl", ".pickle", ".joblib")
_PEEK: Final = 8
_MAX_DESCRIPTION: Final = 65_536


class Found:
    """What was found in a file so far.

    Attributes:
        imports: What its pickles import.
        pickles: How many there are.
        promised: Whether the name of something in it promises one.
        findings: What else speaks against it.
        code: What of it is code, but in no pickle, and what that comes to.
        unread: What of it was not looked into, though there can be pickles in it.
    """

    def __init__(self) -> None:
        self.imports = set[Import]()
        self.pickles = 0
        self.promised = False
        self.findings = list[str]()
        self.code = list[tuple[PickleVerdict, str]]()
        self.unread = list[str]()
        self._walk: tuple[Walked, bool] | None = None

    @property
    def has_pickles(self) -> bool:
        """Whether there are any, or are to be."""
        return bool(self.pickles or self.imports or self.promised)

    def judged(self) -> tuple[PickleImportSchema, ...]:
        """Return each import with its verdict, sorted."""
        return tuple(
            PickleImportSchema(module=module, name=name, verdict=judge(module, name))
            for module, name in sorted(self.imports)
        )

    def follow(self, cursor: Cursor, *, sure: bool, most: int | None = None, joblib: bool = False) -> Reading[Walked]:
        """Follow what follows, and add what was seen if it is a pickle, for sure or by its bytes."""
        walked = Walked()
        self._walk = walked, sure
        yield from walk_pickles(cursor, walked, most=most, joblib=joblib)
        self.add_begun()
        return walked

    def add_begun(self) -> None:
        """Add what was seen of what is followed now, as far as that went."""
        if self._walk is not None and (self._walk[1] or self._walk[0].is_pickle):
            self.add(self._walk[0])
        self._walk = None

    def add(self, walked: Walked) -> None:
        """Add what was seen of pickles."""
        self.imports |= walked.imports
        self.pickles += walked.pickles
        if walked.error is not None:
            self.findings.append(walked.error)
        if walked.extensions:
            self.findings.append("it names imports by numbers that the loading program has registered")
        self.findings += [f"it changes {module}.{name} itself" for module, name in sorted(walked.altered)]


def look_through_pickles(
    source: ByteSource, head: bytes, found: Found
) -> Reading[tuple[Literal["pickle", "torch"], str | None]]:
    """Look through a file that is called a pickle, or may be one: then what is seen counts only if it is one.

    Returns:
        What the pickles are in, and why it is none, if it is none.
    """
    cursor, is_torch, named = Cursor(source, 0, source.size), is_torch_file(source, head), is_pickle_name(source.path)
    walked = yield from found.follow(cursor, sure=named, most=_TORCH_PICKLES if is_torch else None, joblib=True)
    if is_torch and walked.error is None and (named or walked.is_pickle):
        yield from _look_at_storages(cursor, walked, found)
    return "torch" if is_torch else "pickle", walked.error


def is_torch_file(source: ByteSource, head: bytes) -> bool:
    """Return whether a file begins as PyTorch's format before 1.6, and is not called one pickle."""
    return bool(_TORCH.match(head)) and not source.path.lower().endswith(_PLAIN)


def look_through_stream(cursor: Cursor, found: Found, *, named: bool, joblib: bool = False) -> Reading[None]:
    """Look through what is in a file: pickles, where that is its name or what it begins with, or arrays of NumPy's."""
    head = yield from cursor.peek(_PEEK)
    if head.startswith(NUMPY):
        yield from look_through_arrays(cursor, found)
        return
    if not named and (not head or head[0] not in BEGINNINGS):
        return
    found.promised |= named
    yield from found.follow(cursor, sure=named, joblib=joblib)


def _look_at_storages(cursor: Cursor, walked: Walked, found: Found) -> Reading[None]:
    """Skip PyTorch's weights by the keys and sizes that the pickles tell; what else follows is looked at, and said."""
    left = cursor.end - cursor.offset
    told = _storages_size(walked)
    if told == left:
        return
    what = "as many bytes as its storages have" if told is None else f"{told} bytes of storages"
    found.findings.append(f"{left} bytes follow its pickles, where {what} should; how they are loaded cannot be told")
    if told is not None and told < left:
        yield from cursor.skip(told)
    if (yield from cursor.more()):
        yield from found.follow(cursor, sure=False)


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


def look_through_arrays(cursor: Cursor, found: Found) -> Reading[None]:
    """Look through arrays of NumPy's, one after the other: only those of objects are pickles, after a header.

    Several can be saved into one file, and be read one after the other. What follows that is none is looked at, and
    said.
    """
    while (yield from cursor.more()):
        yield from cursor.need(min(_PEEK, cursor.end - cursor.offset))
        if not cursor.data.startswith(NUMPY, cursor.position):
            yield from _look_behind_array(cursor, found)
            return
        if not (yield from _skip_numbers(cursor)):
            yield from found.follow(cursor, sure=True)
            return


def _look_behind_array(cursor: Cursor, found: Found) -> Reading[None]:
    found.findings.append(f"{cursor.end - cursor.offset} bytes follow the array at byte {cursor.offset}")
    yield from found.follow(cursor, sure=False)


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
