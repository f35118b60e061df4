"""The effect of each instruction of a pickle on a `Machine`."""

import codecs
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from kamiwaza_sdk.formats.pickles.machine import (
    EXTENSION,
    MAX_NAME,
    UNKNOWN,
    Import,
    Instance,
    Kind,
    Machine,
    Value,
    fail,
)

#: Takes the machine and its argument without the length, `None` where that is long and was skipped.
Instruction: TypeAlias = Callable[[Machine, bytes | None], None]

_HIGHEST_PROTOCOL: Final = 5
#: The numbers that `int` reads with base 0, and `strtol`, which takes 010 for octal.
_INTEGER: Final = re.compile(rb"[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*)")
_LONGEST_INTEGER: Final = 19
_QUOTES: Final = b"'\""
#: The items of a dictionary that are stored. No object that is inspected has as many attributes.
MAX_ITEMS: Final = 64


def _fill(target: dict[Value, Value], items: list[Value]) -> None:
    """Store the first items of a dictionary whose keys are texts or numbers."""
    for key, value in zip(items[: 2 * MAX_ITEMS : 2], items[1 : 2 * MAX_ITEMS : 2], strict=True):
        if type(key) in {str, int} and (len(target) < MAX_ITEMS or key in target):
            target[key] = value
        else:
            target[Kind.MORE] = None
    if len(items) > 2 * MAX_ITEMS:
        target[Kind.MORE] = None


def _mark(machine: Machine, _: bytes | None) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, _: bytes | None) -> None:
    if machine.stack:
        del machine.stack[-1]
    else:
        machine.pop_mark()


def _pop_mark(machine: Machine, _: bytes | None) -> None:
    machine.pop_mark()


def _dup(machine: Machine, _: bytes | None) -> None:
    machine.stack.append(machine.top())


def _stop(machine: Machine, _: bytes | None) -> None:
    machine.top()


def _nothing(machine: Machine, _: bytes | None) -> None:
    """Change nothing, as a frame does."""


def _proto(machine: Machine, raw: bytes | None) -> None:
    if raw is None or raw[0] > _HIGHEST_PROTOCOL:
        fail("no protocol has such a number")


def _pushes(value: Value) -> Instruction:
    def push(machine: Machine, _: bytes | None) -> None:
        machine.stack.append(value)

    return push


def _pushes_new(make: Callable[[], Value]) -> Instruction:
    def push(machine: Machine, _: bytes | None) -> None:
        machine.stack.append(make())

    return push


def _pushes_tuple(count: int) -> Instruction:
    def push(machine: Machine, _: bytes | None) -> None:
        machine.stack.append(machine.take(count))

    return push


def _tuple(machine: Machine, _: bytes | None) -> None:
    items = tuple(machine.pop_mark())  # the call replaces the stack
    machine.stack.append(items)


def _list(machine: Machine, _: bytes | None) -> None:
    items = machine.pop_mark()
    machine.stack.append(items)


def _dict(machine: Machine, _: bytes | None) -> None:
    items = machine.pop_mark()
    made = dict[Value, Value]()
    if len(items) % 2:
        fail("a key without a value")
    _fill(made, items)
    machine.stack.append(made)


def _frozenset(machine: Machine, _: bytes | None) -> None:
    machine.pop_mark()
    machine.stack.append(Kind.FROZENSET)


def _append(machine: Machine, _: bytes | None) -> None:
    (value,) = machine.take(1)
    target = machine.top()
    machine.change(target, (list,), (Kind.BYTEARRAY,))
    if isinstance(target, list):
        target.append(value)


def _appends(machine: Machine, _: bytes | None) -> None:
    items = machine.pop_mark()
    target = machine.top()
    if items:
        machine.change(target, (list,), (Kind.BYTEARRAY,))
    if isinstance(target, list):
        target += items


def _set_items(machine: Machine, items: list[Value]) -> None:
    if not items:  # then the unpickler in C ignores the target
        return
    target = machine.top()
    machine.change(target, (list, dict), (Kind.BYTEARRAY,))
    if len(items) % 2:
        fail("a key without a value")
    if isinstance(target, dict):
        _fill(target, items)
    elif isinstance(target, list):
        target[:] = [Kind.ANY]


def _setitem(machine: Machine, _: bytes | None) -> None:
    _set_items(machine, list(machine.take(2)))


def _setitems(machine: Machine, _: bytes | None) -> None:
    _set_items(machine, machine.pop_mark())


def _additems(machine: Machine, _: bytes | None) -> None:
    items = machine.pop_mark()
    target = machine.top()
    if items:
        machine.change(target, (), (Kind.SET,))


def _build(machine: Machine, _: bytes | None) -> None:
    (state,) = machine.take(1)
    target = machine.top()
    if isinstance(target, Import):
        machine.change(target, (), ())
    elif isinstance(target, Instance):
        target.state = state


def _reduce(machine: Machine, _: bytes | None) -> None:
    function, arguments = machine.take(2)
    machine.stack.append(machine.call(function, arguments))


def _newobj(machine: Machine, raw: bytes | None) -> None:
    _reduce(machine, raw)
    if isinstance(made := machine.stack[-1], Instance):
        made.is_object = True


def _newobj_ex(machine: Machine, _: bytes | None) -> None:
    made_by, arguments, _named = machine.take(3)
    machine.stack.append(machine.call(made_by, arguments))


def _obj(machine: Machine, _: bytes | None) -> None:
    items = machine.pop_mark()
    if not items:
        fail("there is no class")
    machine.stack.append(machine.call(items[0], tuple(items[1:])))


def _lines(raw: bytes | None, encoding: str) -> tuple[str, str] | None:
    """Return the two lines of an argument; `None` where they are too long."""
    if raw is None:
        return None
    try:
        module, name = raw.decode(encoding).split("\n")[:2]
    except UnicodeDecodeError:
        fail("a name that is no text")
    return module, name


def _global(machine: Machine, raw: bytes | None) -> None:
    names = _lines(raw, "utf-8")
    machine.stack.append(machine.import_name(*(names or UNKNOWN)))


def _inst(machine: Machine, raw: bytes | None) -> None:
    # The unpickler in Python looks the class up before it looks for the mark.
    names = _lines(raw, "ascii")
    made_by = machine.import_name(*(names or UNKNOWN))
    arguments = machine.pop_mark()
    machine.stack.append(machine.call(made_by, tuple(arguments)))


def _may_be_text(value: Value) -> bool:
    if isinstance(value, Instance):  # a text is an object of no class but one
        return not value.is_object or value.made_by.name in {"str", "unicode"}
    return isinstance(value, str) or value is Kind.ANY or value is Kind.TEXT


def _stack_global(machine: Machine, _: bytes | None) -> None:
    module, name = machine.stack[-2:] if len(machine.stack) > 1 else (Kind.MISSING, Kind.MISSING)
    fails = not (_may_be_text(module) and _may_be_text(name))
    if fails and not machine.lenient:
        fail("a module or a name that is no text")
    known = (module, name) if isinstance(module, str) and isinstance(name, str) else UNKNOWN
    found = machine.import_name(*known)
    if fails:
        fail("a module or a name that is no text")
    del machine.stack[-2:]
    machine.stack.append(found)


def _extension(machine: Machine, raw: bytes | None) -> None:
    if int.from_bytes(raw or b"", "little", signed=len(raw or b"") == 4) <= 0:  # noqa: PLR2004 - EXT4
        fail("no extension has such a code")
    machine.observations.extensions = True
    machine.stack.append(EXTENSION)


def _persistent(machine: Machine, raw: bytes | None) -> None:
    if raw is not None and not raw.isascii():
        fail("a persistent id that is no text")
    machine.stack.append(Kind.ANY)


def _binary_persistent(machine: Machine, _: bytes | None) -> None:
    machine.observations.add_storage(machine.pop())
    machine.stack.append(Kind.ANY)


def _readonly_buffer(machine: Machine, _: bytes | None) -> None:
    target = machine.top()
    if isinstance(target, (str, int, tuple, list, dict, type(None))):
        fail("what is no buffer")


# Arguments.


def _line_number(raw: bytes | None) -> int | None:
    """Return the number in a line, `None` where it is large. The unpickler in C reads up to a NUL."""
    text = (raw or b"").partition(b"\0")[0].strip()
    if raw is None or not _INTEGER.fullmatch(text):
        fail("a line that is no number")
    if len(text) > _LONGEST_INTEGER:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None


def _key(raw: bytes | None) -> int:
    text = (raw or b"").partition(b"\0")[0].strip().replace(b"_", b"")
    if not text.isdigit() or len(text) > _LONGEST_INTEGER:
        fail("no memo has such a key")
    return int(text)


def _int(machine: Machine, raw: bytes | None) -> None:
    if raw is not None and raw.startswith(b"\0"):  # nothing up to a NUL is zero to `strtol`
        machine.stack.append(0)
        return
    if raw in (b"00\n", b"01\n"):
        machine.stack.append(raw == b"01\n")
        return
    number = _line_number(raw)
    machine.stack.append(Kind.NUMBER if number is None else number)


def _long(machine: Machine, raw: bytes | None) -> None:
    number = _line_number((raw or b"").removesuffix(b"\n").removesuffix(b"L"))
    machine.stack.append(Kind.NUMBER if number is None else number)


def _float(machine: Machine, raw: bytes | None) -> None:
    try:
        float((raw or b"").partition(b"\0")[0])
    except ValueError:
        fail("a line that is no number")
    machine.stack.append(Kind.NUMBER)


def _unsigned(machine: Machine, raw: bytes | None) -> None:
    machine.stack.append(int.from_bytes(raw or b"", "little"))


def _signed(machine: Machine, raw: bytes | None) -> None:
    machine.stack.append(Kind.NUMBER if raw is None or len(raw) > 8 else int.from_bytes(raw, "little", signed=True))  # noqa: PLR2004 - bytes of a usual number


def _text(machine: Machine, raw: bytes | None) -> None:
    try:
        machine.stack.append(Kind.TEXT if raw is None else raw.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        fail("a text that is none")


def _old_text(machine: Machine, raw: bytes | None) -> None:
    """Push a text of Python 2, whose encoding the loading program can choose."""
    machine.stack.append(raw.decode("ascii") if raw is not None and raw.isascii() else Kind.TEXT)


def _unicode(machine: Machine, raw: bytes | None) -> None:
    if raw is None or len(raw) > MAX_NAME:
        machine.stack.append(Kind.TEXT)
        return
    try:
        machine.stack.append(codecs.decode(raw[:-1], "raw-unicode-escape"))
    except UnicodeDecodeError:
        fail("a text that is none")


def _string(machine: Machine, raw: bytes | None) -> None:
    if raw is None or len(raw) > MAX_NAME:
        machine.stack.append(Kind.TEXT)
        return
    text = raw[:-1]
    if len(text) < 2 or text[0] != text[-1] or text[0] not in _QUOTES:  # noqa: PLR2004 - both quotes
        fail("a text without quotes")
    # No pickler escapes the name of a module so, and Python warns of escapes that do not exist.
    _old_text(machine, None if b"\\" in text else text[1:-1])


def _put(key_of: Callable[[bytes | None], int]) -> Instruction:
    def put(machine: Machine, raw: bytes | None) -> None:
        machine.store(key_of(raw))

    return put


def _get(key_of: Callable[[bytes | None], int]) -> Instruction:
    def get(machine: Machine, raw: bytes | None) -> None:
        value = machine.memo.get(key_of(raw), Kind.MISSING)
        if value is Kind.MISSING and not machine.lenient:
            fail("what the memo does not hold")
        machine.stack.append(value)

    return get


def _memoize(machine: Machine, _: bytes | None) -> None:
    machine.store(len(machine.memo))


def _binary_key(raw: bytes | None) -> int:
    return int.from_bytes(raw or b"", "little")


INSTRUCTIONS: Final[dict[str, Instruction]] = {
    "MARK": _mark,
    "STOP": _stop,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _dup,
    "PROTO": _proto,
    "FRAME": _nothing,
    "NONE": _pushes(None),
    "NEWTRUE": _pushes(True),
    "NEWFALSE": _pushes(False),
    "INT": _int,
    "BININT": _signed,
    "BININT1": _unsigned,
    "BININT2": _unsigned,
    "LONG": _long,
    "LONG1": _signed,
    "LONG4": _signed,
    "FLOAT": _float,
    "BINFLOAT": _pushes(Kind.NUMBER),
    "STRING": _string,
    "BINSTRING": _old_text,
    "SHORT_BINSTRING": _old_text,
    "UNICODE": _unicode,
    "BINUNICODE": _text,
    "SHORT_BINUNICODE": _text,
    "BINUNICODE8": _text,
    "BINBYTES": _pushes(Kind.BYTES),
    "SHORT_BINBYTES": _pushes(Kind.BYTES),
    "BINBYTES8": _pushes(Kind.BYTES),
    "BYTEARRAY8": _pushes(Kind.BYTEARRAY),
    "NEXT_BUFFER": _pushes(Kind.ANY),
    "READONLY_BUFFER": _readonly_buffer,
    "EMPTY_TUPLE": _pushes(()),
    "TUPLE": _tuple,
    "TUPLE1": _pushes_tuple(1),
    "TUPLE2": _pushes_tuple(2),
    "TUPLE3": _pushes_tuple(3),
    "EMPTY_LIST": _pushes_new(list),
    "LIST": _list,
    "APPEND": _append,
    "APPENDS": _appends,
    "EMPTY_DICT": _pushes_new(dict),
    "DICT": _dict,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "EMPTY_SET": _pushes(Kind.SET),
    "FROZENSET": _frozenset,
    "ADDITEMS": _additems,
    "PUT": _put(_key),
    "BINPUT": _put(_binary_key),
    "LONG_BINPUT": _put(_binary_key),
    "MEMOIZE": _memoize,
    "GET": _get(_key),
    "BINGET": _get(_binary_key),
    "LONG_BINGET": _get(_binary_key),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "REDUCE": _reduce,
    "NEWOBJ": _newobj,
    "NEWOBJ_EX": _newobj_ex,
    "BUILD": _build,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "PERSID": _persistent,
    "BINPERSID": _binary_persistent,
}
