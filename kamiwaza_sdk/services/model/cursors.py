"""Cursors: where a page ended, as an opaque text that fits one query and one order."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import InvalidCursorException

__all__ = ["Key", "Position", "decode", "encode", "fingerprint"]

#: What a row is found again by: the value it is sorted by, then its id.
Key = tuple[str | int | datetime | UUID | None, ...]

_MAX_LENGTH: Final = 8192
_CHECK_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Position:
    """A row that a page begins after; or, backwards, ends before."""

    key: Key
    backwards: bool


def fingerprint(*query: object) -> str:
    """Return what is different for queries that are: a cursor is good for one."""
    return blake2b(repr(query).encode(errors="surrogatepass"), digest_size=_CHECK_LENGTH).hexdigest()


def encode(position: Position, query: str) -> str:
    """Return a position in a query as text."""
    body = json.dumps([position.backwards, *map(_encoded, position.key)], separators=(",", ":")).encode()
    return _as_text(_checksum(body, query) + body)


def _as_text(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _checksum(body: bytes, query: str) -> bytes:
    return blake2b(body, digest_size=_CHECK_LENGTH, key=query.encode()).digest()


def _encoded(value: str | int | datetime | UUID | None) -> str | int | None:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value


def decode(cursor: str, query: str, kinds: tuple[type, ...]) -> Position:
    """Return the position that a cursor of a query stands for, its key of these kinds.

    Raises:
        InvalidCursorException: It is none, or one of another query.
    """
    if not isinstance(cursor, str) or len(cursor) > _MAX_LENGTH:
        raise InvalidCursorException(cursor[:80] if isinstance(cursor, str) else shown(cursor), "is no cursor")
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = packed[:_CHECK_LENGTH], packed[_CHECK_LENGTH:]
        # The text too: Base64 has several for the same bytes, one of which is ours.
        if check != _checksum(body, query) or cursor != _as_text(packed):
            raise InvalidCursorException(cursor, "was altered, or belongs to another query or order")
        backwards, *values = json.loads(body)
        return Position(tuple(_decoded(value, kind) for value, kind in zip(values, kinds, strict=True)), backwards)
    except (binascii.Error, ValueError, TypeError) as error:
        if isinstance(error, InvalidCursorException):
            raise
        raise InvalidCursorException(cursor, "is no cursor") from error


def _decoded(value: object, kind: type) -> str | int | datetime | UUID | None:
    if value is None:
        return None
    if kind is int and type(value) is int and abs(value) < 2**63:
        return value
    if not isinstance(value, str):
        raise InvalidInputException("cursor", "has a value of the wrong type")
    if kind is str:
        return check_text(value, field="cursor")
    return datetime.fromisoformat(value) if kind is datetime else UUID(value)
