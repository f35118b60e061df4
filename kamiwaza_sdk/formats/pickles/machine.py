"""A model of CPython's unpicklers, precise enough to know what they import, and where they fail.

A `Machine` has a stack, marks and a memo as they have. It stores what is known of each value: texts, small numbers,
tuples, lists and dictionaries are themselves, an import is an `Import`, any other value is a `Kind`. It fails
(`BrokenPickleException`) only where the unpicklers in Python and in C both do, so that it misses no import of either.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, NamedTuple, NoReturn, TypeAlias

from kamiwaza_sdk.formats.pickles.rules import UNRESOLVED

#: No module, and no name in one, is longer.
MAX_NAME: Final = 1024
MAX_IMPORTS: Final = 10_000
#: The entries of a memo. A pickler stores a value that it has just made, so there are half as many as instructions.
MAX_MEMO: Final = 2_500_000


class BrokenPickleException(Exception):
    """Both unpicklers raise here. Stays inside this package."""


class PickleLimitException(Exception):
    """A pickle exceeds a limit. Stays inside this package."""

    def __init__(self, reason: str, limit: int) -> None:
        super().__init__(reason, limit)
        self.reason = reason
        self.limit = limit


class Kind(Enum):
    """A value of which no more is known."""

    ANY = auto()
    TEXT = auto()
    BYTES = auto()
    BYTEARRAY = auto()
    NUMBER = auto()
    SET = auto()
    FROZENSET = auto()
    #: The memo has no such key.
    MISSING = auto()
    #: In a dictionary: some of its items were dropped.
    MORE = auto()


class Import(NamedTuple):
    """An imported class, function or other object."""

    module: str
    name: str

    @property
    def is_plain(self) -> bool:
        """Whether module and name are identifiers, with dots or without."""
        return all(part.isidentifier() for text in self for part in text.split("."))


#: The object of a code that the loading program has registered with `copyreg`.
EXTENSION: Final = Import("copyreg", UNRESOLVED)
UNKNOWN: Final = Import(UNRESOLVED, UNRESOLVED)


#: joblib writes this before an array.
WRAPPED_ARRAY: Final = Import("joblib.numpy_pickle", "NumpyArrayWrapper")


class Instance:
    """The result of a call of an import, or a new object of an imported class, with its state."""

    __slots__ = ("arguments", "is_object", "made_by", "state")

    def __init__(self, made_by: Import, arguments: "Value") -> None:
        self.made_by: Import = made_by
        self.arguments: Value = arguments
        self.is_object: bool = False
        self.state: Value = None


Value: TypeAlias = (
    "bool | int | str | tuple[Value, ...] | list[Value] | dict[Value, Value] | Import | Instance | Kind | None"
)
_NOT_CALLABLE: Final = (str, int, tuple, list, dict, type(None), Kind)
_NOT_ITERABLE: Final = (int, type(None))


class Observations:
    """What the machines of a walk have observed together.

    Attributes:
        imports: Everything that is imported, or may be.
        calls: Whether an import whose module and name are identifiers is called.
        altered: Imports that are given attributes or items, so that their names no longer tell what they do.
        extensions: Whether a code stands for an import.
        storages: PyTorch's persistent ids: the type and the number of elements, by key.
        conflicting: Whether two of them contradict each other.
    """

    def __init__(self) -> None:
        self.imports: set[Import] = set[Import]()
        self.calls = False
        self.altered: set[Import] = set[Import]()
        self.extensions = False
        self.storages: dict[str, tuple[Import, int]] = dict[str, tuple[Import, int]]()
        self.conflicting: bool = False

    def add_storage(self, identity: Value) -> None:
        """Add a storage of PyTorch: ``("storage", type, key, place, count, …)``."""
        match identity:
            case ("storage", Import() as kind, str() as key, _, int() as count, *_):
                self.conflicting |= self.storages.setdefault(key, (kind, count)) != (kind, count)
            case _:
                pass


class Machine:
    """A stack, marks and a memo.

    Attributes:
        keeps_memo: Whether the memo survives from one pickle to the next.
        lenient: Whether to report also an import that must fail, because its module or name is no text. Only while no
            other machine walks through the same pickle, and can decide it.
    """

    def __init__(self, observations: Observations, *, keeps_memo: bool = True) -> None:
        self.observations = observations
        self.keeps_memo = keeps_memo
        self.stack: list[Value] = list[Value]()
        self.below: list[list[Value]] = list[list[Value]]()
        self.memo: dict[int, Value] = dict[int, Value]()
        self.lenient = True

    def begin(self) -> None:
        """Forget the state of the pickle before, the memo only if it does not survive."""
        self.stack = []
        self.below = []
        if not self.keeps_memo:
            self.memo = {}

    def copy_state(self, observations: Observations) -> "Machine":
        """Return a machine in the same state, without the contents of containers."""
        copy = Machine(observations, keeps_memo=self.keeps_memo)
        copy.stack = _without_containers(self.stack)
        copy.below = [_without_containers(values) for values in self.below]
        copy.memo = dict(zip(self.memo, _without_containers(self.memo.values()), strict=True))
        copy.lenient = False
        return copy

    # Operations of instructions.

    def pop(self) -> Value:
        """Pop the top of the stack."""
        if not self.stack:
            fail("the stack is empty")
        return self.stack.pop()

    def top(self) -> Value:
        """Return the top of the stack."""
        if not self.stack:
            fail("the stack is empty")
        return self.stack[-1]

    def pop_mark(self) -> list[Value]:
        """Pop everything above the last mark, and the mark."""
        if not self.below:
            fail("there is no mark")
        items, self.stack = self.stack, self.below.pop()
        return items

    def take(self, count: int) -> tuple[Value, ...]:
        """Pop so many values."""
        if len(self.stack) < count:
            fail("the stack is empty")
        taken = tuple(self.stack[-count:])
        del self.stack[-count:]
        return taken

    def import_name(self, module: str, name: str) -> Import:
        """Report an import. Without a module it fails, and is none."""
        found = UNKNOWN if len(module) > MAX_NAME or len(name) > MAX_NAME else Import(module, name)
        if module:
            self.observations.imports.add(found)
            if len(self.observations.imports) > MAX_IMPORTS:
                raise PickleLimitException(f"it imports more than {MAX_IMPORTS} names", MAX_IMPORTS)
        return found

    def store(self, key: int) -> None:
        """Put the top of the stack into the memo."""
        self.memo[key] = self.top()
        if len(self.memo) > MAX_MEMO:
            what = f"it stores more than {MAX_MEMO} values in its memo; that is no ordinary file"
            raise PickleLimitException(what, MAX_MEMO)

    def call(self, function: Value, arguments: Value) -> Value:
        """Return what is known of the result of a call."""
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
        """Report a change of an object; fail if its type cannot be changed."""
        if isinstance(target, Import):
            self._use(target)
            self.observations.altered.add(target)
        elif not isinstance(target, (*allowed, Instance)) and target not in (Kind.ANY, *kinds):
            fail("what is to be changed cannot be")


def fail(reason: str) -> NoReturn:
    """Raise: no unpickler continues here."""
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
