"""What CPython's unpicklers make of instructions, as far as it decides what they import, and where they give up.

A `Machine` has a stack, marks and a memo as they have. In place of values it keeps what is known of them: texts, small
numbers, tuples, lists and dictionaries are themselves, imports are an `Import`, everything else is a `Kind`. It gives
up (`BrokenPickleException`) only where the unpickler in Python does and the one in C as well, so that nothing that one
of them looks up is missed.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, NamedTuple, NoReturn, TypeAlias

from kamiwaza_sdk.formats.pickles.rules import UNRESOLVED

#: No module, and nothing in one, has a longer name.
MAX_NAME: Final = 1024
MAX_IMPORTS: Final = 10_000
#: What a memo may hold: a pickler stores only what it has just made, so half as much as there are instructions.
MAX_MEMO: Final = 2_500_000


class BrokenPickleException(Exception):
    """Both unpicklers raise here. Never leaves this package."""


class PickleLimitException(Exception):
    """A pickle asks for more than looking at it is allowed to take. Never leaves this package."""

    def __init__(self, reason: str, limit: int) -> None:
        super().__init__(reason, limit)
        self.reason = reason
        self.limit = limit


class Kind(Enum):
    """A value that is not known more closely."""

    ANY = auto()
    TEXT = auto()
    BYTES = auto()
    BYTEARRAY = auto()
    NUMBER = auto()
    SET = auto()
    FROZENSET = auto()
    #: What a memo does not hold.
    MISSING = auto()
    #: In a dictionary: some of its items were not kept.
    MORE = auto()


class Import(NamedTuple):
    """What the import of a name leads to: a class, a function, anything."""

    module: str
    name: str

    @property
    def is_plain(self) -> bool:
        """Whether module and name are identifiers, with dots or without."""
        return all(part.isidentifier() for text in self for part in text.split("."))


#: What a code stands for that the loading program has registered with `copyreg`.
EXTENSION: Final = Import("copyreg", UNRESOLVED)
UNKNOWN: Final = Import(UNRESOLVED, UNRESOLVED)


#: What joblib writes before an array.
WRAPPED_ARRAY: Final = Import("joblib.numpy_pickle", "NumpyArrayWrapper")


class Instance:
    """What calling an import returned, or a new object of an imported class, and the state that it was given since."""

    __slots__ = ("arguments", "is_object", "made_by", "state")

    def __init__(self, made_by: Import, arguments: "Value") -> None:
        self.made_by = made_by
        self.arguments = arguments
        self.is_object = False
        self.state: Value = None


Value: TypeAlias = (
    "bool | int | str | tuple[Value, ...] | list[Value] | dict[Value, Value] | Import | Instance | Kind | None"
)
_NOT_CALLABLE: Final = (str, int, tuple, list, dict, type(None), Kind)
_NOT_ITERABLE: Final = (int, type(None))


class Observations:
    """What the machines of a walk have seen together.

    Attributes:
        imports: What is imported, or may be.
        calls: Whether an import whose module and name are identifiers is called.
        altered: Imports that are given attributes or items: what they do is not what their names say any more.
        extensions: Whether a code stands for an import.
        storages: What PyTorch's persistent ids tell: how many elements of which type, by key.
    """

    def __init__(self) -> None:
        self.imports = set[Import]()
        self.calls = False
        self.altered = set[Import]()
        self.extensions = False
        self.storages = dict[str, tuple[Import, int]]()
        self.conflicting = False

    def add_storage(self, identity: Value) -> None:
        """Note a storage of PyTorch's: ``("storage", type, key, place, count, …)``."""
        match identity:
            case ("storage", Import() as kind, str() as key, _, int() as count, *_):
                self.conflicting |= self.storages.setdefault(key, (kind, count)) != (kind, count)
            case _:
                pass


class Machine:
    """A stack, marks and a memo.

    Attributes:
        keeps_memo: Whether the memo is kept from one pickle to the next.
        lenient: Whether an import is noted as well that must fail, because its module or name is no text. Only where
            nothing else follows the same pickle, and can say what it is.
    """

    def __init__(self, seen: Observations, *, keeps_memo: bool = True) -> None:
        self.observations = seen
        self.keeps_memo = keeps_memo
        self.stack = list[Value]()
        self.below = list[list[Value]]()
        self.memo = dict[int, Value]()
        self.lenient = True

    def begin(self) -> None:
        """Forget what the pickle before has left, the memo only if that is not kept."""
        self.stack = []
        self.below = []
        if not self.keeps_memo:
            self.memo = {}

    def copy_state(self, seen: Observations) -> "Machine":
        """Return one in the same state, that shares nothing which can change."""
        copy = Machine(seen, keeps_memo=self.keeps_memo)
        copy.stack = _without_containers(self.stack)
        copy.below = [_without_containers(values) for values in self.below]
        copy.memo = dict(zip(self.memo, _without_containers(self.memo.values()), strict=True))
        copy.lenient = False
        return copy

    # What instructions need.

    def pop(self) -> Value:
        """Take the top off the stack."""
        if not self.stack:
            fail("the stack is empty")
        return self.stack.pop()

    def top(self) -> Value:
        """Return the top of the stack."""
        if not self.stack:
            fail("the stack is empty")
        return self.stack[-1]

    def pop_mark(self) -> list[Value]:
        """Take everything off the stack that is above the last mark, and the mark."""
        if not self.below:
            fail("there is no mark")
        items, self.stack = self.stack, self.below.pop()
        return items

    def take(self, count: int) -> tuple[Value, ...]:
        """Take so many values off the stack."""
        if len(self.stack) < count:
            fail("the stack is empty")
        taken = tuple(self.stack[-count:])
        del self.stack[-count:]
        return taken

    def import_name(self, module: str, name: str) -> Import:
        """Note an import. That of nothing fails in the import itself, so that it is none."""
        found = UNKNOWN if len(module) > MAX_NAME or len(name) > MAX_NAME else Import(module, name)
        if module:
            self.observations.imports.add(found)
            if len(self.observations.imports) > MAX_IMPORTS:
                raise PickleLimitException(f"it imports more than {MAX_IMPORTS} names", MAX_IMPORTS)
        return found

    def store(self, key: int) -> None:
        """Put the top into the memo."""
        self.memo[key] = self.top()
        if len(self.memo) > MAX_MEMO:
            what = f"it stores more than {MAX_MEMO} values in its memo; that is no ordinary file"
            raise PickleLimitException(what, MAX_MEMO)

    def call(self, function: Value, arguments: Value) -> Value:
        """Return what is known of the result."""
        if isinstance(function, Import):
            self._use(function)
        elif isinstance(function, _NOT_CALLABLE) and function is not Kind.ANY:
            fail("what is called is no function")
        if isinstance(arguments, _NOT_ITERABLE) or arguments is Kind.NUMBER:
            fail("a call without arguments")
        return Instance(function, arguments) if isinstance(function, Import) else Kind.ANY

    def _use(self, used: Import) -> None:
        if used is EXTENSION:
            self.observations.imports.add(used)
        self.observations.calls |= used.is_plain

    def change(self, target: Value, allowed: tuple[type, ...], kinds: tuple[Kind, ...]) -> None:
        """Note that something is changed, or give up: what is of another type cannot be."""
        if isinstance(target, Import):
            self._use(target)
            self.observations.altered.add(target)
        elif not isinstance(target, (*allowed, Instance)) and target not in (Kind.ANY, *kinds):
            fail("what is to be changed cannot be")


def fail(reason: str) -> NoReturn:
    """Raise: no unpickler goes on here."""
    raise BrokenPickleException(reason)


def _without_containers(values: Iterable[Value]) -> list[Value]:
    return [_without_content(value) for value in values]


def _without_content(value: Value) -> Value:
    if isinstance(value, Import | str | int | Kind) or value is None:
        return value
    if not isinstance(value, Instance):
        return type(value)()
    copy = Instance(value.made_by, ())
    copy.is_object = value.is_object
    return copy
