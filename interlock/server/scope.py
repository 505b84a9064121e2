"""What a request may touch: the runtime as its caller sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from interlock.errors import Forbidden, Unauthorized
from interlock.facade import Interlock
from interlock.server.addresses import network_of
from interlock.server.callers import Caller, Right
from interlock.server.house import House
from interlock.server.limits import ADMIT
from interlock.server.slashes import restore


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The server as one caller sees it.

    Attributes:
        house: what all requests share.
        caller: who asks.
        reader: reads as the caller: what is another tenant's is not there, by Postgres's row-level security. Whatever
            lists, looks up or reads goes through it, and whatever is written was looked up through it before.
        il: writes and runs, on behalf of the caller's tenant.
        headers: of the request.
    """

    house: House
    caller: Caller
    reader: Interlock
    il: Interlock
    headers: Headers

    def require(self, right: Right) -> None:
        """Raise `Forbidden` unless the caller has a right, where a route lets callers pass with one of several."""
        require(self.caller, right)


def may(*rights: Right) -> Callable[[HTTPConnection], Awaitable[Scope]]:
    """Return the dependency that lets callers pass who have one of some rights; others get 401 or 403."""

    async def scoped(connection: HTTPConnection) -> Scope:
        house: House = connection.app.state.house
        caller = await _known(house, connection)
        connection.state.caller = caller
        restore(connection.scope)
        who = f"{caller.kind} {caller.tenant} {caller.identity}"
        house.rates.take(who)
        require(caller, *rights)
        if (admit := connection.scope.get(ADMIT)) is not None:
            admit(who)
        reader, il = await house.tenancy.views(caller)
        return Scope(house=house, caller=caller, reader=reader, il=il, headers=connection.headers)

    return scoped


def require(caller: Caller, *rights: Right) -> None:
    """Raise `Forbidden` unless a caller has one of some rights."""
    if not caller.rights & set(rights):
        needed = " or to ".join(rights)
        raise Forbidden(f"{caller.identity} may not do this: it takes the right to {needed}.")


async def _known(house: House, connection: HTTPConnection) -> Caller:
    try:
        return await house.gatekeeper.caller(connection)
    except Unauthorized:
        house.rates.take(stranger(connection))
        raise


def stranger(connection: HTTPConnection) -> str:
    """Return under what the requests of somebody unknown are counted."""
    return f"from {network_of(connection.client.host if connection.client else '')}"


Reading = Annotated[Scope, Depends(may("read"))]
Running = Annotated[Scope, Depends(may("run"))]
Answering = Annotated[Scope, Depends(may("answer"))]
Governing = Annotated[Scope, Depends(may("govern"))]
Starting = Annotated[Scope, Depends(may("run", "answer"))]
"""What a route declares that it needs: `async def search(scope: Reading) -> ...`. What starts a run may also be the
answer to a question; which of them it is, `interlock.server.requests` looks at."""
