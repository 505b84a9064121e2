"""Knows who calls: by a key, by a token, by the application's own handler, by a session, or because they sit here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from interlock.errors import Unauthorized
from interlock.postgres.keys import PREFIX, KeyStore, digest
from interlock.server.callers import LOOPBACK, Caller
from interlock.server.heads import said
from interlock.server.sessions import Sessions, caller_of, check_csrf, unknown_key

Known = Callable[[HTTPConnection], Awaitable[Caller | None]]
"""Says who a request comes from; None when it does not say. Raises `Unauthorized` when what it says is wrong."""

FRESH_SECONDS = 5.0
"""How long a key is believed without looking: a revoked one ends so soon in each process."""

MOST_KNOWN = 4096

FORWARDED = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-host",
        b"x-original-url",
        b"true-client-ip",
        b"client-ip",
        b"cdn-loop",
        b"x-amzn-trace-id",
        b"x-amz-cf-id",
        b"x-cloud-trace-context",
    }
)
FORWARDED_ALIKE = (
    *(b"x-forwarded", b"x-envoy-", b"x-azure-", b"x-arr-"),
    *(b"cf-", b"fly-", b"fastly-", b"tailscale-"),
)
"""What proxies add, and how it begins: a request with one of these was not made at this machine."""


SEND = "Send it as the header `x-api-key`, or as a bearer."

_ANY_KEY = b""
"""Under which the cache has whether a key was ever made."""

NOBODY = Caller(identity="")
"""Stands in the cache for a key that is not valid, so that trying it again costs no statement."""


@dataclass(slots=True)
class Cache:
    """Who was known lately, up to `MOST_KNOWN`: the oldest is forgotten first."""

    _entries: OrderedDict[bytes, tuple[float, Caller]] = field(default_factory=OrderedDict)

    def get(self, name: bytes, now: float) -> Caller | None:
        """Return who was known by a name within `FRESH_SECONDS`."""
        found = self._entries.get(name)
        return found[1] if found is not None and now - found[0] < FRESH_SECONDS else None

    def put(self, name: bytes, caller: Caller, now: float) -> Caller:
        """Note and return who is known by a name."""
        self._entries[name] = (now, caller)
        self._entries.move_to_end(name)
        while len(self._entries) > MOST_KNOWN:
            self._entries.popitem(last=False)
        return caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatekeeper:
    """Asks each request who it comes from.

    Attributes:
        open_to_loopback: whether no key is needed; only ever true for a server that is bound to loopback alone.
        until_there_is_a_key: whether that holds only as long as no key was ever made.
        keys: the keys of the database.
        others: further ways to know somebody, in the order in which they are asked.
    """

    open_to_loopback: bool
    until_there_is_a_key: bool = False
    keys: KeyStore
    others: tuple[Known, ...] = ()
    _known: Cache = field(default_factory=Cache)

    @property
    def sessions(self) -> Sessions:
        """The sessions of the dashboard."""
        return Sessions(self.keys)

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who calls; raises `Unauthorized`, and `Forbidden` for a session's request without its token."""
        caller = await self.holder(connection)
        if caller.csrf:
            await check_csrf(connection, caller)
        return caller

    async def holder(self, connection: HTTPConnection) -> Caller:
        """Return who calls by a request's head alone, which may lack its session's token; raises `Unauthorized`."""
        if (secret := key_in(connection)) is not None:
            return await self._holder(secret)
        if (known := await self.sessions.caller(connection)) is not None:
            return known
        for other in self.others:
            if (known := await other(connection)) is not None:
                return known
        if not await self.takes_anybody():
            raise Unauthorized("This server takes a key.", hint=SEND)
        if sign := sign_of_a_proxy(connection):
            raise Unauthorized(
                f"Who comes by way of a proxy needs a key, and {sign} is the sign of one.",
                hint=f"Make one with `interlock keys create NAME --role admin`. {SEND}",
            )
        return LOOPBACK

    async def takes_anybody(self) -> bool:
        """Say whether whoever sits at this machine needs no key now."""
        if not self.open_to_loopback or not self.until_there_is_a_key:
            return self.open_to_loopback
        now = time.monotonic()
        if (known := self._known.get(_ANY_KEY, now)) is None:
            known = self._known.put(
                _ANY_KEY, NOBODY if await self.keys.any() else LOOPBACK, time.monotonic()
            )
        return known is LOOPBACK

    async def _holder(self, secret: str) -> Caller:
        name = digest(secret)
        if (known := self._known.get(name, time.monotonic())) is None:
            key = await self.keys.find(secret)
            known = self._known.put(name, caller_of(key) if key else NOBODY, time.monotonic())
        if known is NOBODY:
            raise unknown_key()
        return known


def key_in(connection: HTTPConnection) -> str | None:
    """Return the key that a request carries; None for none, and for what is no key of ours, as others' clients send."""
    given = said(connection.scope, b"x-api-key") or bearer(connection)
    return given if given.startswith(PREFIX) else None


def bearer(connection: HTTPConnection) -> str:
    """Return the token of a request's `Authorization: Bearer`; empty for none."""
    scheme, _, token = said(connection.scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def sign_of_a_proxy(connection: HTTPConnection) -> str:
    """Return what shows that a request comes from elsewhere by way of this machine; empty where nothing does.

    HTTP/1.0 is what some proxies speak to what is behind them, when they are told nothing else, and no client of today.
    """
    if connection.scope.get("http_version") == "1.0":
        return "HTTP/1.0"
    for name, _ in connection.scope["headers"]:
        if name in FORWARDED or name.startswith(FORWARDED_ALIKE):
            return f"the header `{name.decode()}`"
    return ""
