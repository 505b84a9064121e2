"""One thread: its graph, its steps, what was said, called and done; and what can be done with its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from interlock.core.runs import Step
from interlock.errors import UsageError
from interlock.server.dashboard.changes import changes_of
from interlock.server.dashboard.chart import Chart, Series
from interlock.server.dashboard.folding import Folded
from interlock.server.dashboard.pictures import folds, picture
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.seen import Moment, Seen, see
from interlock.server.dashboard.talk import conversations
from interlock.server.dashboard.templates import page
from interlock.server.dashboard.words import from_segment
from interlock.server.scope import Reading, Scope

router = pages()

OPEN = ("queued", "running", "waiting")
STOPPED = ("failed", "dead", "killed")


def named(thread_id: str) -> str:
    """Return the thread that a path names."""
    return from_segment(thread_id)


ThreadName = Annotated[str, Depends(named)]


@router.get("/ui/threads/{thread_id}")
async def thread(
    request: Request,
    scope: Reading,
    name: ThreadName,
    view: str = "steps",
    at: Annotated[str, Query(max_length=64)] = "",
    inside: bool = False,
    upto: Annotated[str, Query(max_length=64)] = "",
    fold: Folded = [],  # noqa: B006  # FastAPI copies it
) -> Response:
    """Show a thread."""
    if view not in VIEWS:
        raise UsageError(f"There is no view {view!r}.", hint=f"Known: {', '.join(VIEWS)}.")
    seen = await see(scope.reader, name, inside=inside and view == "steps", at=at, upto=upto)
    moment = seen.moment(at) if at else None
    chosen = moment.step if moment else None
    here = {key: each for key, each in request.query_params.items() if key not in ("fold", "said")}
    folded = folds(seen, fold, here)
    return await page(
        request,
        scope,
        "thread.html",
        seen=seen,
        run=seen.run,
        view=view,
        inside=inside,
        moment=moment,
        picture=picture(seen, chosen, folded),
        folded=folded,
        questions=seen.run.interrupts if seen.run else (),
        can=_can(scope, seen),
        parent=seen.row["parent_thread_id"],
        purpose=seen.row["purpose"],
        **await VIEWS[view](scope, seen, moment),
    )


def _can(scope: Scope, seen: Seen) -> Mapping[str, bool]:
    """Return what the caller may do with a thread as it stands."""
    rights, status = scope.caller.rights, seen.status
    idle = status == "queued" and bool(seen.run and seen.run.attempts)
    return {
        "cancel": "run" in rights and status in OPEN,
        "resume": "run" in rights and (status in STOPPED or idle),
        "kill": "govern" in rights and status in OPEN,
        "fork": "run" in rights and bool(seen.moments) and seen.graph is not None,
        "answer": "answer" in rights,
    }


async def _steps(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    if moment is None:
        return {"changes": [], "talks": {}, "neighbours": (None, None)}
    return {
        "changes": changes_of(moment.before, moment.step.values, moment.step.changed),
        "talks": conversations(moment.step.values),
        "neighbours": _neighbours(seen, moment),
    }


def _neighbours(seen: Seen, moment: Moment) -> tuple[Step | None, Step | None]:
    steps = seen.steps
    at = steps.index(moment.step)
    return (steps[at - 1] if at else None), (steps[at + 1] if at + 1 < len(steps) else None)


async def _talk(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    step = moment.step if moment else seen.latest
    return {"talks": conversations(step.values) if step else {}}


async def _state(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    step = moment.step if moment else seen.latest
    return {"state": step.values if step else {}, "of": step}


async def _calls(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    called = [each for each in seen.moments if each.calls]
    labels = [str(each.step.number) for each in called]
    tokens = Chart(
        title="Tokens by step",
        labels=labels,
        series=(
            Series(name="in", values=[_total(x, "input_tokens") for x in called]),
            Series(name="out", values=[_total(x, "output_tokens") for x in called], tone="good"),
        ),
    )
    seconds = Chart(
        title="Seconds of model calls by step",
        labels=labels,
        series=(Series(name="seconds", values=[_total(x, "seconds") for x in called]),),
    )
    ran = seen.ran
    return {
        "charts": [each.bars() for each in (tokens, seconds) if _tells(each)],
        "nodes": [(path, ran.get(path, 0), used) for path, used in sorted(seen.taken.items())],
    }


def _total(moment: Moment, name: str) -> float:
    return float(sum(getattr(each, name) for each in moment.calls))


def _tells(chart: Chart) -> bool:
    return len(chart.labels) > 1 and any(any(each.values) for each in chart.series)


async def _done(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    return {}


async def _tree(scope: Scope, seen: Seen, moment: Moment | None) -> dict[str, Any]:
    return {"tree": await scope.reader.atree(seen.thread_id)}


VIEWS: Mapping[str, Callable[..., Any]] = {  # coroutines of one shape
    "steps": _steps,
    "talk": _talk,
    "state": _state,
    "calls": _calls,
    "acts": _done,
    "runs": _done,
    "tree": _tree,
}
"""What is shown beside the graph -> what reads more for it."""
