"""Walks through pickles without executing them, as both unpicklers of CPython do.

`pickletools` of the standard library tells the length of each argument. Its own reader is not used: it reads long
arguments, which are the weights, into memory, and cannot wait for remote bytes.
"""

import ast
import math
import pickletools
import re
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.exceptions import MalformedFileException
from kamiwaza_sdk.formats.pickles.instructions import INSTRUCTIONS, Instruction
from kamiwaza_sdk.formats.pickles.machine import (
    MAX_NAME,
    UNKNOWN,
    WRAPPED_ARRAY,
    BrokenPickleException,
    Import,
    Instance,
    Kind,
    Machine,
    Observations,
    PickleLimitException,
    Value,
)
from kamiwaza_sdk.formats.source import Cursor, Reading

_FORMAT: Final = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgcuSaUVmM])(\d{0,9})(?:\[\w+\])?")
_BYTES_OF_A_CHARACTER: Final = 4
_DTYPE: Final = Import("numpy", "dtype")
#: The flag of types whose items are references to objects.
_HAS_OBJECTS: Final = 1
_FLAGS: Final = 7
#: No file has as many bytes.
_MOST: Final = 2**62


class ArraySize(NamedTuple):
    """The bytes of an array that follow.

    Attributes:
        length: Of the items.
        pickled: Whether they are objects, and so a pickle.
        padded: Whether a byte before them tells the length of a padding.
    """

    length: int
    pickled: bool
    padded: bool


def item_size(descr: object) -> int | None:
    """Return the bytes of an item by the header of an array; `None` unless it is a number or a text."""
    if isinstance(descr, str):
        return _format_size(descr)
    if not isinstance(descr, list) or not descr:
        return None
    sizes = [_field_size(field) for field in descr]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _format_size(text: str) -> int | None:
    found = _FORMAT.fullmatch(text)
    if found is None:
        return None
    kind, digits = found.groups()
    if not digits:
        return 1 if kind == "?" else None
    return int(digits) * (_BYTES_OF_A_CHARACTER if kind == "U" else 1)


def _field_size(field: object) -> int | None:
    match field:
        case (str() | (str(), str()), inner):
            return item_size(inner)
        case (str() | (str(), str()), inner, tuple() as shape):
            size, count = item_size(inner), _count(shape)
            return None if size is None or count is None else size * count
        case _:
            return None


def _count(shape: object) -> int | None:
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        return None
    return count if (count := math.prod(shape)) < _MOST else None


def parse_header(text: bytes) -> int | None:
    """Return the bytes of the numbers of an array by its header; `None` where that does not tell."""
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        return None
    size, count = item_size(header["descr"]), _count(header["shape"])
    return None if size is None or count is None else size * count


def wrapped_array_size(array: Value) -> ArraySize | None:
    """Return the size of the array that joblib has written behind this ``NumpyArrayWrapper``."""
    state = array.state if isinstance(array, Instance) else None
    if not isinstance(state, dict) or Kind.MORE in state or not {"shape", "dtype"} <= state.keys():
        return None
    count, item = _count(state["shape"]), _dtype_size(state["dtype"])
    if count is None or item is None or count * item[0] >= _MOST:
        return None
    return ArraySize(count * item[0], item[1], state.get("numpy_array_alignment_bytes") is not None)


def _dtype_size(dtype: Value) -> tuple[int, bool] | None:
    """Return the bytes of an item, and whether items are objects."""
    if not isinstance(dtype, Instance) or dtype.made_by != _DTYPE:
        return None
    text = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    if not isinstance(text, str):
        return None
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    flags = state[_FLAGS] if len(state) > _FLAGS else 0
    if not isinstance(flags, int):
        return None
    if text.lstrip("<>|=")[:1] == "O" or flags & _HAS_OBJECTS:
        return 0, True
    size = _format_size(text)
    return None if size is None else (size, False)


MAX_LINE: Final = 1024**2
_PROTO: Final = 0x80
_TEXTS: Final = {"BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
#: The width of the length before an argument, and whether it is signed.
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
_MOST_READ: Final = {"LONG1": 8, "LONG4": 8} | dict.fromkeys(_TEXTS, MAX_NAME)


class _Code(NamedTuple):
    name: str
    follow: Instruction
    #: Of the whole instruction; 0 where it varies.
    length: int
    #: The number of lines that follow.
    lines: int
    #: The bytes of the length before the argument.
    width: int
    signed: bool
    #: Longer arguments are skipped.
    most_read: int


def _code(opcode: pickletools.OpcodeInfo) -> _Code:
    argument = opcode.arg.n if opcode.arg else 0
    width, signed = _LENGTHS.get(argument, (0, False))
    lines = 0 if argument != pickletools.UP_TO_NEWLINE else 2 if opcode.name in {"GLOBAL", "INST"} else 1
    length = 1 + argument if argument >= 0 else 0
    most_read = _MOST_READ.get(opcode.name, 0)
    return _Code(opcode.name, INSTRUCTIONS[opcode.name], length, lines, width, signed, most_read)


CODES: Final = {ord(opcode.code): _code(opcode) for opcode in pickletools.opcodes}
_BY_BYTE: Final = [CODES.get(number) for number in range(256)]
_FRAME: Final = CODES[ord(b"\x95")]
_STOP: Final = CODES[ord(b".")]
_BUILD: Final = CODES[ord(b"b")]


class WalkResult(Observations):
    """The result of a walk through pickles that follow each other.

    Attributes:
        pickles: The number of whole pickles.
        error: Why the walk broke off, and where; `None` where it came to the end of the bytes.
        has_proto: Whether the first pickle begins with its protocol.
        last: The value of the last whole pickle.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pickles: int = 0
        self.error: str | None = None
        self.has_proto = False
        self.last: Value = None

    @property
    def is_pickle(self) -> bool:
        """Whether this is a pickle, by its bytes alone.

        It is whole and ends with the bytes; or it begins with a protocol, and is whole or imports something; or it has
        called something.
        """
        return (
            (self.pickles > 0 and self.error is None)
            or (self.has_proto and bool(self.pickles or self.imports))
            or self.calls
        )

    def add(self, other: "WalkResult") -> None:
        """Add the result of another walk."""
        self.imports.update(other.imports)
        self.altered.update(other.altered)
        self.calls |= other.calls
        self.extensions |= other.extensions
        self.pickles += other.pickles


def walk_pickles(cursor: Cursor, result: WalkResult, *, most: int | None = None, joblib: bool = False) -> Reading[None]:
    """Walk through pickles to the end of the bytes, or through so many, and report their imports.

    Each pickle is followed with a shared memo and with its own, for programs load them either way. A pickle that is not
    whole is reported, not raised, for an unpickler executes it up to there; nothing behind it is searched. A limit
    raises; `result` then has all observations up to there.

    Args:
        cursor: At their beginning.
        result: Is given the observations.
        most: The number of pickles.
        joblib: Whether to skip the arrays that joblib writes between the instructions. What an unpickler without joblib
            would do is reported, too.
    """
    walk = _Walk(cursor, result, [Machine(result)], joblib=joblib)
    yield from walk.follow_all(most)


class _Walk:
    """A walk through the pickles of a stream."""

    def __init__(self, cursor: Cursor, result: WalkResult, machines: list[Machine], *, joblib: bool) -> None:
        self.cursor = cursor
        self.result = result
        self.machines = machines
        self.joblib = joblib
        self.frame = 0  # the end of the current one
        self.plain: WalkResult | None = None

    def follow_all(self, most: int | None = None) -> Reading[None]:
        try:
            while (most is None or self.result.pickles < most) and (yield from self.cursor.more()):
                self._begin()
                yield from self._follow_one()
                self.result.pickles += 1
                self.result.last = self.machines[0].stack[-1]
        except (MalformedFileException, BrokenPickleException) as error:
            reason = error.reason if isinstance(error, MalformedFileException) else error.args[0]
            self.result.error = f"not a whole pickle at byte {self.cursor.offset}: {reason}"
        except PickleLimitException as error:
            self.cursor.source.exceed(error.reason, error.limit, self.cursor.offset)
        finally:
            self._add_plain()

    def _begin(self) -> None:
        self.frame = 0
        if not self.result.pickles:
            self.result.has_proto = self.cursor.data[self.cursor.position] == _PROTO
        if self.result.pickles == 1:  # from the second pickle on, a shared memo differs from a new one
            self.machines.append(Machine(self.result, keeps_memo=False))
        for machine in self.machines:
            machine.begin()
            machine.lenient = machine.lenient and len(self.machines) == 1

    def _follow_one(self) -> Reading[None]:
        cursor, step = self.cursor, self.cursor.source.step
        while True:
            if cursor.position >= len(cursor.data):
                yield from cursor.need(1)
            begin = cursor.offset
            step(begin, len(self.machines))
            code = _BY_BYTE[number := cursor.data[cursor.position]]
            if code is None:
                cursor.source.refuse(f"there is no instruction {number:#04x}", begin)
            if 0 < code.length <= len(cursor.data) - cursor.position:
                cursor.position += code.length
                raw: bytes | None = cursor.data[cursor.position - code.length + 1 : cursor.position]
            else:
                cursor.position += 1
                step(begin)  # it takes twice as long
                raw = yield from self._read_argument(code)
            if begin < self.frame:
                self._check_frame(code)
            self._follow(code, raw)
            if code is _STOP:
                return
            if code is _FRAME:
                self.frame = cursor.offset + int.from_bytes(raw or b"", "little")
            elif code is _BUILD and self.joblib:
                yield from self._skip_array()

    def _follow(self, code: _Code, raw: bytes | None) -> None:
        if len(self.machines) == 1:
            code.follow(self.machines[0], raw)
            return
        going, reason = list[Machine](), ""
        for machine in self.machines:
            try:
                code.follow(machine, raw)
                going.append(machine)
            except BrokenPickleException as error:
                reason = error.args[0]
        if not going:
            raise BrokenPickleException(reason)
        self.machines = going

    def _check_frame(self, code: _Code) -> None:
        """Report that more may be imported, where an instruction crosses the end of its frame.

        There the unpickler in Python raises; that in C drops the rest of the frame when it reads from a file, and
        ignores the frame when it reads from memory. The walk goes on as in the last case.
        """
        if (self.cursor.offset > self.frame or code is _FRAME or code is _STOP) and self.cursor.offset != self.frame:
            self.result.imports.add(UNKNOWN)
            self.result.calls |= self.frame <= self.cursor.end
            self.frame = 0

    def _read_argument(self, code: _Code) -> Reading[bytes | None]:
        """Return the argument without its length, or `None` where it is long and was skipped."""
        cursor = self.cursor
        if code.length:
            return (yield from cursor.take(code.length - 1))
        if code.lines:
            return (yield from self._read_lines(code))
        length = int.from_bytes((yield from cursor.take(code.width)), "little", signed=code.signed)
        if length < 0:
            cursor.source.refuse(f"an argument of {length} bytes", cursor.offset)
        if length <= code.most_read:
            return (yield from cursor.take(length))
        yield from cursor.skip(length)
        return None

    def _read_lines(self, code: _Code) -> Reading[bytes | None]:
        """Return the lines of an argument, or `None` where one is long."""
        lines = list[bytes | None]()
        for _ in range(code.lines):
            lines.append((yield from self._read_line()))
        known = [line for line in lines if line is not None]
        if all(line.endswith(b"\n") for line in known):
            return b"".join(known) if len(known) == len(lines) else None
        # The unpickler in Python takes the last byte off a line that the file ends in, whatever it is.
        if code.lines > 1:
            code.follow(self.machines[0], b"\n".join((line or b"")[:-1] for line in lines) + b"\n")
        self.cursor.source.refuse("a line without an end", self.cursor.offset)

    def _read_line(self) -> Reading[bytes | None]:
        """Return a line with its end, if the file does not end before; `None` where it is long."""
        cursor, long = self.cursor, False
        while True:
            found = cursor.data.find(b"\n", cursor.position)
            if found >= 0 or not (yield from self._read_on()):
                break
            if len(cursor.data) - cursor.position > MAX_LINE:
                cursor.position, long = len(cursor.data), True
        end = found + 1 if found >= 0 else len(cursor.data)
        line = cursor.data[cursor.position : end]
        cursor.position = end
        return None if long else line

    def _read_on(self) -> Reading[bool]:
        """Read more of the file, and return whether there was more."""
        return (yield from self.cursor.has(len(self.cursor.data) - self.cursor.position + 1))

    # The arrays that joblib writes between the instructions.

    def _skip_array(self) -> Reading[None]:
        """Skip the array that joblib reads here, if it does."""
        arrays = [top for machine in self.machines if _is_array(top := machine.stack[-1])]
        if not arrays:
            return
        if self.plain is None:
            yield from self._follow_plainly()
        if self.frame > self.cursor.offset:
            self.cursor.source.refuse("an array does not begin where its frame ends", self.cursor.offset)
        size = wrapped_array_size(arrays[0])
        if size is None or len(arrays) != len(self.machines) or any(wrapped_array_size(one) != size for one in arrays):
            self.cursor.source.refuse("how long an array is cannot be told", self.cursor.offset)
        if size.pickled:
            yield from self._follow_objects()
            return
        if size.padded:
            yield from self.cursor.skip((yield from self.cursor.take(1))[0])
        yield from self.cursor.skip(size.length)

    def _follow_objects(self) -> Reading[None]:
        """Walk through the pickle of an array of objects."""
        inner = _Walk(self.cursor, self.result, [Machine(self.result)], joblib=False)
        yield from inner._follow_one()

    def _follow_plainly(self) -> Reading[None]:
        """Walk on without skipping arrays, as an unpickler without joblib does."""
        cursor = yield from self.cursor.fork()
        self.plain = WalkResult()
        plain = _Walk(cursor, self.plain, [one.copy_state(self.plain) for one in self.machines], joblib=False)
        plain.frame = self.frame
        try:
            yield from plain._follow_one()
            self.plain.pickles = 1
            yield from plain.follow_all()
        except (MalformedFileException, BrokenPickleException) as error:
            self.plain.error = str(error)

    def _add_plain(self) -> None:
        """Add the result of that walk, if it has any: arrays are seldom instructions."""
        whole = self.plain is not None and self.plain.pickles > 0 and self.plain.error is None
        if self.result.error is not None and WRAPPED_ARRAY in self.result.imports and not whole:
            self.result.imports.add(UNKNOWN)  # the next read of joblib is unknown
        if self.plain is not None and (whole or self.plain.calls):
            self.result.add(self.plain)


def _is_array(value: Value) -> bool:
    return isinstance(value, Instance) and value.made_by == WRAPPED_ARRAY
