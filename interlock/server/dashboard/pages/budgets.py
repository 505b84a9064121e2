"""Budgets: what was spent, what is held and what may be, as bars; and the limits of each as a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from markupsafe import Markup

from interlock.bounds import KINDS, ceilings_of, read_limits
from interlock.core.budget import UNITS, Account, Limits, ScopeKind, Unit
from interlock.documents.bounds import number
from interlock.errors import InterlockError, UsageError
from interlock.postgres.kills import KillStore
from interlock.server.dashboard.chart import meter
from interlock.server.dashboard.routing import Name, pages, see, texts_of
from interlock.server.dashboard.templates import page
from interlock.server.dashboard.words import segment
from interlock.server.failures import status_of
from interlock.server.routes.budgets import check_owned, check_seen
from interlock.server.routes.kills import told_of
from interlock.server.scope import Governing, Reading, Scope
from interlock.wording import money

LISTED = 50
NEARLY = 0.9
"""The share of a limit from which a bar warns."""

UNIT_NAMES: Mapping[str, str] = {
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "usd": "US dollars",
    "seconds": "seconds at work",
    "model_calls": "model calls",
    "actions": "acts",
}
"""How a unit is called on a page, where it is not called as it is."""

router = pages()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What was taken of one unit.

    Attributes:
        share: of the limit, what is held included; None without a limit.
        drawn: the bar; nothing without a limit.
    """

    unit: Unit
    spent: str
    held: str
    limit: str
    share: float | None
    drawn: Markup


@router.get("/ui/budgets")
async def budgets(
    request: Request,
    scope: Reading,
    kind: str = "graph",
    limited: Annotated[bool, Query()] = False,
) -> Response:
    """List budgets, with the switches that stand."""
    known = _kind(kind)
    ceiling = ceilings_of(scope.reader.settings)[known]
    found = await scope.reader.abudgets(known, limited=limited, limit=LISTED)
    standing = await KillStore(scope.reader.pool).standing()
    return await page(
        request,
        scope,
        "budgets.html",
        kind=known,
        kinds=KINDS[::-1],
        limited=limited,
        unit_names=UNIT_NAMES,
        accounts=[(each, bars(each, each.limits.within(ceiling))) for each in found],
        switches=[await told_of(scope, each) for each in standing],
        address=_address,
    )


@router.get("/ui/budgets/set")
async def choose(scope: Governing, kind: str, name: str) -> Response:
    """Lead to the budget of what was named."""
    known = _kind(kind)
    return see(_address(known, await check_seen(scope, known, name.strip())))


@router.get("/ui/budgets/{kind}/{name}")
async def budget(request: Request, scope: Reading, kind: str, name: Name) -> Response:
    """Show a budget, and the form of its limits."""
    known = _kind(kind)
    return await _budget(request, scope, known, await check_seen(scope, known, name))


@router.post("/ui/budgets/{kind}/{name}")
async def put(request: Request, scope: Governing, kind: str, name: Name) -> Response:
    """Store the limits that the form gives; a field that was emptied is no limit any more."""
    known = _kind(kind)
    name = await check_owned(scope, known, name)
    form = await texts_of(request)
    try:
        limits = read_limits(_amounts(form), f"The budget of {known} {name}")
        account = await scope.il.aset_budget(known, name, limits, instead=True)
    except InterlockError as error:
        return await _budget(request, scope, known, name, form, str(error), status_of(error))
    about = f"{known} {account.name}"
    await scope.house.audit.note(scope.caller, "budget.set", about, {"limits": limits.given()})
    return see(_address(known, account.name), "Stored; it holds from the next call on")


async def _budget(
    request: Request,
    scope: Scope,
    kind: ScopeKind,
    name: str,
    given: Mapping[str, str] | None = None,
    fault: str = "",
    status: int = 200,
) -> Response:
    account = await scope.reader.abudget(kind, name)
    limits = await scope.reader.alimits(kind, name)
    return await page(
        request,
        scope,
        "budget.html",
        status_code=status,
        account=account,
        bars=bars(account, limits, every=True),
        given=_given(account.limits) if given is None else given,
        holding=limits.given(),
        units=UNITS,
        unit_names=UNIT_NAMES,
        fault=fault,
        here=_address(kind, account.name),
    )


def bars(account: Account, limits: Limits, *, every: bool = False) -> list[Bar]:
    """Return what was taken of each unit that is limited; `every`: of all of which something was."""
    taken = account.spent + account.held
    wanted = [each for each in UNITS if limits.of(each) is not None or (every and taken.of(each))]
    return [_bar(account, each, limits.of(each)) for each in wanted]


def _bar(account: Account, unit: Unit, limit: float | None) -> Bar:
    spent, held = account.spent.of(unit), account.held.of(unit)
    share = None if limit is None else (spent + held) / limit if limit else float(bool(spent))
    tone = "bad" if share and share >= 1 else "warning" if share and share >= NEARLY else "accent"
    told = _told(unit, spent), _told(unit, held), "" if limit is None else _told(unit, limit)
    about = f"{UNIT_NAMES.get(unit, unit)}: {told[0]} spent, {told[1]} held, of {told[2]}"
    parts: Sequence[tuple[str, float, str]] = (("spent", spent, tone), ("held", held, "calm"))
    drawn = Markup("") if limit is None else meter(parts, limit or 1.0, about)
    return Bar(unit=unit, spent=told[0], held=told[1], limit=told[2], share=share, drawn=drawn)


def _told(unit: Unit, value: float) -> str:
    return money(value) if unit == "usd" else number(unit, value)


def _given(limits: Limits) -> dict[str, str]:
    found: dict[str, str] = {unit: f"{limit:.15g}" for unit, limit in limits.given().items()}
    return found | ({"landing": f"{limits.landing:g}"} if limits.landing else {})


def _amounts(form: Mapping[str, str]) -> dict[str, float]:
    return {
        name: _amount(name, form[name])
        for name in (*UNITS, "landing")
        if form.get(name, "").strip()
    }


def _amount(name: str, text: str) -> float:
    try:
        return float(text.strip().replace(",", "").replace("_", ""))
    except ValueError:
        raise UsageError(f"{name.replace('_', ' ')}: {text!r} is no number.") from None


def _kind(kind: str) -> ScopeKind:
    if kind not in KINDS:
        raise UsageError(f"There is no budget of a {kind!r}.", hint=f"Known: {', '.join(KINDS)}.")
    return kind


def _address(kind: str, name: str) -> str:
    return f"/ui/budgets/{kind}/{segment(name)}"
