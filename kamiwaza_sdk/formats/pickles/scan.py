"""Looks through streams of pickles: bare ones, joblib's, PyTorch's old format, arrays of NumPy's.

Finds code that archives hold or name without a pickle.

That are Keras's Lambda layers, TorchScript, PyTorch's packages, compiled programs, types of skops, and what NeMo's
configurations name.

How Keras writes objects: https://keras.io/guides/serialization_and_saving/, ``keras/src/saving/serialization_lib.py``.

Names the types that a file of skops asks for and skops does not trust by itself.

The format: https://skops.readthedocs.io/en/stable/persistence.html; each object of ``schema.json`` is a node with its
class, its module and the loader that makes it. Each loader trusts other types.
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
from kamiwaza_sdk.formats.pickles.walk import Walked, parse_header, walk_pickles
from kamiwaza_sdk.formats.schemas.files import PickleImportSchema, PickleVerdict
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading, read_json

#: What loaders trust, besides the names in ``skops.json``, which ``tests.formats.skops_oracle`` makes.
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
#: They make nothing of the types they name: values of JSON, and nodes that stand elsewhere.
_SKOPS_HARMLESS: Final = frozenset({"CachedNode", "JsonNode"})


def untrusted_types(schema: Mapping[str, Any]) -> set[Import]:  # Any: JSON
    """Return the modules and names of the types, functions and methods that skops wants to be told to trust."""
    found = set[Import]()
    for node in _skops_nodes(schema):
        loader, module, name = (str(node[key]) for key in ("__loader__", "__module__", "__class__"))
        if loader in _SKOPS_HARMLESS:
            continue
        if f"{module}.{name}" not in _SKOPS_TRUSTED.get(loader, frozenset()) | _skops_listed().get(loader, frozenset()):
            found.add(Import(module, name))
        content = node.get("content")
        if loader == "MethodNode" and isinstance(content, dict):
            found.add(Import(module, f"{name}.{content.get('func', '?')}"))
    return found


def _skops_nodes(value: Any) -> Iterator[Mapping[str, Any]]:  # Any: JSON
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
            if isinstance(one.get("__loader__"), str) and {"__module__", "__class__"} <= one.keys():
                yield one
        elif isinstance(one, list):
            waiting += one


@cache
def _skops_listed() -> Mapping[str, frozenset[str]]:
    loaders = json.loads(files(__package__).joinpath("skops.json").read_text("utf-8"))["loaders"]
    return {
        loader: frozenset(f"{module}.{name}" for module, names in modules.items() for name in names.split())
        for loader, modules in loaders.items()
    }


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


#: Of NeMo's configurations, that are read whole: those of its models have a tenth of it.
MAX_NEMO: Final = 256 * 1024

_Members: TypeAlias = Mapping[str, Member]
_MAX_CONFIGURATION: Final = 16 * 1024**2
_HEAD: Final = 4096
_SHOWN: Final = 3
#: What Keras's own layers come from.
_KERAS: Final = frozenset({"keras", "keras_hub", "keras_nlp", "keras_cv", "builtins", "tf_keras"})


def find_code(source: ByteSource, kind: str, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    """Note the code that an archive of that kind holds."""
    search = _SEARCHES.get(kind)
    if search is not None:
        yield from search(source, members, allowance, found)


def _in_keras(source: ByteSource, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    """Look for code in the configuration: a layer may hold code of Python, or name a function of any module."""
    member = members.get("config.json")
    if member is None:
        found.unread.append("its configuration is not in a zip archive, and is not read")
        return
    try:
        cursor = yield from open_member(source, member, allowance)
        text = yield from _whole(cursor, _MAX_CONFIGURATION)
        configuration = read_json(source, text)
    except FormatException as error:
        found.code.append(("suspicious", f"its configuration cannot be read: {error.reason}"))
        return
    for one in _objects(configuration):
        name, module = one.get("class_name"), one.get("module")
        if name == "__lambda__" or one.get("function_type") == "lambda":
            found.code.append(("dangerous", "its configuration holds code of Python, as a Lambda layer keeps it"))
        elif name == "Lambda":
            found.code.append(("suspicious", "its configuration has a Lambda layer, which calls a function"))
        elif isinstance(module, str) and module and module.partition(".")[0] not in _KERAS:
            found.code.append(("suspicious", f"its configuration names other code: {module[:80]}.{str(name)[:80]}"))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:  # Any: JSON
    """Return all objects of a document."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _whole(cursor: Cursor, most: int) -> Reading[bytes]:
    length = cursor.end - cursor.offset
    if length > most:
        cursor.source.exceed(f"it has {length} bytes, over the limit of {most}", most)
    return (yield from cursor.take(length))


def _in_torchscript(source: ByteSource, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    yield from ()
    code = [name for name in members if "/code/" in name and name.endswith(".py")]
    found.code.append(("suspicious", f"it holds code of TorchScript: {_shown(code)}"))


def _in_package(source: ByteSource, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    """Look for the modules that PyTorch's packages bring: what pickles import comes from there, whatever its name."""
    yield from ()
    code = [name for name in members if name.endswith(".py")]
    if code:
        found.code.append(("suspicious", f"it holds code of Python, which loading it runs: {_shown(code)}"))


def _in_exported(source: ByteSource, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    """Look for the programs that AOTInductor compiles and loads, by their first bytes and their endings."""
    for name, member in members.items():
        if "/aotinductor/" not in f"/{name}" or name.endswith("/"):
            continue
        cursor = yield from open_member(source, member, allowance)
        if name.endswith((".so", ".cubin", ".hsaco", ".spv")) or is_program((yield from cursor.peek(_HEAD))):
            found.code.append(("dangerous", f"it holds a program, which loading it runs: {name[:80]}"))


def _in_skops(source: ByteSource, members: _Members, allowance: Allowance, found: Found) -> Reading[None]:
    """Look for the types that skops does not trust by itself, as the user has to."""
    member = members.get("schema.json")
    if member is None:
        found.unread.append("its schema is not in a zip archive, and is not read")
        return
    try:
        cursor = yield from open_member(source, member, allowance)
        types = untrusted_types(read_json(source, (yield from _whole(cursor, _MAX_CONFIGURATION)), infinite=True))
    except FormatException as error:
        found.unread.append(f"its schema cannot be read: {error.reason}")
        return
    _note_named(types, "it names types that skops does not trust", found)


def _note_named(named: Set[Import], what: str, found: Found) -> None:
    """Note what loading imports, as far as the limit of imports goes."""
    if not named:
        return
    ordered = sorted(named)
    found.imports.update(ordered[:MAX_IMPORTS])
    found.code.append(("suspicious", f"{what}: {_shown(map('.'.join, ordered))}"))
    if len(ordered) > MAX_IMPORTS:
        found.unread.append(f"of {len(ordered)} names that it imports, only {MAX_IMPORTS} are looked at")


def _shown(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(name[:80] for name in ordered[:_SHOWN]) + more


def find_code_of_nemo(configuration: bytes | None, found: Found) -> None:
    """Note what NeMo's configuration names besides its own code: loading the model calls it.

    Args:
        configuration: As far as it was read; `None` where it was not.
        found: Where that is noted.
    """
    if configuration is None or len(configuration) > MAX_NEMO:
        found.unread.append(f"its configuration is not read, as it has more than {MAX_NEMO} bytes, or is packed again")
        return
    try:
        targets = set(_targets(read_yaml(configuration.decode("utf-8"))))
    except ValueError as error:
        found.unread.append(f"its configuration cannot be read: {error}")
        return
    named = {Import(module or "?", name) for target in targets for module, _, name in [target.rpartition(".")]}
    _note_named(named, "its configuration names other code", found)


def _targets(value: Any) -> Iterator[str]:  # Any: YAML
    """Yield what objects are to be made of, but for NeMo's own classes."""
    for one in _objects(value):
        target = one.get("_target_")
        if target is not None and not (isinstance(target, str) and target.startswith("nemo.")):
            yield target if isinstance(target, str) else "?"


_SEARCHES: Final[Mapping[str, Callable[[ByteSource, _Members, Allowance, Found], Reading[None]]]] = {
    "keras": _in_keras,
    "skops": _in_skops,
    "torchpackage": _in_package,
    "torchscript": _in_torchscript,
    "pt2": _in_exported,
}
