"""Names the types that a file of skops asks for and skops does not trust by itself.

The format: https://skops.readthedocs.io/en/stable/persistence.html; each object of ``schema.json`` is a node with its
class, its module and the loader that makes it. Each loader trusts other types.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from kamiwaza_sdk.formats.pickles.machine import Import

#: What loaders trust, besides the names in ``skops.json``, which ``tests.formats.skops_oracle`` makes.
_PLAIN: Final[Mapping[str, frozenset[str]]] = {
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
_HARMLESS: Final = frozenset({"CachedNode", "JsonNode"})


def untrusted_types(schema: Mapping[str, Any]) -> set[Import]:  # Any: JSON
    """Return the modules and names of the types, functions and methods that skops wants to be told to trust."""
    found = set[Import]()
    for node in _nodes(schema):
        loader, module, name = (str(node[key]) for key in ("__loader__", "__module__", "__class__"))
        if loader in _HARMLESS:
            continue
        if f"{module}.{name}" not in _PLAIN.get(loader, frozenset()) | _listed().get(loader, frozenset()):
            found.add(Import(module, name))
        content = node.get("content")
        if loader == "MethodNode" and isinstance(content, dict):
            found.add(Import(module, f"{name}.{content.get('func', '?')}"))
    return found


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:  # Any: JSON
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
def _listed() -> Mapping[str, frozenset[str]]:
    loaders = json.loads(files(__package__).joinpath("skops.json").read_text("utf-8"))["loaders"]
    return {
        loader: frozenset(f"{module}.{name}" for module, names in modules.items() for name in names.split())
        for loader, modules in loaders.items()
    }
