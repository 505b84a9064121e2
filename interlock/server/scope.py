"""What a request may touch: the runtime as its caller sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from interlock.errors import Forbidden
from interlock.facade import Interlock
from interlock.server.callers import Caller, Right
from interlock.server.house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The server as one caller sees it.

    Attributes:
        house: what all requests share.
        caller: who asks.
        reader: reads as the caller: what is another tenant's is not there, by Postgres's row-level security. Whatever
            lists, looks up or reads goes through it, and whatever is written was looked up through it before.
        il: writes and runs, on behalf of the caller's tenant.
    """

    house: House
    caller: Caller
    reader: Interlock
    il: Interlock


def may(right: Right) -> Callable[[HTTPConnection], Awaitable[Scope]]:
    """Return the dependency that lets callers pass who have a right; others get 401 or 403."""

    async def scoped(connection: HTTPConnection) -> Scope:
        house: House = connection.app.state.house
        caller: Caller = await house.gatekeeper.caller(connection)
        connection.state.caller = caller
        house.rates.take(f"{caller.kind} {caller.tenant} {caller.identity}")
        if right not in caller.rights:
            raise Forbidden(f"{caller.identity} may not do this: it takes the right to {right}.")
        reader, il = await house.tenancy.views(caller)
        return Scope(house=house, caller=caller, reader=reader, il=il)

    return scoped


Reading = Annotated[Scope, Depends(may("read"))]
Running = Annotated[Scope, Depends(may("run"))]
Answering = Annotated[Scope, Depends(may("answer"))]
Governing = Annotated[Scope, Depends(may("govern"))]
"""What a route declares that it needs: `async def search(scope: Reading) -> ...`."""
