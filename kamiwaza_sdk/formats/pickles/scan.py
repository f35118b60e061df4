"""Scans streams of pickles, and finds code that archives hold or name outside of pickles.

Pickles are bare, written by joblib, of PyTorch's format before 1.6, or arrays of NumPy. Code outside of them: Keras's
Lambda layers (https://keras.io/guides/serialization_and_saving/, ``keras/src/saving/serialization_lib.py``),
TorchScript, packages of PyTorch, compiled programs, types of skops
(https://skops.readthedocs.io/en/stable/persistence.html), classes that a configuration of NeMo names.
"""

import json
import pickletools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from kamiwaza_sdk.formats.containers.archive import Member, open_member
from kamiwaza_sdk.formats.containers.packed import Allowance
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.kinds import is_pickle_name, is_program
from kamiwaza_sdk.formats.metadata import read_yaml
from kamiwaza_sdk.formats.pickles.machine import MAX_IMPORTS, Import
from kamiwaza_sdk.formats.pickles.rules import judge
from kamiwaza_sdk.formats.pickles.walk import WalkResult, parse_header, walk_pickles
from kamiwaza_sdk.formats.schemas.files import PickleImportSchema, PickleVerdict
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading, read_json

#: The first pickle of PyTorch's old format is this number.
_TORCH: Final = re.compile(rb"\x80[\x02-\x05]\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.")
#: The number, a version, the system, the objects, the keys of the storages.
_TORCH_PICKLES: Final = 5
#: The bytes before each storage, which count its elements.
_TORCH_COUNT: Final = 8
_TORCH_SIZES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("Bool", "Byte", "Char", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8", "Untyped"), 1),
    **dict.fromkeys(("BFloat16", "Half", "Short"), 2),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("ComplexFloat", "Double", "Long"), 8),
    "ComplexDouble": 16,
}
#: The instructions that take nothing off the stack, so that a pickle can begin with them; many are letters.
BEGINNINGS: Final = frozenset(ord(code.code) for code in pickletools.opcodes if not code.stack_before)
NUMPY: Final = b"\x93NUMPY"
#: Programs read one pickle from a file with such a name, so that others do not belong there.
_PLAIN: Final = (".pkl", ".pickle", ".joblib")
_PEEK: Final = 8
_MAX_DESCRIPTION: Final = 65_536
#: The longest configuration of NeMo that is read: those of its models have a tenth of it.
MAX_NEMO: Final = 256 * 1024
_MAX_CONFIGURATION: Final = 16 * 1024**2
_PROGRAM_HEAD: Final = 4096
_MOST_SHOWN: Final = 3
#: The packages of Keras's own layers.
_KERAS: Final = frozenset({"keras", "keras_hub", "keras_nlp", "keras_cv", "builtins", "tf_keras"})
#: The types that loaders of skops trust, besides those in ``skops.json``, which ``tests.formats.skops_oracle`` writes.
_SKOPS_TRUSTED: Final[Mapping[str, frozenset[str]]] = {
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "DefaultDictNode": frozenset({"collections.defaultdict"}),
    "DictNode": frozenset({"builtins.dict", "collections.OrderedDict"}),
    "ListNode": frozenset({"builtins.list"}),
    "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "TupleNode": frozenset({"builtins.tuple"}),
}
#: Loaders that make no object of the type they name: of JSON, and of nodes that are elsewhere.
_SKOPS_HARMLESS: Final = frozenset({"CachedNode", "JsonNode"})

_Members: TypeAlias = Mapping[str, Member]


class ScanResult:
    """The result of a scan so far.

    Attributes:
        imports: The imports of the pickles.
        pickles: The number of pickles.
        expected: Whether the name of a scanned file says that it is a pickle.
        findings: Other reasons for suspicion.
        code: Code outside of pickles: a verdict, and the reason.
        unread: The reasons for which a part that can hold pickles was not scanned.
    """

    def __init__(self) -> None:
        self.imports: set[Import] = set[Import]()
        self.pickles: int = 0
        self.expected = False
        self.findings: list[str] = list[str]()
        self.code: list[tuple[PickleVerdict, str]] = list[tuple[PickleVerdict, str]]()
        self.unread: list[str] = list[str]()
        self._unfinished: tuple[WalkResult, bool] | None = None

    @property
    def has_pickles(self) -> bool:
        """Whether there are pickles, or should be."""
        return bool(self.pickles or self.imports or self.expected)

    def judged_imports(self) -> tuple[PickleImportSchema, ...]:
        """Return each import with its verdict, sorted."""
        return tuple(
            PickleImportSchema(module=module, name=name, verdict=judge(module, name))
            for module, name in sorted(self.imports)
        )

    def walk(self, cursor: Cursor, *, sure: bool, most: int | None = None, joblib: bool = False) -> Reading[WalkResult]:
        """Walk through the pickles that follow, and add the result if they are pickles: for sure, or by their bytes."""
        walk = WalkResult()
        self._unfinished = walk, sure
        yield from walk_pickles(cursor, walk, most=most, joblib=joblib)
        self.add_unfinished()
        return walk

    def add_unfinished(self) -> None:
        """Add the result of the walk that a limit has broken off."""
        if self._unfinished is not None and (self._unfinished[1] or self._unfinished[0].is_pickle):
            self._add(self._unfinished[0])
        self._unfinished = None

    def _add(self, walk: WalkResult) -> None:
        self.imports |= walk.imports
        self.pickles += walk.pickles
        if walk.error is not None:
            self.findings.append(walk.error)
        if walk.extensions:
            self.findings.append("it names imports by numbers that the loading program has registered")
        self.findings += [f"it changes {module}.{name} itself" for module, name in sorted(walk.altered)]

    def add_names(self, names: Set[Import], what: str) -> None:
        """Add imports outside of pickles, as far as their limit allows, and say that there are some."""
        if not names:
            return
        ordered = sorted(names)
        self.imports.update(ordered[:MAX_IMPORTS])
        self.code.append(("suspicious", f"{what}: {_shown(map('.'.join, ordered))}"))
        if len(ordered) > MAX_IMPORTS:
            self.unread.append(f"of {len(ordered)} names that it imports, only {MAX_IMPORTS} are looked at")


def scan_pickles(
    source: ByteSource, head: bytes, result: ScanResult
) -> Reading[tuple[Literal["pickle", "torch"], str | None]]:
    """Scan a file that is called a pickle, or may be one: then the result is added only if it is one.

    Returns:
        The format of the file, and why it is not a whole pickle, if it is not.
    """
    cursor, is_torch, named = Cursor(source, 0, source.size), is_torch_file(source, head), is_pickle_name(source.path)
    walk = yield from result.walk(cursor, sure=named, most=_TORCH_PICKLES if is_torch else None, joblib=True)
    if is_torch and walk.error is None and (named or walk.is_pickle):
        yield from _skip_storages(cursor, walk, result)
    return "torch" if is_torch else "pickle", walk.error


def is_torch_file(source: ByteSource, head: bytes) -> bool:
    """Return whether a file begins as PyTorch's format before 1.6, and its name allows several pickles."""
    return bool(_TORCH.match(head)) and not source.path.lower().endswith(_PLAIN)


def scan_stream(cursor: Cursor, result: ScanResult, *, named: bool, joblib: bool = False) -> Reading[None]:
    """Scan a file inside another one: arrays of NumPy, or pickles, if its name or its first byte says so."""
    head = yield from cursor.peek(_PEEK)
    if head.startswith(NUMPY):
        yield from scan_arrays(cursor, result)
    elif named or (head and head[0] in BEGINNINGS):
        result.expected |= named
        yield from result.walk(cursor, sure=named, joblib=joblib)


def _skip_storages(cursor: Cursor, walk: WalkResult, result: ScanResult) -> Reading[None]:
    """Skip PyTorch's weights by the keys and sizes in the pickles; report and scan what else follows."""
    left = cursor.end - cursor.offset
    size = _size_of_storages(walk)
    if size == left:
        return
    what = "as many bytes as its storages have" if size is None else f"{size} bytes of storages"
    result.findings.append(f"{left} bytes follow its pickles, where {what} should; how they are loaded cannot be told")
    if size is not None and size < left:
        yield from cursor.skip(size)
    if (yield from cursor.more()):
        yield from result.walk(cursor, sure=False)


def _size_of_storages(walk: WalkResult) -> int | None:
    """Return the bytes of all storages; `None` where the pickles do not tell."""
    keys, size = walk.last, 0
    if not isinstance(keys, list) or walk.conflicting:
        return None
    for key in keys:
        kind, count = walk.storages.get(key, (None, 0)) if isinstance(key, str) else (None, 0)
        item = None if kind is None else _TORCH_SIZES.get(kind.name.removesuffix("Storage"))
        if item is None or kind is None or kind.module.partition(".")[0] != "torch" or count < 0:
            return None
        size += _TORCH_COUNT + count * item
    return size


def scan_arrays(cursor: Cursor, result: ScanResult) -> Reading[None]:
    """Scan arrays of NumPy that follow each other. An array of objects is a pickle; other bytes that follow are too."""
    while (yield from cursor.more()):
        yield from cursor.need(min(_PEEK, cursor.end - cursor.offset))
        if not cursor.data.startswith(NUMPY, cursor.position):
            result.findings.append(f"{cursor.end - cursor.offset} bytes follow the array at byte {cursor.offset}")
            yield from result.walk(cursor, sure=False)
            return
        if not (yield from _skip_numbers(cursor)):
            yield from result.walk(cursor, sure=True)
            return


def _skip_numbers(cursor: Cursor) -> Reading[bool]:
    """Skip an array of numbers, and of any other its header; return whether it was one of numbers."""
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


def find_code(
    source: ByteSource, kind: str, members: _Members, allowance: Allowance, result: ScanResult
) -> Reading[None]:
    """Find code outside of pickles in an archive of that kind."""
    search = _SEARCHES.get(kind)
    if search is not None:
        yield from search(source, members, allowance, result)


def _in_keras(source: ByteSource, members: _Members, allowance: Allowance, result: ScanResult) -> Reading[None]:
    """Find code in the configuration: a layer may hold code of Python, or name a function of any module."""
    member = members.get("config.json")
    if member is None:
        result.unread.append("its configuration is not in a zip archive, and is not read")
        return
    try:
        configuration = yield from _read_document(source, member, allowance)
    except FormatException as error:
        result.code.append(("suspicious", f"its configuration cannot be read: {error.reason}"))
        return
    for one in _objects(configuration):
        name, module = one.get("class_name"), one.get("module")
        if name == "__lambda__" or one.get("function_type") == "lambda":
            result.code.append(("dangerous", "its configuration holds code of Python, as a Lambda layer keeps it"))
        elif name == "Lambda":
            result.code.append(("suspicious", "its configuration has a Lambda layer, which calls a function"))
        elif isinstance(module, str) and module and module.partition(".")[0] not in _KERAS:
            result.code.append(("suspicious", f"its configuration names other code: {module[:80]}.{str(name)[:80]}"))


def _read_document(
    source: ByteSource, member: Member, allowance: Allowance, *, infinite: bool = False
) -> Reading[dict[str, object]]:
    cursor = yield from open_member(source, member, allowance)
    length = cursor.end - cursor.offset
    if length > _MAX_CONFIGURATION:
        source.exceed(f"it has {length} bytes, over the limit of {_MAX_CONFIGURATION}", _MAX_CONFIGURATION)
    return read_json(source, (yield from cursor.take(length)), infinite=infinite)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:  # Any: JSON
    """Yield all objects of a document, without recursion."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            yield one
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def _in_torchscript(source: ByteSource, members: _Members, allowance: Allowance, result: ScanResult) -> Reading[None]:
    yield from ()
    code = [name for name in members if "/code/" in name and name.endswith(".py")]
    result.code.append(("suspicious", f"it holds code of TorchScript: {_shown(code)}"))


def _in_package(source: ByteSource, members: _Members, allowance: Allowance, result: ScanResult) -> Reading[None]:
    """Find the modules in a package of PyTorch, from which its pickles import, whatever the names of these."""
    yield from ()
    code = [name for name in members if name.endswith(".py")]
    if code:
        result.code.append(("suspicious", f"it holds code of Python, which loading it runs: {_shown(code)}"))


def _in_exported(source: ByteSource, members: _Members, allowance: Allowance, result: ScanResult) -> Reading[None]:
    """Find the programs that AOTInductor compiles and loads, by their first bytes and their endings."""
    for name, member in members.items():
        if "/aotinductor/" not in f"/{name}" or name.endswith("/"):
            continue
        cursor = yield from open_member(source, member, allowance)
        if name.endswith((".so", ".cubin", ".hsaco", ".spv")) or is_program((yield from cursor.peek(_PROGRAM_HEAD))):
            result.code.append(("dangerous", f"it holds a program, which loading it runs: {name[:80]}"))


def _in_skops(source: ByteSource, members: _Members, allowance: Allowance, result: ScanResult) -> Reading[None]:
    """Find the types that skops does not trust by itself."""
    member = members.get("schema.json")
    if member is None:
        result.unread.append("its schema is not in a zip archive, and is not read")
        return
    try:
        types = _untrusted_types((yield from _read_document(source, member, allowance, infinite=True)))
    except FormatException as error:
        result.unread.append(f"its schema cannot be read: {error.reason}")
        return
    result.add_names(types, "it names types that skops does not trust")


def _untrusted_types(schema: Mapping[str, Any]) -> set[Import]:  # Any: JSON
    """Return the types, functions and methods that a user of skops has to trust.

    Each node of a schema has a class, its module, and the loader that makes it; each loader trusts other types.
    """
    found = set[Import]()
    for node in _objects(schema):
        if not isinstance(node.get("__loader__"), str) or not {"__module__", "__class__"} <= node.keys():
            continue
        loader, module, name = (str(node[key]) for key in ("__loader__", "__module__", "__class__"))
        if loader in _SKOPS_HARMLESS:
            continue
        if f"{module}.{name}" not in _SKOPS_TRUSTED.get(loader, frozenset()) | _skops_types().get(loader, frozenset()):
            found.add(Import(module, name))
        content = node.get("content")
        if loader == "MethodNode" and isinstance(content, dict):
            found.add(Import(module, f"{name}.{content.get('func', '?')}"))
    return found


@cache
def _skops_types() -> Mapping[str, frozenset[str]]:
    loaders = json.loads(files(__package__).joinpath("skops.json").read_text("utf-8"))["loaders"]
    return {
        loader: frozenset(f"{module}.{name}" for module, names in modules.items() for name in names.split())
        for loader, modules in loaders.items()
    }


def _shown(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _MOST_SHOWN} more" if len(ordered) > _MOST_SHOWN else ""
    return ", ".join(name[:80] for name in ordered[:_MOST_SHOWN]) + more


def find_code_of_nemo(configuration: bytes | None, result: ScanResult) -> None:
    """Find the classes in a configuration of NeMo that are not its own: to load the model calls them.

    Args:
        configuration: The text as far as it was read; `None` where it was not.
        result: Is given the names.
    """
    if configuration is None or len(configuration) > MAX_NEMO:
        result.unread.append(f"its configuration is not read, as it has more than {MAX_NEMO} bytes, or is packed again")
        return
    try:
        targets = set(_targets(read_yaml(configuration.decode("utf-8"))))
    except ValueError as error:
        result.unread.append(f"its configuration cannot be read: {error}")
        return
    names = {Import(module or "?", name) for target in targets for module, _, name in [target.rpartition(".")]}
    result.add_names(names, "its configuration names other code")


def _targets(value: Any) -> Iterator[str]:  # Any: YAML
    """Yield the classes that a configuration names, except NeMo's own."""
    for one in _objects(value):
        target = one.get("_target_")
        if target is not None and not (isinstance(target, str) and target.startswith("nemo.")):
            yield target if isinstance(target, str) else "?"


_SEARCHES: Final[Mapping[str, Callable[[ByteSource, _Members, Allowance, ScanResult], Reading[None]]]] = {
    "keras": _in_keras,
    "skops": _in_skops,
    "torchpackage": _in_package,
    "torchscript": _in_torchscript,
    "pt2": _in_exported,
}
