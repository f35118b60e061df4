"""Which URLs are accepted, and how one is shown without its secrets."""

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kamiwaza_sdk._addresses import kept_address, redact_text
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.services.download.exceptions import InvalidUrlException

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["check_url", "redact", "resolve", "without_query"]

# White space is what str.isspace says, \x1c-\x1f and the wide ones included.
_FORBIDDEN: Final = re.compile(r"[\s\x00-\x20\x7f-\x9f\ud800-\udfff\u200b\u2028\u2029\ufeff]")
_DEFAULT_PORT: Final = {"http": ":80", "https": ":443"}
_LONGEST_LABEL: Final = 63
#: What nearly all are: an origin without user information, a path, a query.
_PLAIN: Final = re.compile(r"""(https?://[a-z0-9.-]+(?::[0-9]+)?)(/[!"$->@-~]*)?(?:\?([!"$-~]*))?""")


def redact(url: "URL") -> str:
    """Return `url` without user information, query, fragment, and what else lets people in."""
    return kept_address(without_query(url))


def without_query(url: "URL") -> str:
    """Return `url` without user information, query and fragment: what names a file."""
    host = url.raw_authority.rpartition("@")[2].removesuffix(_DEFAULT_PORT.get(url.scheme, ""))
    return f"{url.scheme}://{host}{url.raw_path}"


def check_url(text: str) -> "URL":
    """Return `text` as a URL that can be asked for, its path and query exactly as they were written.

    Raises:
        InvalidUrlException: It is no text, not http or https, names no host, has a bad port, or contains white space,
            control characters or lone surrogates.

    Example:
        >>> check_url("https://example.org/a%2Fb?signature=x%2By").raw_query_string
        'signature=x%2By'
    """
    if not isinstance(text, str):
        kind = type(text).__name__  # not what it holds, which may be a secret
        raise InvalidUrlException("url", f"must be text, not {kind}; write https://…", value=kind)
    plain = _PLAIN.fullmatch(text)
    try:
        if plain is not None:
            return _asked_at(_origin(plain[1]), plain[2], plain[3] or "")
    except InvalidUrlException:
        pass  # what is raised below tells of all of it
    if _FORBIDDEN.search(text):
        raise _refusal(text, "contains white space, a control character or a lone surrogate; quote or remove it")
    return _checked(_parsed(text), text)


@lru_cache(maxsize=64)
def _origin(text: str) -> "URL":
    """Return the URL of an origin: many files are at one."""
    return _checked(_parsed(text), text)


def resolve(location: str, *, base: "URL") -> "URL":
    """Return where a redirect from `base` to `location` leads, without the user information it may carry.

    Raises:
        InvalidUrlException: It leads to what `check_url` refuses, or from https to http.
    """
    location = location.strip(" ").replace(" ", "%20")
    if _FORBIDDEN.search(location):
        raise _refusal(location, "contains a control character or a lone surrogate")
    reference = _parsed(location)
    target = _checked(reference if reference.scheme else base.join(reference), location)
    if base.scheme == "https" and target.scheme == "http":
        raise _refusal(location, "goes from https to http, where anybody on the way can change the bytes")
    return target.with_user(None)


def _parsed(text: str) -> "URL":
    from yarl import URL

    try:
        url = URL(text)
        if not text.isascii():
            return url
        # Signatures cover what was written: yarl would, for one, turn %2F in a query into a slash.
        if not url.raw_host:
            return URL(text, encoded=True)
        parts = urlsplit(text)
        return _asked_at(url, parts.path, parts.query)
    except (ValueError, IndexError):  # yarl 1.25 raises the latter for "http://[me]@/"
        pass
    # Not raised there: the parser repeats what it was given, and would be this error's context.
    raise _refusal(text, "cannot be parsed; its host or its port is malformed")


def _asked_at(origin: "URL", path: str | None, query: str) -> "URL":
    return origin.build(
        scheme=origin.scheme, authority=origin.raw_authority, path=path or "/", query_string=query, encoded=True
    )


def _checked(url: "URL", text: str) -> "URL":
    if url.scheme not in {"http", "https"}:
        raise _refusal(text, "is no http or https URL; write http://… or https://…")
    if not url.raw_host:
        raise _refusal(text, "names no host; write https://host/path")
    if _has_odd_label(url.raw_host):
        raise _refusal(text, "has a host name with an empty part or one over 63 characters")
    if _is_odd_number(url.raw_host):
        raise _refusal(text, "has a number for a host that is no IPv4 address; write four numbers, 192.0.2.1")
    if _has_unsendable_user(url):
        raise _refusal(text, "has user information that no header can carry; use Latin letters, and no ':' in the user")
    if url.port == 0:
        raise _refusal(text, "has port 0, where nobody can listen; use 1 to 65535")
    return url


def _has_odd_label(host: str) -> bool:
    """Whether the resolver would refuse a host, with a bare UnicodeError; to ask its codec would load large tables."""
    *labels, last = host.split(".")
    return not all(labels) or any(len(label) > _LONGEST_LABEL for label in (*labels, last))


def _is_odd_number(host: str) -> bool:
    """Whether a host is an address in one of the short forms that only some programs know: 127.1, or 2130706433."""
    if not host.replace(".", "").isdigit():
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def _has_unsendable_user(url: "URL") -> bool:
    """Whether basic authentication, as it is sent here, cannot say who asks (RFC 7617, section 2)."""
    user, password = url.user or "", url.password or ""
    try:
        return ":" in user or any(byte < ord(" ") for byte in (user + password).encode("latin1"))
    except UnicodeEncodeError:
        return True


def _refusal(text: str, problem: str) -> InvalidUrlException:
    value = redact_text(text)
    return InvalidUrlException("url", f"{shown(value)} {problem}", value=value)
