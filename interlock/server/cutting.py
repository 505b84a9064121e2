"""Ends an answer in the middle, so that its client does not take it for a whole one, and the log not for a fault."""

from __future__ import annotations

from functools import partial

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

CUT = "interlock.cut"
"""Under which a request keeps what ends its connection."""


def can_be_cut(cycle: RequestResponseCycle) -> None:
    """Let the answer to a request be cut."""
    scope: Scope = cycle.scope  # type: ignore[assignment]  # it is uvicorn's own mapping of the same
    scope[CUT] = partial(_close, cycle)


def cut(scope: Scope) -> None:
    """End the connection of a request whose answer has begun; what was sent still goes out."""
    if (close := scope.get(CUT)) is not None:
        close()


def _close(cycle: RequestResponseCycle) -> None:
    if cycle.response_started and not cycle.response_complete:
        cycle.disconnected = True  # uvicorn would write down that the answer has no end
        cycle.transport.close()
