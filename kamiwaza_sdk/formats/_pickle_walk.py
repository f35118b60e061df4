"""Follows the instructions of pickles without carrying them out.

What each instruction is followed by, `pickletools` of the standard library says. It is not left to read them: its
reader takes long arguments, which are the weights, into memory, and cannot wait for bytes from elsewhere.
"""

import io
import pickletools
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

from kamiwaza_sdk.formats._pickle_rules import UNRESOLVED
from kamiwaza_sdk.formats._source import Cursor, Reading
from kamiwaza_sdk.formats.exceptions import MalformedFileException

__all__ = ["Walked", "walk_pickles"]

#: No module, and nothing in one, has a longer name.
MAX_NAME: Final = 1024
MAX_LINE: Final = 1024**2
MAX_IMPORTS: Final = 10_000
#: What the memos may hold: a pickler stores only what it has just made, so half as much as there are instructions.
MAX_MEMO: Final = 2_500_000


class _Code(NamedTuple):
    name: str
    #: As in `pickletools.ArgumentDescriptor`: a length, or a code for how it is told.
    argument: int
    reads_text: bool
    descriptor: pickletools.ArgumentDescriptor | None


_TEXTS: Final = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_NAMED: Final = {"GLOBAL", "INST"}
_STORES: Final = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_FETCHES: Final = {"GET", "BINGET", "LONG_BINGET"}
_NUMBERED: Final = {"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}
_NO_NUMBER: Final = -1
#: A frame holds no other, and nothing follows in it where a pickle ends.
_ENDS_FRAME: Final = {"FRAME", "STOP"}
_CALLS: Final = {"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
_EXTENSIONS: Final = {"EXT1", "EXT2", "EXT4"}
#: How long the length is that stands before an argument, and whether it is signed.
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
_CODES: Final = {
    ord(code.code): _Code(code.name, code.arg.n if code.arg else 0, code.name in _TEXTS, code.arg)
    for code in pickletools.opcodes
}


@dataclass
class Walked:
    """What was seen.

    Attributes:
        imports: Modules and names.
        pickles: How many pickles came to their end.
        findings: What is not as it should be.
        calls: Whether something imported may have been called.
    """

    imports: set[tuple[str, str]] = field(default_factory=set)
    pickles: int = 0
    findings: list[str] = field(default_factory=list)
    calls: bool = False


#: What is known of a value: its text, if the memo is new with each pickle, and if it is kept from one to the next. Both
#: occur, by how the pickles are loaded.
_Known = tuple[str | None, str | None]
_NOTHING: Final[_Known] = (None, None)


class _Stack:
    """What is on top of the stack, as far as it is text, and the memo."""

    def __init__(self) -> None:
        self.top = self.below = _NOTHING
        self.just_read: str | None = None
        self.kept: dict[int, str | None] = {}
        self.new = self.kept  # the same until the first pickle has ended

    @property
    def remembered(self) -> int:
        """How much the memos hold."""
        return len(self.kept) if self.new is self.kept else len(self.kept) + len(self.new)

    def push(self, known: _Known, *, read: str | None = None) -> None:
        self.below, self.top, self.just_read = self.top, known, read

    def store(self, key: int | None) -> None:
        """Remember the top. Only of text that was just read it is sure what it is, to everyone who looks at this."""
        for memo in (self.kept,) if self.new is self.kept else (self.kept, self.new):
            memo[len(memo) if key is None else key] = self.just_read
        self.just_read = None

    def forget(self) -> None:
        self.top = self.below = _NOTHING
        self.just_read = None

    def imported(self) -> set[tuple[str, str]]:
        """Return what is named by the two texts on top. There can be two answers, see `_Known`."""
        pairs = list(zip(self.below, self.top, strict=True))
        named = {(module, name) for module, name in pairs if module is not None and name is not None}
        return named | {(UNRESOLVED, UNRESOLVED)} if None in pairs[0] else named


def walk_pickles(cursor: Cursor, walked: Walked, *, most: int | None = None, resumes: int = 0) -> Reading[None]:
    """Follow one pickle after the other to the end, or so many of them, and note what they import.

    What is not whole is noted, not raised: what came before it would have been carried out. Where there are `resumes`
    left, it goes on behind the instruction that was none, as a program may that loads one pickle after the other.
    """
    stack = _Stack()
    done = 0
    while most is None or done < most:
        try:
            if not (yield from cursor.more()):
                return
            stack.forget()
            stack.new = {} if stack.kept else stack.kept
            yield from _walk_one(cursor, walked, stack)
            walked.pickles += 1
            done += 1
        except MalformedFileException as error:
            walked.findings.append(f"not a whole pickle at byte {error.offset}: {error.reason}")
            if not resumes:
                return
            resumes -= 1


def _walk_one(cursor: Cursor, walked: Walked, stack: _Stack) -> Reading[None]:
    step = cursor.source.step
    frame = 0  # where it ends
    while True:
        if cursor.position >= len(cursor.data):
            yield from cursor.need(1)
        number = cursor.data[cursor.position]
        code = _CODES.get(number)
        begin = cursor.offset
        step(begin)
        cursor.position += 1
        if code is None:
            cursor.source.refuse(f"there is no instruction {number:#04x}", cursor.offset - 1)
        raw = yield from _read_argument(cursor, code)
        if begin < frame and (cursor.offset > frame or code.name in _ENDS_FRAME) and cursor.offset != frame:
            _refuse_to_follow(cursor, walked, begin)
        if code.name == "STOP":
            return
        if code.name == "FRAME":
            frame = cursor.offset + int.from_bytes(raw or b"", "little")
        _follow(code, raw, walked, stack)
        if len(walked.imports) > MAX_IMPORTS:
            cursor.source.exceed(f"it imports more than {MAX_IMPORTS} names", MAX_IMPORTS, cursor.offset)
        if stack.remembered > MAX_MEMO:
            what = f"it stores more than {MAX_MEMO} values in its memo; that is no ordinary file"
            cursor.source.exceed(what, MAX_MEMO, cursor.offset)


def _refuse_to_follow(cursor: Cursor, walked: Walked, begin: int) -> NoReturn:
    """Note that what follows is hidden, and raise: the unpickler in C drops the rest of a frame that does not do."""
    walked.imports.add((UNRESOLVED, UNRESOLVED))
    walked.calls = True
    cursor.source.refuse("an instruction does not end where its frame does", begin)


def _read_argument(cursor: Cursor, code: _Code) -> Reading[bytes | None]:
    """Return the argument with its length or its end, or `None` where it is long and only left behind."""
    if code.argument >= 0:
        return (yield from cursor.take(code.argument)) if code.argument else b""
    if code.argument == pickletools.UP_TO_NEWLINE:
        lines = yield from _read_line(cursor)
        return lines + (yield from _read_line(cursor)) if code.name in _NAMED else lines
    width, signed = _LENGTHS[code.argument]
    prefix = yield from cursor.take(width)
    length = int.from_bytes(prefix, "little", signed=signed)
    if length < 0:
        cursor.source.refuse(f"an argument of {length} bytes", cursor.offset)
    if code.reads_text and length <= MAX_NAME:
        return prefix + (yield from cursor.take(length))
    yield from cursor.skip(length)
    return None


def _read_line(cursor: Cursor) -> Reading[bytes]:
    wanted = 1
    while True:
        yield from cursor.need(wanted)
        end = cursor.data.find(b"\n", cursor.position)
        if end >= 0:
            return (yield from cursor.take(end + 1 - cursor.position))
        wanted = len(cursor.data) - cursor.position + 1
        if wanted > MAX_LINE:
            cursor.source.refuse(f"a line of more than {MAX_LINE} bytes", cursor.offset)


def _follow(code: _Code, raw: bytes | None, walked: Walked, stack: _Stack) -> None:
    if code.reads_text:
        text = _decoded(code, raw)
        stack.push((text, text), read=text)
    elif code.name in _STORES | _FETCHES and (key := _number(code, raw)) == _NO_NUMBER:
        # Python's unpickler reads "1\0" as 1, so that nothing in the memo is sure any more.
        walked.imports.add((UNRESOLVED, UNRESOLVED))
        stack.forget()
    elif code.name in _STORES:
        stack.store(key)
    elif code.name in _FETCHES:
        stack.push(_NOTHING if key is None else (stack.new.get(key), stack.kept.get(key)))
    else:
        if code.name in _NAMED:
            walked.imports.add(_named(raw))
        elif code.name == "STACK_GLOBAL":
            walked.imports |= stack.imported()
        elif code.name in _EXTENSIONS:  # a number that the loading program has given to an import
            walked.imports.add(("copyreg", UNRESOLVED))
        walked.calls |= code.name in _CALLS and bool(walked.imports)
        stack.forget()


def _decoded(code: _Code, raw: bytes | None) -> str | None:
    # No pickler escapes the name of a module so, and Python warns of escapes that do not exist.
    if raw is None or code.descriptor is None or (code.name == "STRING" and b"\\" in raw):
        return None
    try:
        return str(code.descriptor.reader(io.BytesIO(raw)))
    except ValueError:
        return None


def _number(code: _Code, raw: bytes | None) -> int | None:
    if code.name not in _NUMBERED or raw is None or code.descriptor is None:
        return None
    try:
        return int(code.descriptor.reader(io.BytesIO(raw)))
    except (ValueError, TypeError):
        return _NO_NUMBER


def _named(raw: bytes | None) -> tuple[str, str]:
    lines = (raw or b"").decode("utf-8", errors="replace").split("\n")
    if len(lines) != 3 or max(map(len, lines)) > MAX_NAME:  # noqa: PLR2004 - two lines, and nothing after them
        return UNRESOLVED, UNRESOLVED
    return lines[0], lines[1]
