"""Which addresses may be asked: those of the public internet, also when they hide in others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 inside of IPv6, translated by the network (RFC 6052)."""


def is_public(address: Address) -> bool:
    """Say whether an address, and each address embedded in it, is one of the public internet."""
    return all(each.is_global and not each.is_multicast for each in meant(address))


def any_address(_address: Address) -> bool:
    """Admit every address: for a server of one's own."""
    return True


async def resolve(host: str, port: int) -> list[Address]:
    """Ask the system for a host's addresses; raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def meant(address: Address) -> Iterator[Address]:
    """Yield an address, or the IPv4 address that an IPv6 address stands for."""
    embedded: IPv4Address | None = None
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
        if address.teredo:
            yield from address.teredo
    yield embedded or address
