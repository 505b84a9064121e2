"""Knows who calls: by a key, by a token, by the application's own handler, or because they sit at this machine."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from interlock.errors import Unauthorized
from interlock.server.callers import LOOPBACK, Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatekeeper:
    """Asks each request who it comes from.

    Attributes:
        open_to_loopback: whether no key is needed; only ever true for a server that is bound to loopback alone.
    """

    open_to_loopback: bool

    async def caller(self, request: Request) -> Caller:
        """Return who calls; raises `Unauthorized`."""
        if self.open_to_loopback:
            return LOOPBACK
        raise Unauthorized("This server takes a key.", hint="Send it as the header `x-api-key`.")
