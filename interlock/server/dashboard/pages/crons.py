"""Crons: what is submitted again and again, when next, and what came of it; made, changed, paused and deleted here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, get_args

from fastapi import Request, Response

from interlock.core.cron import Cron, upcoming
from interlock.core.driving import Driving
from interlock.core.queueing import MultitaskStrategy, Options
from interlock.core.timing import CatchUp
from interlock.crons import CLIENT
from interlock.errors import InterlockError, UsageError
from interlock.inputs import takes_our_context
from interlock.server.asking import driven_for
from interlock.server.bridging import guards
from interlock.server.dashboard.fields import Field, filled, input_fields
from interlock.server.dashboard.forms import read
from interlock.server.dashboard.routing import Name, pages, see, texts_of
from interlock.server.dashboard.templates import page
from interlock.server.dashboard.words import segment
from interlock.server.failures import status_of
from interlock.server.scope import Reading, Running, Scope

TIMES = 5
"""How many of its next times are told."""

GIVEN: Mapping[str, str] = {
    "name": "",
    "schedule": "0 7 * * mon-fri",
    "zone": "UTC",
    "catch_up": "once",
    "thread_id": "",
    "strategy": "enqueue",
    "within": "",
    "model": "",
}
"""What of a cron is no input of its runs, as a form begins with it."""

router = pages()


@router.get("/ui/crons")
async def crons(request: Request, scope: Reading) -> Response:
    """List the crons."""
    found = await scope.reader.acrons()
    return await page(
        request,
        scope,
        "crons.html",
        crons=sorted(found, key=lambda each: (not each.enabled, each.next_at is None, each.name)),
        runnable=list(scope.reader.application.targets),
        address=address,
        paused=sum(not each.enabled for each in found),
    )


@router.get("/ui/new-cron/{graph}")
async def new(request: Request, scope: Running, graph: str) -> Response:
    """Show the form of a new cron."""
    fields = input_fields(scope.reader.graph(graph))
    return await _form(request, scope, graph, fields, GIVEN)


@router.post("/ui/new-cron/{graph}")
async def put(request: Request, scope: Running, graph: str) -> Response:
    """Make a cron, or change the one of this name; or show what is wrong with it."""
    given = await texts_of(request)
    values, fields = read(input_fields(scope.reader.graph(graph)), given)
    said = {key: given.get(key, default).strip() for key, default in GIVEN.items()}
    if any(each.faulty for each in fields):
        return await _form(request, scope, graph, fields, said, status=422)
    try:
        cron = await _stored(scope, graph, values, said)
    except InterlockError as error:
        return await _form(request, scope, graph, fields, said, str(error), status_of(error))
    about = {"graph": graph, "schedule": cron.schedule, "zone": cron.zone}
    await scope.house.audit.note(scope.caller, "cron.set", cron.name, about)
    return see(address(cron.name), "Stored")


@router.get("/ui/crons/{name}")
async def cron(request: Request, scope: Reading, name: Name) -> Response:
    """Show a cron with its next times and what it did lately."""
    found, firings = await scope.reader.acron(name)
    now = await scope.reader.acron_clock()
    times = upcoming(found.schedule, found.zone, now, TIMES) if found.enabled else []
    return await page(
        request,
        scope,
        "cron.html",
        cron=found,
        firings=firings,
        times=[each for each in times if found.until is None or each <= found.until],
        here=address(name),
        is_ours=CLIENT not in found.context,
    )


@router.get("/ui/crons/{name}/change")
async def change(request: Request, scope: Running, name: Name) -> Response:
    """Show the form of a cron as it stands."""
    found = await _ours(scope, name)
    graph = scope.reader.graph(found.graph)
    fields = [
        filled(x, found.input[x.key]) if x.key in found.input else x for x in input_fields(graph)
    ]
    given = {
        "name": found.name,
        "schedule": found.schedule,
        "zone": found.zone,
        "catch_up": found.catch_up,
        "thread_id": found.thread_id,
        "strategy": found.multitask_strategy,
        "within": "" if found.within is None else f"{found.within / 60:g}",
        "model": str(found.context.get("model") or ""),
    }
    return await _form(request, scope, found.graph, fields, given, changes=True)


@router.post("/ui/crons/{name}/pause")
async def pause(scope: Running, name: Name) -> Response:
    """Let a cron fire no more."""
    await _done(scope, name, "pause", scope.il.acron_pause)
    return see(address(name), "Paused")


@router.post("/ui/crons/{name}/resume")
async def resume(scope: Running, name: Name) -> Response:
    """Let a cron fire again."""
    await _done(scope, name, "resume", scope.il.acron_resume)
    return see(address(name), "It fires again")


@router.post("/ui/crons/{name}/delete")
async def delete(scope: Running, name: Name) -> Response:
    """Forget a cron; the runs that it submitted stay."""
    await _done(scope, name, "remove", scope.il.acron_remove)
    return see("/ui/crons", "Deleted; its runs stay")


async def _done(scope: Scope, name: str, what: str, do: Callable[[str], Awaitable[object]]) -> None:
    """Do something with a cron that is the caller's, and note it."""
    await guards.cron(scope, {"name": name})
    await do(name)
    await scope.house.audit.note(scope.caller, f"cron.{what}", name)


def address(name: str) -> str:
    """Return where a cron's page is."""
    return f"/ui/crons/{segment(name)}"


async def _ours(scope: Scope, name: str) -> Cron:
    found, _ = await scope.reader.acron(name)
    if CLIENT in found.context:
        raise UsageError(
            f"A client of the server made the cron {name}.",
            hint="Change it there: it knows more of it than this form.",
        )
    return found


async def _stored(
    scope: Scope, graph: str, values: Mapping[str, Any], said: Mapping[str, str]
) -> Cron:  # the graph's input schema
    await guards.new_cron(scope, {"name": said["name"], "thread_id": said["thread_id"]})
    if any(each.name == said["name"] for each in await scope.reader.acrons()):
        await _ours(scope, said["name"])
    return await scope.il.acron_set(
        said["name"],
        graph,
        values,
        said["schedule"],
        zone=said["zone"] or "UTC",
        catch_up=_chosen(said["catch_up"], get_args(CatchUp)),
        thread_id=said["thread_id"],
        model=said["model"] or None,
        options=Options(multitask_strategy=_chosen(said["strategy"], get_args(MultitaskStrategy))),
        within=_minutes(said["within"]),
        driving=driven_for(scope, graph, Driving()),
    )


def _chosen(value: str, known: Sequence[Any]) -> Any:  # one of a Literal
    if value not in known:
        raise UsageError(f"There is no {value!r}.", hint=f"Known: {', '.join(known)}.")
    return value


def _minutes(text: str) -> float | None:
    try:
        return float(text) * 60 if text else None
    except ValueError:
        raise UsageError(f"{text!r} is no number of minutes.") from None


async def _form(
    request: Request,
    scope: Scope,
    graph: str,
    fields: Sequence[Field],
    given: Mapping[str, str],
    fault: str = "",
    status: int = 200,
    *,
    changes: bool = False,
) -> Response:
    return await page(
        request,
        scope,
        "cron_form.html",
        status_code=status,
        graph=graph,
        fields=fields,
        given=given,
        fault=fault,
        changes=changes,
        catch_ups=get_args(CatchUp),
        strategies=get_args(MultitaskStrategy),
        takes_model=takes_our_context(scope.reader.graph(graph)),
        default_model=scope.reader.settings.model,
    )
