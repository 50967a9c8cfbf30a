"""Only the public internet: refuses connections to private, local and reserved addresses before the first byte.

The address that is connected to is what counts, not the name: a name may lead anywhere, and elsewhere the next time.
"""

import errno
import ipaddress
import socket
from typing import Any, Final

REFUSED: Final = "it leads to an address that is not of the public internet"

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses whose last four bytes are an IPv4 address (RFC 6052)."""


class NotPublic(OSError):
    """A connection to an address that is not of the public internet."""


def connect(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for an address that was looked up; raises `NotPublic`."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise NotPublic(errno.EACCES, REFUSED)
    return socket.socket(family, kind, protocol)


def is_public(text: str) -> bool:
    """Tell whether an address belongs to the public internet, and so does one that it carries inside."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and (inner := _inner(address)) is not None:
        address = inner
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:  # of old; `is_global` takes it for public
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for (mapped, NAT64, 6to4), if it does."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
