"""Hosts, addresses, proxies and URLs: parsed, checked, redacted, and allowed or refused.

Proxies are not left to aiohttp's ``trust_env``. It also reads ``~/.netrc``, in some versions on the event loop, and
sends its passwords to the hosts named there; it passes over proxies of an unknown kind; and its errors can repeat a
proxy's address with its password.
"""

import ipaddress
import re
import socket
from collections.abc import Container, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from kamiwaza_sdk._addresses import kept_address, redact_text
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException

if TYPE_CHECKING:
    from yarl import URL


#: IPv6 addresses whose last four bytes are where packets go: IPv4-mapped (RFC 4291, 2.5.5.2) and NAT64 (RFC 6052, 2.1).
_IPV4_AT_THE_END: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
#: All that IANA allocates for global unicast (RFC 4291, section 2.4). Older Pythons hold more to be global.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
#: For documentation (RFC 9637); older Pythons do not know it.
_DOCUMENTATION: Final = IPv6Network("3fff::/20")


class RefusedAddressError(OSError):
    """An address is not public. All of these read alike: only then does aiohttp pass on one of several unchanged."""

    def __init__(self, address: str) -> None:
        super().__init__("the address is in a private network")
        self.address = address


def is_public(text: str) -> bool:
    """Whether an address can be one of the public internet, wherever it is wrapped into another.

    Example:
        >>> is_public("8.8.8.8"), is_public("10.0.0.1"), is_public("::ffff:10.0.0.1"), is_public("2002:a00:1::")
        (True, False, False, False)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _wrapped(address)
        if inner is None:
            return address in _GLOBAL_UNICAST and address not in _DOCUMENTATION and address.is_global
        address = inner
    return address.is_global and not address.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets go to in the end (6to4: RFC 3056). Teredo's are not global to begin with."""
    if any(address in network for network in _IPV4_AT_THE_END):
        return IPv4Address(address.packed[-4:])
    return address.sixtofour


def public_socket(
    info: tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]],
) -> socket.socket:
    """Return a socket for an address that is about to be connected to, whatever name it was resolved from.

    Raises:
        RefusedAddressError: It is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise RefusedAddressError(str(address[0]))
    return socket.socket(family, kind, protocol)


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


def proxy_for(target: "URL") -> "URL | None":
    """Return the proxy to reach a URL by, with user information where it has some; `None` where there is to be none.

    Raises:
        ConfigurationException: The environment names one of a kind that cannot be used.
    """
    from yarl import URL

    named = getproxies_environment().get(target.scheme)
    if named is None or any(map(proxy_bypass, _names(target))):
        return None
    try:
        proxy = URL(named)
    except ValueError:  # not chained: it may repeat what it was given
        proxy = URL()
    if proxy.scheme != "http" or not proxy.raw_host:
        setting = f"{target.scheme}_proxy"
        raise ConfigurationException(setting, "names no proxy that can be used; write http://host:port")
    return proxy


def _names(target: "URL") -> tuple[str, str]:
    return target.host or "", f"{target.host_subcomponent}:{target.port}"


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
        InvalidInputException: It is no text, not http or https, names no host, has a bad port, or contains white space,
            control characters or lone surrogates.

    Example:
        >>> check_url("https://example.org/a%2Fb?signature=x%2By").raw_query_string
        'signature=x%2By'
    """
    if not isinstance(text, str):
        kind = type(text).__name__  # not what it holds, which may be a secret
        raise InvalidInputException("url", f"must be text, not {kind}; write https://…", value=kind)
    plain = _PLAIN.fullmatch(text)
    try:
        if plain is not None:
            return _asked_at(_origin(plain[1]), plain[2], plain[3] or "")
    except InvalidInputException:
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
        InvalidInputException: It leads to what `check_url` refuses, or from https to http.
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


def _refusal(text: str, problem: str) -> InvalidInputException:
    value = redact_text(text)
    return InvalidInputException("url", f"{shown(value)} {problem}", value=value)
