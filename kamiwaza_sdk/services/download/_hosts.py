"""Hosts in the settings: how they are written, and which URLs they stand for."""

import ipaddress
import re
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["host_named", "is_listed", "is_loopback", "value_for_origin"]

_HOST: Final = re.compile(r"[^\s\x00-\x20\x7f-\x9f/?#@\\*%]+")
_WILDCARD: Final = "*."
_T = TypeVar("_T")


def host_named(text: str, *, wildcard: bool = False) -> str:
    """Return a host with or without a port as URLs spell it: in lower case, and a name beyond ASCII in Punycode.

    Args:
        text: ``example.org``, ``example.org:8443`` or ``[::1]:8443``.
        wildcard: Whether ``*.example.org`` is one, too.

    Raises:
        ValueError: It is none. What was given is not repeated: it may be a secret in the wrong place.
    """
    from yarl import URL

    prefix = _WILDCARD if wildcard and text.startswith(_WILDCARD) else ""
    name = text.removeprefix(prefix)
    try:
        url = URL(f"//{name}") if _HOST.fullmatch(name) else None
    except ValueError:
        url = None
    if url is None or not url.raw_host:
        kinds = "example.org, *.example.org or example.org:8443" if wildcard else "example.org or example.org:8443"
        raise ValueError(f"has an entry that is no host; write {kinds}, without http:// and without a path")
    port = "" if url.explicit_port is None else f":{url.explicit_port}"
    return f"{prefix}{url.host_subcomponent}{port}"


def is_listed(url: "URL", hosts: Container[str]) -> bool:
    """Whether a URL's host is among these: itself, or by a wildcard, which means what is below a name and not the name.

    A host without a port means each of its ports.
    """
    host = url.host_subcomponent or ""
    below = (index + 1 for index, character in enumerate(host) if character == ".")
    names = (host, *(f"{_WILDCARD}{host[start:]}" for start in below))
    return any(name in hosts or f"{name}:{url.port}" in hosts for name in names)


def value_for_origin(url: "URL", values: Mapping[str, _T]) -> _T | None:
    """Return what belongs to exactly a URL's host and port. A host without a port means the scheme's own."""
    if not values:
        return None
    host = url.host_subcomponent or ""
    value = values.get(f"{host}:{url.port}")
    return values.get(host) if value is None and url.is_default_port() else value


def is_loopback(host: str | None) -> bool:
    """Whether what is sent to a host stays on this machine (RFC 6761, section 6.3, for the name)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
