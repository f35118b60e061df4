"""How a server names the state of a resource (RFC 9110, section 8.8)."""

from typing import Annotated

from pydantic import AfterValidator

from kamiwaza_sdk._validation import InputSchema

__all__ = ["Validators"]


def _printable(value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ValueError("a header's value is printable ASCII")
    return value


_Header = Annotated[str | None, AfterValidator(_printable)]


class Validators(InputSchema):
    """What a server said identifies the state of a file, to ask later whether it changed.

    Attributes:
        etag: The ``ETag`` header, quotes and ``W/`` included.
        last_modified: The ``Last-Modified`` header.

    Raises:
        InvalidInputException: A value cannot be sent as a header.

    Example:
        >>> Validators(etag='"33a64df5"').etag
        '"33a64df5"'
    """

    etag: _Header = None
    last_modified: _Header = None
