"""Routes of pages: what goes wrong is told as a page, and who is not known is led to the sign-in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from interlock.errors import InterlockError, Unauthorized
from interlock.server.dashboard.templates import page
from interlock.server.dashboard.words import from_segment
from interlock.server.failures import note, status_of

TITLES = {
    403: "You may not do this",
    404: "There is no such thing",
    409: "That does not fit how things stand",
    422: "That cannot be done",
    429: "Too much at once",
    500: "Something went wrong here",
    503: "The database is away",
}


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which tells what goes wrong."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthorized as error:
                return await _unknown(request, error)
            except InterlockError as error:
                note(error)
                return await failure(request, status_of(error), str(error))
            except RequestValidationError:
                return await failure(request, 422, "The request does not have what it needs.")
            except HTTPException as error:
                return await failure(request, error.status_code, str(error.detail))

        return told


def pages() -> APIRouter:
    """Return a router for pages."""
    return APIRouter(include_in_schema=False, route_class=PageRoute)


async def texts_of(request: Request) -> dict[str, str]:
    """Return what a form gives, by field; files are left out."""
    return {key: value for key, value in (await request.form()).items() if isinstance(value, str)}


def _named(name: str) -> str:
    return from_segment(name)


Name = Annotated[str, Depends(_named)]
"""The name of something as it stands in a path."""


def see(path: str, said: str = "") -> RedirectResponse:
    """Return what leads a browser to a page after a form was taken, with a word about it."""
    mark = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{mark}said={quote(said)}" if said else path, 303)


async def failure(request: Request, status: int, text: str) -> Response:
    """Return the page that tells of an error."""
    title = TITLES.get(status, "That did not work")
    return await page(
        request, None, "error.html", status_code=status, title=title, status=status, text=text
    )


async def _unknown(request: Request, error: Unauthorized) -> Response:
    wants_page = request.method == "GET" and "x-fragment" not in request.headers
    if wants_page and request.url.path != "/ui/login":
        return RedirectResponse(f"/ui/login?next={quote(request.url.path)}", 303)
    return await failure(request, 401, str(error))
