"""What every operation of the registry works in: a host's session, and one namespace."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.session import atomic, dialect_name, execute, execute_on

__all__ = ["MAX_LIMIT", "MAX_NUMBER", "Scope", "check_id", "check_limit", "check_number"]

#: The longest page that a listing returns.
MAX_LIMIT = 1000
#: The largest number that a version, a revision or an event can have.
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """A session and the namespace that every statement in it is bound to; within a call that writes, its connection."""

    db: Session
    namespace: str
    actor: str | None = None
    connection: Connection | None = None

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the database."""
        return dialect_name(self.db) if self.connection is None else self.connection.dialect.name

    @contextmanager
    def writing(self) -> Iterator["Scope"]:
        """Yield the scope to write in: all that is executed there happens, or nothing does."""
        with atomic(self.db) as connection:
            yield replace(self, connection=connection)

    def execute(
        self,
        statement: Executable,
        /,
        **parameters: Any,  # Any: values of several columns
    ) -> CursorResult[Any]:  # Any: rows of several columns
        """Execute a statement in this namespace."""
        parameters["_namespace"] = self.namespace
        if self.connection is None:
            return execute(self.db, statement, parameters)
        return execute_on(self.connection, statement, parameters)

    def execute_many(
        self,
        statement: Executable,
        rows: Sequence[Mapping[str, Any]],  # Any: values of several columns
    ) -> None:
        """Execute a statement once a row, each of which names its namespace. Within a call that writes only."""
        if rows and self.connection is not None:
            execute_on(self.connection, statement, rows)


def check_id(value: UUID | None, field: str) -> UUID:
    """Return an id, or refuse what is none, such as a name, before the database is asked."""
    if not isinstance(value, UUID):
        way_out = (
            "names are for get_model_by_name()" if field == "model_id" else "it is in the schema that was returned"
        )
        raise InvalidInputException(field, f"must be a UUID, not {shown(value)}; {way_out}")
    return value


def check_limit(value: int, way_out: str = "page on with after=") -> int:
    """Return the length of a page, or refuse one that is too long or too short."""
    return check_number(value, "limit", low=1, high=MAX_LIMIT, way_out=way_out)


def check_number(value: int, field: str, *, low: int, high: int, way_out: str) -> int:
    """Return a whole number within bounds; a truth value is none."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidInputException(field, f"must be a whole number from {low} to {high}; {way_out}")
    return value


def check_revision(value: int | None, place: str) -> None:
    """Refuse what can be no revision; `None` where none is expected."""
    if value is not None:
        check_number(value, "expected_revision", low=1, high=MAX_NUMBER, way_out=f"it is {place}")
