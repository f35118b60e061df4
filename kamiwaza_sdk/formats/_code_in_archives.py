"""Finds code that archives hold or name without a pickle.

That are Keras's Lambda layers, TorchScript, PyTorch's packages, compiled programs, types of skops, and what NeMo's
configurations name.

How Keras writes objects: https://keras.io/guides/serialization_and_saving/, ``keras/src/saving/serialization_lib.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Final, TypeAlias

from kamiwaza_sdk.formats._archive import Member, open_member
from kamiwaza_sdk.formats._front_matter import read_yaml
from kamiwaza_sdk.formats._json import read_json
from kamiwaza_sdk.formats._packed import Allowance
from kamiwaza_sdk.formats._pickle_machine import MAX_IMPORTS, Import
from kamiwaza_sdk.formats._pickles import Found
from kamiwaza_sdk.formats._programs import is_program
from kamiwaza_sdk.formats._skops import untrusted_types
from kamiwaza_sdk.formats._source import ByteSource, Cursor, Reading
from kamiwaza_sdk.formats.exceptions import FormatException

__all__ = ["MAX_NEMO", "find_code", "find_code_of_nemo"]

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
