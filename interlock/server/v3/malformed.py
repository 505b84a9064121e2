"""What is no command and no subscription: refused with 400, where other routes answer 422."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from interlock.server.v3.commanding import no_command
from interlock.server.wire import Wire

PATHS = ("/commands", "/stream/events")
"""How the paths of these routes end."""


class ProtocolRoute(APIRoute):
    """A route that takes a command or a subscription."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which tells what is wrong with a body as the protocol has it."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            _check_kind(request.headers.get("content-type", ""))
            try:
                return await handler(_Strictly(request.scope, request.receive))
            except RequestValidationError as error:
                if not all(each["loc"][0] == "body" for each in error.errors()):
                    raise
                return _refused(error, is_command=self.path.endswith("/commands"))

        return told


class _Strictly(Request):
    """A request whose body must be JSON to the letter: no lone surrogate, no NaN, nothing but UTF-8."""

    async def json(self) -> Any:  # JSON
        """Return the body."""
        return orjson.loads(await self.body())


def unread(path: str) -> int:
    """Return the status under which a body is refused that is too deep to be read."""
    return 400 if path.endswith(PATHS) else 422


def _check_kind(said: str) -> None:
    """Refuse what a page of any website might send unasked: a browser asks nobody about a body that is no JSON."""
    kind = said.partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([^/]+\+)?json", kind):
        raise HTTPException(
            400,
            "The body does not say that it is JSON: send it with Content-Type: application/json.",
        )


def _refused(error: RequestValidationError, *, is_command: bool) -> Response:
    faults = error.errors()
    if any(_is_unread(each["type"], each["loc"]) for each in faults):
        raise HTTPException(400, "The body is no JSON.") from error
    if is_command:
        return Wire(no_command(error.body).model_dump(), status_code=400)
    told = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in faults[:5]]
    raise HTTPException(400, "; ".join(told).removeprefix(": ")) from error


def _is_unread(kind: str, place: tuple[str | int, ...]) -> bool:
    return kind == "json_invalid" or (kind == "missing" and place == ("body",))
