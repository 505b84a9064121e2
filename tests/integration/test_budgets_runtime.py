"""Budgets under the runtime: what a run takes is charged to all that it belongs to, and what is spent lands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Resume
from interlock.core.budget import Limits
from interlock.errors import BudgetSpent, NotFound, UsageError
from interlock.settings import Settings
from interlock.testing import OneModel
from tests.spending import Priced

CONFIG = Path(__file__).parents[1] / "sample" / "bounds" / "langgraph.json"
Open = Callable[..., AbstractAsyncContextManager[Interlock]]

CALL = 0.000075
"""Dollars of ten tokens in and five out of gpt-4o."""


@pytest.fixture
def model() -> Priced:
    return Priced()


@pytest.fixture
def opened(database_url: str, model: Priced) -> Open:
    def make(**settings: Any) -> AbstractAsyncContextManager[Interlock]:
        return interlock.aopen(
            database_url,
            config=CONFIG,
            settings=Settings(tenant="acme", **settings),
            models=OneModel(chat=model),
        )

    return make


@pytest.fixture
async def il(opened: Open) -> AsyncIterator[Interlock]:
    async with opened() as runtime:
        yield runtime


# --- charging ---


async def test_call_is_charged_to_run_thread_graph_and_tenant(il: Interlock) -> None:
    """In subgraphs and parallel branches too, with the tokens and the money that it took."""
    run = await il.ainvoke("team", {"members": 3, "calls": 2}, thread_id="t")
    await il.ainvoke("bare", {"calls": 1}, thread_id="u")

    assert run.partial == ""
    names = {"run": "t", "thread": "t", "graph": "team", "tenant": "acme"}
    stood = {kind: await il.abudget(kind, name) for kind, name in names.items()}  # type: ignore[arg-type]
    assert {kind: each.spent.model_calls for kind, each in stood.items()} == {
        "run": 7,
        "thread": 7,
        "graph": 7,
        "tenant": 8,
    }
    spent = stood["run"].spent
    assert (spent.input_tokens, spent.output_tokens, spent.tokens) == (70, 35, 105)
    assert spent.usd == pytest.approx(7 * CALL)
    assert spent.steps == 3
    assert {each.held.tokens for each in stood.values()} == {0}


async def test_synchronous_calls_that_hold_up_the_loop_are_charged_and_refused(
    il: Interlock, model: Priced
) -> None:
    """Nobody waits for the loop that they hold up."""
    run = await il.ainvoke("blocking", {"calls": 3}, thread_id="t")
    with pytest.raises(BudgetSpent):
        await il.ainvoke("blocking", {"calls": 3}, thread_id="u", limits=Limits(model_calls=2))

    assert len(run.output["said"]) == 4
    assert (await il.abudget("run", "t")).spent.model_calls == 4
    assert (await il.abudget("run", "u")).spent.model_calls == 2
    assert len(model.asked) == 6


async def test_calls_with_callbacks_of_their_own_are_charged_and_recorded(
    il: Interlock, model: Priced
) -> None:
    """LangChain forgets the run's then; a resume still pays for no answer twice."""
    with pytest.raises(BudgetSpent):
        await il.ainvoke("traced", {"calls": 3}, thread_id="t", limits=Limits(model_calls=2))
    run = await il.aresume("t", limits=Limits(model_calls=3))

    assert run.output["said"] == ["said 0", "said 1", "said 2"]
    assert model.asked == ["0", "1", "2"]
    assert (await il.abudget("run", "t")).spent.model_calls == 3


async def test_limit_of_a_call_is_kept_exactly(il: Interlock, model: Priced) -> None:
    """A bare graph has nowhere to land: the run fails, and what it had is saved."""
    with pytest.raises(BudgetSpent, match="0 of 3 model calls are left") as told:
        await il.ainvoke("bare", {"calls": 5}, thread_id="t", limits=Limits(model_calls=3))
    run = await il.arun("t")

    assert len(model.asked) == 3
    assert told.value.exit_code == 4
    assert (run.status, run.error_kind, run.partial) == ("failed", "BudgetSpent", "")


async def test_raised_limit_and_resume_go_on(il: Interlock, model: Priced) -> None:
    """What was answered before is not paid for again: the answers were not why it failed."""
    with pytest.raises(BudgetSpent):
        await il.ainvoke("bare", {"calls": 3}, thread_id="t", limits=Limits(model_calls=2))
    with pytest.raises(BudgetSpent):
        await il.aresume("t")
    run = await il.aresume("t", limits=Limits(model_calls=5))

    assert run.status == "succeeded"
    assert model.asked == ["0.0", "0.1", "0.2"]
    assert (await il.abudget("run", "t")).spent.model_calls == 3


@pytest.mark.parametrize(
    ("kind", "name"), [("run", "t"), ("thread", "t"), ("graph", "bare"), ("tenant", "acme")]
)
async def test_each_scope_can_be_limited_in_the_settings(
    opened: Open, model: Priced, kind: str, name: str
) -> None:
    """The error names it."""
    async with opened(**{f"budget_{kind}": {"model_calls": 1}}) as il:
        with pytest.raises(BudgetSpent, match=kind):
            await il.ainvoke("bare", {"calls": 2}, thread_id="t")

    assert len(model.asked) == 1


async def test_each_scope_can_be_limited_in_the_database(il: Interlock, model: Priced) -> None:
    """For all processes; removed, it does not hold any more."""
    for kind, name in (("graph", "bare"), ("tenant", "acme")):
        await il.aset_budget(kind, name, Limits(model_calls=len(model.asked) + 1))  # type: ignore[arg-type]
        with pytest.raises(BudgetSpent, match=f"{kind} {name}"):
            await il.ainvoke("bare", {"calls": 2})
        await il.aremove_budget(kind, name)  # type: ignore[arg-type]
    run = await il.ainvoke("bare", {"calls": 2})

    assert run.status == "succeeded"


async def test_limits_are_replaced_as_a_whole(il: Interlock) -> None:
    """By one write: what is not given is no limit any more, and at no moment does nothing hold."""
    await il.aset_budget("graph", "bare", Limits(steps=9, usd=1.0, landing=0.1))

    account = await il.aset_budget("graph", "bare", Limits(usd=2.0), instead=True)

    assert account.limits == Limits(usd=2.0)


async def test_limit_of_a_thread_counts_all_its_runs(il: Interlock, model: Priced) -> None:
    """A run of its own budget each, and one of the thread."""
    await il.ainvoke("bare", {"calls": 2}, thread_id="t", limits=Limits(model_calls=2))
    await il.aset_budget("thread", "t", Limits(model_calls=3))
    with pytest.raises(BudgetSpent, match="thread t"):
        await il.ainvoke("bare", {"calls": 2}, thread_id="t", limits=Limits(model_calls=2))

    assert len(model.asked) == 3


async def test_answer_goes_on_with_the_same_budget(il: Interlock, model: Priced) -> None:
    """A recorded answer costs nothing, also where nothing is left for it."""
    waiting = await il.ainvoke("asking", {}, thread_id="t", limits=Limits(model_calls=2))
    answer = Resume(waiting.interrupts[0].id, "yes")
    run = await il.aresume("t", answer)

    assert run.output["said"] == ["said before", "yes", "said after"]
    assert model.asked == ["before", "after"]
    assert (await il.abudget("run", "t")).spent.model_calls == 2


async def test_recorded_answers_are_free_when_everything_is_spent(
    il: Interlock, model: Priced
) -> None:
    """The node runs again up to its question, out of the record."""
    waiting = await il.ainvoke("asking", {}, thread_id="t", limits=Limits(model_calls=1))
    with pytest.raises(BudgetSpent):
        await il.aresume("t", Resume(waiting.interrupts[0].id, "yes"))

    assert model.asked == ["before"]


async def test_replay_takes_nothing(il: Interlock, model: Priced) -> None:
    """Neither calls nor steps."""
    await il.ainvoke("team", {"members": 1, "calls": 1}, thread_id="t")
    before = (await il.abudget("tenant", "acme")).spent
    replay = await il.areplay("t")

    assert replay.divergence is None
    assert (await il.abudget("tenant", "acme")).spent == before


async def test_fork_has_a_budget_of_its_own(il: Interlock, model: Priced) -> None:
    """What its parent's records answer costs nothing."""
    await il.ainvoke("bare", {"calls": 2}, thread_id="t")
    fork = await il.afork("t", at=-1)

    stood = await il.abudget("run", fork.thread_id)
    assert (stood.spent.model_calls, stood.spent.steps) == (0, 1)
    assert len(model.asked) == 2


async def test_cancelled_call_is_charged_with_all_that_was_held_for_it(
    opened: Open, model: Priced
) -> None:
    """Nobody knows what its provider bills."""
    model.waits = True
    async with opened() as il:
        work = asyncio.create_task(il.ainvoke("bare", {"calls": 1}, thread_id="t"))
        await asyncio.wait_for(model.begun.wait(), 10)
        held = (await il.abudget("run", "t")).held
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        stood = await il.abudget("run", "t")

    assert held.output_tokens == 20
    assert (stood.spent.output_tokens, stood.spent.model_calls, stood.estimated) == (20, 1, 1)
    assert stood.held.tokens == 0


# --- landing ---


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        (Limits(model_calls=4), "model_calls"),
        (Limits(steps=3), "steps"),
        (Limits(output_tokens=80), "output_tokens"),
        (Limits(usd=0.0015), "usd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_run_at_its_cap_delivers_its_landing(
    il: Interlock, model: Priced, limits: Limits, unit: str
) -> None:
    """Out of the share that was kept back; nothing else runs any more, and the run says that it is partial."""
    run = await il.ainvoke("team", {"members": 4, "calls": 3}, thread_id="t", limits=limits)

    assert run.status == "succeeded"
    assert run.output["said"][-1] == f"partial ({unit}): said land"
    assert not any("report" in each for each in run.output["said"])
    assert f"run {run.run_id}" in run.partial
    assert (await il.arun("t")).partial == run.partial
    spent, limit = (await il.abudget("run", "t")).spent, limits.of(unit)  # type: ignore[arg-type]
    assert limit is not None
    assert spent.of(unit) <= limit  # type: ignore[arg-type]


async def test_landing_of_one_run_says_nothing_of_the_next(il: Interlock) -> None:
    """The thread goes on with a budget that is whole."""
    await il.ainvoke(
        "team", {"members": 4, "calls": 3}, thread_id="t", limits=Limits(model_calls=4)
    )
    run = await il.ainvoke("team", {"members": 1, "calls": 1}, thread_id="t")

    assert run.partial == ""
    assert run.output["said"][-1] == "report: said report"


async def test_landing_that_cannot_be_paid_fails_and_is_resumed(
    il: Interlock, model: Priced
) -> None:
    """The tenant has nothing left at all; raised, the run goes on where it was: in its landing."""
    await il.aset_budget("tenant", "acme", Limits(model_calls=2))
    model_calls = Limits(model_calls=2)
    with pytest.raises(BudgetSpent):
        await il.ainvoke(
            "bare", {"calls": 3}, limits=model_calls
        )  # takes the tenant's two calls, and what was kept of them
    with pytest.raises(BudgetSpent, match="tenant acme"):
        await il.ainvoke("team", {"members": 2, "calls": 1}, thread_id="t")
    failed = await il.arun("t")
    await il.aset_budget("tenant", "acme", Limits(model_calls=3))
    run = await il.aresume("t")

    assert failed.status == "failed"
    assert run.output["said"] == ["plan", "partial (model_calls): said land"]


async def stopped(il: Interlock, model: Priced, **given: Any) -> None:
    """Run the team until one branch hangs in a call and another was refused, and stop it there."""
    model.waits = True
    work = asyncio.create_task(il.ainvoke("team", thread_id="t", **given))
    await asyncio.wait_for(model.begun.wait(), 10)
    async with asyncio.timeout(10):
        while (await il.abudget("run", "t")).landed is None:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    model.waits = False


async def test_run_that_was_stopped_beside_a_refused_branch_lands(
    il: Interlock, model: Priced
) -> None:
    """The other branch runs again, out of what is left by now; then comes the landing."""
    given = {"members": 2, "calls": 1}
    await stopped(il, model, input=given, limits=Limits(model_calls=2))
    await il.aset_budget("run", "t", Limits(model_calls=4))
    run = await il.aresume("t")

    assert run.status == "succeeded"
    plan, said, partial = run.output["said"]
    assert (plan, partial) == ("plan", "partial (model_calls): said land")
    assert said in ("said 0.0", "said 1.0")
    assert (await il.abudget("run", "t")).spent.model_calls == 3


async def test_run_that_was_stopped_while_it_landed_lands_again(
    opened: Open, model: Priced
) -> None:
    """With what is left of the kept share: the call that was cut off is charged."""
    async with opened() as il:
        given, limits = {"members": 7, "calls": 1}, Limits(model_calls=8, landing=0.25)
        model.stops_at = "land"
        work = asyncio.create_task(il.ainvoke("team", given, thread_id="t", limits=limits))
        await asyncio.wait_for(model.begun.wait(), 10)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        model.stops_at = ""
        run = await il.aresume("t")

    assert run.output["said"][-1] == "partial (model_calls): said land"
    assert (run.status, bool(run.partial)) == ("succeeded", True)


# --- what cannot be held to a budget ---


@pytest.mark.parametrize(
    ("changes", "limits", "said"),
    [
        ({"name_": "gpt-none"}, Limits(usd=1.0), "what openai:gpt-none costs is not known"),
        (
            {"name_": "gpt-none", "max_tokens": None},
            Limits(tokens=1000),
            "how long an answer of openai:gpt-none may be is not known",
        ),
    ],
    ids=["no price", "no cap"],
)
async def test_what_is_not_known_is_refused_where_it_is_limited(
    opened: Open, model: Priced, changes: dict[str, Any], limits: Limits, said: str
) -> None:
    """The error says what to do; where it is not limited the call is made."""
    for name, value in changes.items():
        setattr(model, name, value)
    async with opened() as il:
        with pytest.raises(UsageError, match=said) as told:
            await il.ainvoke("bare", {"calls": 1}, limits=limits)
        run = await il.ainvoke("bare", {"calls": 1}, limits=Limits(model_calls=1))

    assert "INTERLOCK_PRICES" in told.value.hint
    assert run.status == "succeeded"


async def test_budget_of_nothing_that_exists_is_refused(il: Interlock) -> None:
    """A tenant or a graph may come later; a thread may not."""
    with pytest.raises(NotFound):
        await il.abudget("thread", "none")
    with pytest.raises(UsageError, match="budget of a 'team'"):
        await il.abudget("team", "x")  # type: ignore[arg-type]  # the mistake itself


@pytest.mark.parametrize(
    "values",
    [{"usd": float("nan")}, {"tokens": -1}, {"model_calls": 1.5}, {"usd": 1.0, "landing": 1.5}],
    ids=["no number", "negative", "a part of a call", "more than all to land"],
)
def test_limit_that_limits_nothing_is_refused_where_it_is_written(values: dict[str, float]) -> None:
    """Compared with what is no number, every amount would pass."""
    with pytest.raises(UsageError, match="is no "):
        Limits(**values)  # type: ignore[arg-type]  # the mistake itself


async def test_wrong_limits_in_the_settings_are_refused_at_once(opened: Open) -> None:
    """With the variable that is wrong."""
    with pytest.raises(UsageError, match="INTERLOCK_BUDGET_RUN: 'dollars' is no unit"):
        async with opened(budget_run={"dollars": 1.0}):
            pass
