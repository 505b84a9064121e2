"""Rate limits: what is stored for a target, set and removed by whoever governs all tenants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, Query, Request, Response

from interlock.core.rates import Rate, Standing
from interlock.errors import InterlockError, NotFound, UsageError
from interlock.server.bridging import guards
from interlock.server.dashboard.routing import pages, see, texts_of
from interlock.server.dashboard.templates import page
from interlock.server.failures import status_of
from interlock.server.scope import Governing, Scope

NUMBERS: Mapping[str, str] = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "concurrent": "calls at one time",
    "burst": "seconds whose share may come at once",
}

router = pages()

Target = Annotated[str, Query(max_length=400)]


@router.get("/ui/workers/limits")
async def look(request: Request, scope: Governing, target: Target = "") -> Response:
    """Show the form of a limit."""
    await guards.everybodys(scope, {})
    return await _form(request, scope, target.strip(), {})


@router.post("/ui/workers/limits")
async def put(
    request: Request, scope: Governing, target: Annotated[str, Form(max_length=400)] = ""
) -> Response:
    """Store the numbers that the form gives; those that it leaves out stay as they are."""
    await guards.everybodys(scope, {})
    given = await texts_of(request)
    name = target.strip()
    try:
        standing = await scope.il.aset_rate(name, _rate(given), by=scope.caller.identity)
    except InterlockError as error:
        return await _form(request, scope, name, given, str(error), status_of(error))
    about = {"rate": str(standing.rate)}
    await scope.house.audit.note(scope.caller, "limit.set", standing.name, about)
    return see("/ui/workers", f"{standing.name} is limited within two seconds")


@router.post("/ui/workers/limits/remove")
async def remove(scope: Governing, target: Annotated[str, Form(max_length=400)]) -> Response:
    """Remove what is stored; what a file declares holds on."""
    await guards.everybodys(scope, {})
    if not await scope.il.aremove_rate(target):
        raise NotFound(f"{target} has no stored limit.")
    await scope.house.audit.note(scope.caller, "limit.remove", target)
    return see("/ui/workers", f"The stored limit of {target} is removed")


def _rate(given: Mapping[str, str]) -> Rate:
    numbers = {name: _number(name, given.get(name, "")) for name in NUMBERS}
    concurrent = numbers.pop("concurrent")
    return Rate(**numbers, concurrent=None if concurrent is None else int(concurrent))


def _number(name: str, text: str) -> float | None:
    try:
        value = float(text.replace(",", "").replace("_", "")) if text.strip() else None
    except ValueError:
        raise UsageError(f"{NUMBERS[name]}: {text!r} is no number.") from None
    if name == "concurrent" and value is not None and value != int(value):
        raise UsageError(f"{NUMBERS[name]}: {text} is no whole number.")
    return value


async def _form(
    request: Request,
    scope: Scope,
    target: str,
    given: Mapping[str, str],
    fault: str = "",
    status: int = 200,
) -> Response:
    known = await scope.reader.arates()
    now = next((each for each in known if each.name == target), Standing(name=target))
    return await page(
        request,
        scope,
        "limit.html",
        status_code=status,
        target=target,
        given=given,
        now=now,
        known=[each.name for each in known],
        numbers=NUMBERS,
        fault=fault,
    )
