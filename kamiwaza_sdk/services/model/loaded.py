"""The host's loaded copies of our rows: what a call changes of them, and what becomes of that when it is undone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import InstrumentedList

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.models import DBBase

#: Rows that the call at work has given new values, with what was loaded of them before.
Touched: TypeAlias = "WeakKeyDictionary[DBBase, dict[str, Any]]"  # Any: values of several columns
#: Where a session keeps them.
_TOUCHED: Final = "kamiwaza_sdk.touched"
#: Where it keeps the nested transactions that a call has written in.
_WRITTEN: Final = "kamiwaza_sdk.written"


@contextmanager
def watching(db: Session) -> Iterator[Touched]:
    """Note, for one call, what becomes of loaded rows, and yield where."""
    touched: Touched = WeakKeyDictionary()
    db.info[_TOUCHED] = touched
    try:
        yield touched
    finally:
        db.info.pop(_TOUCHED, None)  # with the values, which hold on to other rows


def refresh(
    db: Session,
    kind: "type[DBBase]",
    identity: object,
    values: Mapping[str, Any] | None = None,  # Any: values of several columns
    *,
    stale: Sequence[str] = (),
) -> None:
    """Give the host's loaded copy of a row its new values; what is not known of it is read when next looked at.

    Not all is left to be read: a coroutine's session cannot, in the middle of an attribute's access. Without values,
    the row is gone, and whoever looks at it is told.
    """
    if not len(db.identity_map):
        return  # before the key is made, for which SQLAlchemy configures all mappers of the host's: 20 ms, once
    loaded = db.identity_map.get(Session.identity_key(kind, identity))
    if not isinstance(loaded, _base()):
        return
    _note(db, loaded)
    if values is None:
        db.expire(loaded)
        return
    for key in values.keys() & vars(loaded).keys():
        set_committed_value(loaded, key, values[key])
    if stale:  # of nothing, SQLAlchemy would make everything
        db.expire(loaded, stale)


def forget(db: Session, **keys: Collection[UUID]) -> None:
    """Let the host's loaded copies of rows that are gone, or replaced, be looked at anew.

    Args:
        db: The host's session.
        keys: Values by the columns that tell which they are, such as ``version_id``.
    """
    for loaded in _ours(db):
        if any(vars(loaded).get(key) in values for key, values in keys.items()):
            _note(db, loaded)
            db.expire(loaded)


def _note(db: Session, loaded: "DBBase") -> None:
    """Note a row that will no longer be as it was loaded, for when the call is undone."""
    touched: Touched = db.info.setdefault(_TOUCHED, WeakKeyDictionary())
    if loaded not in touched:
        touched[loaded] = _values(loaded)


def _values(loaded: "DBBase") -> dict[str, Any]:  # Any: values of several columns
    """Return what is loaded of a row, but for what the host has changed and not flushed, which is not the row's.

    Lists of related rows are copied: SQLAlchemy changes them in place.
    """
    values = {key: vars(loaded)[key] for key in _loaded_keys(loaded)}
    return {key: list(value) if isinstance(value, InstrumentedList) else value for key, value in values.items()}


def _loaded_keys(loaded: "DBBase") -> set[str]:
    return inspect(loaded).unmodified & vars(loaded).keys()


def restore(db: Session, touched: Touched) -> None:
    """Put back what was loaded of rows before a call that is undone, and let the rest be read when next looked at.

    Not all is left to be read, for the same reason as in `refresh`.
    """
    for loaded, before in touched.items():
        if loaded in db and inspect(loaded).persistent:
            for key, value in before.items():
                set_committed_value(loaded, key, value)
            if unknown := _loaded_keys(loaded) - before.keys():  # of none, SQLAlchemy would make all
                db.expire(loaded, unknown)


def expire_on_rollback(db: Session) -> None:
    """Let all rows of ours be read anew after a rollback to a savepoint of the host's.

    SQLAlchemy only does that for its own changes. All, because until then the host may load what a call has written.
    """
    written: SessionTransaction | None = db.get_nested_transaction()
    if written is not None and _WRITTEN not in db.info:
        db.info[_WRITTEN] = WeakSet[SessionTransaction]()
        event.listen(db, "after_soft_rollback", _expire_ours)
    while written is not None:  # and those around it, which what is written belongs to once this one is released
        db.info[_WRITTEN].add(written)
        written = written.parent


def _expire_ours(db: Session, rolled_back: SessionTransaction) -> None:
    if rolled_back in db.info[_WRITTEN]:
        expire(db)


@cache
def _base() -> "type[DBBase]":
    """Return the class of all rows of ours. They are loaded with the first call, as in `session`."""
    from kamiwaza_sdk.services.model.models import DBBase

    return DBBase


def _ours(db: Session) -> "list[DBBase]":
    """Return the host's loaded copies of rows of ours."""
    base = _base()
    return [loaded for loaded in db.identity_map.values() if isinstance(loaded, base)]


def expire(db: Session) -> None:
    """Let all rows of ours be read when next looked at."""
    for loaded in _ours(db):
        if inspect(loaded).persistent:
            db.expire(loaded)
