"""Who calls, and the dashboard's sessions: `/ui/login`, `/ui/logout`, `/access/me`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from interlock.errors import Unauthorized
from interlock.server.dashboard.templates import page
from interlock.server.failures import wants_page
from interlock.server.house import House
from interlock.server.scope import Reading
from interlock.server.sessions import drop_cookie, put_cookie

router = APIRouter(tags=["Access"])

HOME = "/ui"
LOGIN = "/ui/login"


class Me(BaseModel):
    """Who calls, and what they may do."""

    identity: str
    kind: str
    roles: list[str]
    rights: list[str]
    tenant: str | None


class Refused(BaseModel):
    """An error, told."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {  # FastAPI's type
    401: {"model": Refused, "description": "Who calls is not known."},
    403: {"model": Refused, "description": "Who calls may not do this."},
}


@router.get("/access/me", responses=REFUSALS)
async def me(scope: Reading) -> Me:
    """Say who calls, and what they may do."""
    caller = scope.caller
    return Me(
        identity=caller.identity,
        kind=caller.kind,
        roles=list(caller.roles),
        rights=sorted(caller.rights),
        tenant=caller.tenant,
    )


@router.post("/ui/login", status_code=303, response_class=Response, responses=REFUSALS)
async def login(
    request: Request,
    key: Annotated[str, Form()],
    next: Annotated[str, Form()] = HOME,  # noqa: A002
) -> Response:
    """Begin a session of the dashboard with a key, and go on to a page of it."""
    house: House = request.app.state.house
    try:
        session = await house.gatekeeper.sessions.begin(key)
    except Unauthorized as error:
        if not wants_page(request):  # the page's script shows it beside the field
            raise
        told = {"next": next, "problem": str(error)}
        return await page(request, None, "login.html", status_code=401, **told)
    await house.audit.note(session.caller, "login")
    response = RedirectResponse(_own(next), status_code=303)
    put_cookie(response, session, request)
    return response


@router.post("/ui/logout", status_code=303, response_class=Response, responses=REFUSALS)
async def logout(request: Request, scope: Reading) -> Response:
    """End a session of the dashboard."""
    await scope.house.gatekeeper.sessions.end(request)
    response = RedirectResponse(LOGIN, status_code=303)
    drop_cookie(response)
    return response


def _own(path: str) -> str:
    """Return a path of this server; a way to another place leads home."""
    within = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if within else HOME
