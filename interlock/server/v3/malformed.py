"""What is no command and no subscription: refused with 400, where other routes answer 422."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from interlock.server.v3.commanding import no_command
from interlock.server.wire import Wire


class ProtocolRoute(APIRoute):
    """A route that takes a command or a subscription."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which tells what is wrong with a body as the protocol has it."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                if not all(each["loc"][0] == "body" for each in error.errors()):
                    raise
                return _refused(error, is_command=self.path.endswith("/commands"))

        return told


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
