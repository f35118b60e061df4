"""Every schema of the package, and instances of them that are as large as their types allow."""

import importlib
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, JsonValue, RootModel
from pydantic_settings import BaseSettings

from kamiwaza_sdk._names import PUBLIC
from kamiwaza_sdk.formats import TensorSchema, TensorTable

__all__ = ["large", "public_schemas"]

_MANY = 200
_SCALARS: Mapping[object, object] = {
    str: "text \x1b[2J\n " * _MANY,
    bytes: b"bytes" * _MANY,
    bool: True,
    int: 2**62,
    float: 1 / 3,
    NoneType: None,
    datetime: datetime(2026, 1, 2, tzinfo=UTC),
    timedelta: timedelta(days=1),
    AwareDatetime: datetime(2026, 1, 2, tzinfo=UTC),
    JsonValue: {"key": "value" * _MANY},
    "JsonValue": {"key": "value" * _MANY},  # in itself
    Path: Path("/a/long/path", *("folder" for _ in range(_MANY))),
    UUID: UUID(int=7),
    object: {"key": "value" * _MANY},
    Any: {"key": "value" * _MANY},
}


def public_schemas() -> list[type[BaseModel]]:
    """Return the schemas that callers see, but for expressions, and settings, of which there are many."""
    offered = (getattr(importlib.import_module(module), name) for module, names in PUBLIC.items() for name in names)
    found = {one for one in offered if isinstance(one, type) and issubclass(one, BaseModel)}
    return sorted((one for one in found if not issubclass(one, BaseSettings | RootModel)), key=lambda one: one.__name__)


def large(kind: type[BaseModel]) -> BaseModel:
    """Return an instance whose collections are large and whose texts are long; what it may hold is not checked."""
    kind.model_rebuild()
    return kind.model_construct(**{name: _value(field.annotation, name) for name, field in kind.model_fields.items()})


def _value(kind: Any, name: str = "") -> Any:  # Any: annotations, and what they allow
    if name.endswith("sha256") or name == "digest":
        return "ab" * 32
    kind = _plain(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    return _instance(kind) if get_origin(kind) is None else _many(get_origin(kind), get_args(kind))


def _plain(kind: Any) -> Any:  # Any: as above
    """Return a type without what Pydantic adds to it, the first of several, and a model for whatever may be paged."""
    if isinstance(kind, TypeVar):
        return next(one for one in public_schemas() if one.__name__ == "ModelSchema")
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return _plain(next(one for one in get_args(kind) if one is not NoneType))
    if isinstance(kind, ForwardRef):  # as Pydantic before 2.12 has `JsonValue` in itself
        return kind.__forward_arg__
    return _plain(kind.__value__) if hasattr(kind, "__value__") else kind


def _many(origin: type, arguments: Sequence[Any]) -> Collection[object]:  # Any: as above
    if issubclass(origin, Mapping):
        return {f"{_value(arguments[0])}{number}": _value(arguments[1]) for number in range(_MANY)}
    made = _value(arguments[0]) if arguments else ""
    return frozenset((made,)) if issubclass(origin, Set) else (made,) * _MANY


def _instance(kind: type) -> object:
    if issubclass(kind, BaseModel):
        return large(kind)
    if issubclass(kind, TensorTable):
        return TensorTable({str(number): large(TensorSchema) for number in range(_MANY)})
    error = kind.__new__(kind)
    assert isinstance(error, Exception), f"add what a field of {kind!r} may hold"
    error.args = ("a long message " * _MANY,)
    return error
