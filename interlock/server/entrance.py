"""Which ways in a server has, by its settings, its application and the address that it is bound to."""

from __future__ import annotations

from interlock.errors import UsageError
from interlock.facade import Interlock
from interlock.postgres.keys import KeyStore
from interlock.server.gatekeeping import Gatekeeper, Known


async def gatekeeper_of(il: Interlock, *, loopback: bool) -> Gatekeeper:
    """Return what knows the callers of a server.

    Args:
        il: the runtime.
        loopback: whether only this machine can reach the server.

    Raises:
        UsageError: others can reach it, and nobody would be known.
    """
    keys = KeyStore(il.pool)
    others: tuple[Known, ...] = ()
    if not loopback and not others and not any(each.valid for each in await keys.keys()):
        raise UsageError(
            "Others than this machine could reach the server, and it has no key.",
            hint="Make one with `interlock keys create NAME --role admin`, or bind 127.0.0.1.",
        )
    return Gatekeeper(open_to_loopback=loopback and not others, keys=keys, others=others)
