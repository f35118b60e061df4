"""What every operation of the registry works in: a host's session, and one namespace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Executable
from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.session import execute

__all__ = ["MAX_LIMIT", "Scope", "check_id", "check_limit", "check_number"]

#: The longest page that a listing returns.
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Scope:
    """A session and the namespace that every statement in it is bound to."""

    db: Session
    namespace: str

    def execute(
        self,
        statement: Executable,
        /,
        **parameters: Any,  # Any: values of several columns
    ) -> CursorResult[Any]:  # Any: rows of several columns
        """Execute a statement in this namespace."""
        return execute(self.db, statement, {"_namespace": self.namespace, **parameters})

    def execute_many(
        self,
        statement: Executable,
        rows: Sequence[Mapping[str, Any]],  # Any: values of several columns
    ) -> None:
        """Execute a statement once a row, each of which names its namespace."""
        execute(self.db, statement, rows)


def check_id(value: UUID, field: str) -> UUID:
    """Return an id, or refuse what is none, such as a name, before the database is asked."""
    if not isinstance(value, UUID):
        raise InvalidInputException(field, f"must be a UUID, not {shown(value)}; names are for get_model_by_name()")
    return value


def check_limit(value: int) -> int:
    """Return the length of a page, or refuse one that is too long or too short."""
    return check_number(value, "limit", low=1, high=MAX_LIMIT, way_out="page on with after=")


def check_number(value: int, field: str, *, low: int, high: int, way_out: str) -> int:
    """Return a whole number within bounds; a truth value is none."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidInputException(field, f"must be a whole number from {low} to {high}; {way_out}")
    return value
