"""Which addresses are public, and sockets that connect to no others."""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

__all__ = ["RefusedAddressError", "is_public", "public_socket"]

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


def public_socket(info: "AddrInfoType") -> socket.socket:
    """Return a socket for an address that is about to be connected to, whatever name it was resolved from.

    Raises:
        RefusedAddressError: It is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise RefusedAddressError(str(address[0]))
    return socket.socket(family, kind, protocol)
