"""Addresses of sources: which text is meant as one, what may be shown of it, and the names that follow from it."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, check_name
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException

#: What is meant as a URL, well written or not.
_MEANT_AS_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/")
_HAS_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_PLAINLY_A_PATH: Final = re.compile(r"/(?!/)|\.{1,2}/|~")
_LOCAL: Final = frozenset({"", "localhost"})


def is_address(text: str) -> bool:
    """Whether a text is meant as an address with a scheme, well written or not."""
    return _MEANT_AS_URL.match(text) is not None


def refuse_unless_address(text: str) -> None:
    """Raise `InvalidSourceException` for what is no address, or not well written."""
    if not _MEANT_AS_URL.match(text):
        problem = "is no URL, as everything in a list must be; fetch paths alone"
    elif text != text.strip():
        problem = "begins or ends with white space; strip it"
    elif not _HAS_SCHEME.match(text):
        problem = "has one slash after its scheme; write https://…, or ./… before a path"
    else:
        return
    raise InvalidSourceException(redacted(text), problem)


def scheme_of(address: str) -> str:
    """Return the scheme of an address, in lower case; empty where it has none."""
    match = _HAS_SCHEME.match(address)
    return match[1].lower() if match else ""


def path_of(address: str) -> Path:
    """Return what a ``file://`` address names (RFC 8089); names that are no text keep their bytes.

    Raises:
        InvalidSourceException: It names another machine, or no absolute path, or has a query.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that hold no address
        parts = None
    if parts is None or parts.netloc.lower() not in _LOCAL:
        raise InvalidSourceException(redacted(address), "names another machine; write file:///path, or give the path")
    if parts.query or parts.fragment:
        raise InvalidSourceException(redacted(address), "has a query; write '?' as %3F and '#' as %23")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path.startswith("/"):
        raise InvalidSourceException(redacted(address), "names no absolute path; write file:///path")
    return Path(path)


def redacted(source: str) -> str:
    """Return what may be shown of a source: all of what is plainly a path; else it may be a URL, with its secrets."""
    return source if _PLAINLY_A_PATH.match(source) else redact_text(source.strip())


def displayed(source: str) -> str:
    """Return a source as a text that JSON and databases can hold: file systems allow names that are no text."""
    text = source.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_ADDRESS_LENGTH else f"{text[: MAX_ADDRESS_LENGTH - 1]}…"


def suggested(name: str) -> str:
    """Return a name for a model, or ``model`` where it could not be one."""
    try:
        return check_name(name)
    except InvalidInputException:
        return "model"
