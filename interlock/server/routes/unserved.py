"""What LangGraph's protocol has and this server does not serve: each answers 501 with a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request

from interlock.server.openapi import problems
from interlock.server.scope import Reading
from interlock.server.wire import Wire

UNSERVED: Mapping[tuple[str, str], str] = {
    ("GET", "/threads/{thread_id}/storage"): (
        "No client asks for it, and content is stored once for all threads that share it:"
        " `interlock storage show` tells what all take."
    ),
}
"""Method and path -> why; docs/server.md lists the same."""

router = APIRouter(tags=["Unserved"], responses=problems(501))


def _refusal(method: str, path: str, why: str) -> Callable[..., Awaitable[Wire]]:
    async def unserved(scope: Reading, request: Request) -> Wire:
        detail = f"This server does not serve {method} {path}. {why}"
        return Wire({"detail": detail}, status_code=501)

    unserved.__doc__ = f"Not served: {why}"
    return unserved


for (_method, _path), _why in UNSERVED.items():
    router.add_api_route(_path, _refusal(_method, _path, _why), methods=[_method], status_code=501)
