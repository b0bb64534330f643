"""Keeps requests to addresses that strangers name away from everything that is not on the public Internet.

Every address that a name stands for must be public, when the name is stored and again at each connection, which then
goes to the address that was looked at and to no other: a name that changes its address in between gains nothing.
Python's own ``ipaddress.is_global`` takes 224.0.0.1, 192.0.0.192, 64:ff9b::7f00:1 and 2002:7f00:1:: for public ones,
so the ranges are listed here.

Failure behavior: what is not public, or cannot be resolved within the time, raises AddressRefused before any socket is
opened.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from providers.transport.origin import Origin

RESOLVE_TIMEOUT_S = 5.0
# Sources, read 2026-11-26: https://www.iana.org/assignments/iana-ipv4-special-registry and RFC 1112 for class E.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Of IPv6 only the global unicast block is open, and of that not what is set apart: tunnels and translations lead to
# IPv4 addresses. Source, read 2026-11-26: https://www.iana.org/assignments/iana-ipv6-special-registry.
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

# Gives the addresses of a host and port, as texts.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(Exception):
    """An address is not public; the message says which."""


def is_public(address: str) -> bool:
    """Tell whether an IPv4 or IPv6 address, written in full, is one of the public Internet."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _CLOSED_V4)
    return found.scope_id is None and found in _OPEN_V6 and not any(found in network for network in _CLOSED_V6)


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


class AddressGuard:
    """Looks every address up before it is used."""

    def __init__(self, resolve: Resolve = resolve_name) -> None:
        self._resolve = resolve

    async def find(self, origin: Origin) -> list[str]:
        """Give the addresses that may be connected to, IPv4 first. Raises AddressRefused."""
        if origin.scheme != "https":
            raise AddressRefused(f"{origin} is not https")
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = list(dict.fromkeys(await self._resolve(origin.host, origin.port)))
        except (OSError, UnicodeError, TimeoutError) as error:
            raise AddressRefused(f"{origin.host!r} cannot be resolved") from error
        if not found or not all(map(is_public, found)):
            raise AddressRefused(f"{origin.host!r} is no address of the public Internet")
        return sorted(found, key=lambda address: ":" in address)
