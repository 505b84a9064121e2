"""Addresses of clients, as they are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=10_000)
def network_of(host: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one, which one customer has whole.

    An IPv4 address that is written as an IPv6 one is the same as itself; what is no address is taken as it is.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return (
        str(address)
        if address.is_loopback
        else str(ipaddress.ip_network((address, 64), strict=False))
    )
