"""Replays and forks of a thread of thirty steps: what is done again, and what is answered from the ledger."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Interlock, Resume
from interlock.errors import UsageError

CONFIG = Path(__file__).parents[1] / "sample" / "journey" / "langgraph.json"
Manner = Callable[[Mapping[str, Any]], str]

CODE = str(CONFIG.parent / "journey.py")
LEGS = 10


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as il:
        yield il


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


async def journey(il: Interlock, log: Path) -> str:
    """A finished journey: ten calls, ten walks, and a payment that was approved."""
    run = await il.ainvoke("journey", {"early": "slowly", "late": "fast", "log": str(log)})
    run = await il.aresume(run.thread_id, Approve(run.interrupts[0].id, by="ann"))
    assert run.status == "succeeded"
    return run.thread_id


async def step_of(il: Interlock, thread: str, node: str, nth: int) -> int:
    """The number of the step before the nth run of a node."""
    found = [step.number for step in await il.ahistory(thread) if node in step.next]
    return found[nth - 1]


async def test_a_replay_comes_to_the_same_end_and_does_nothing(il: Interlock, log: Path) -> None:
    """Over thirty steps: no model call, no effect, nobody asked, the same final state."""
    thread = await journey(il, log)
    before = lines(log)
    replay = await il.areplay(thread)

    assert lines(log) == before
    assert (replay.run.status, replay.same, replay.divergence) == ("succeeded", True, None)
    assert (replay.model_calls, replay.effects) == (LEGS, LEGS + 1)
    steps, again = await il.ahistory(thread), await il.ahistory(replay.run.thread_id)
    assert len(steps) > 30
    assert [step.values for step in again] == [step.values for step in steps]
    assert sum(step.usage.calls for step in again) == 0
    assert await il.aquestions() == []


async def test_a_replay_begins_where_it_is_told(il: Interlock, log: Path) -> None:
    """From the eighth leg on only its own calls and acts are answered."""
    thread = await journey(il, log)
    before = lines(log)
    replay = await il.areplay(thread, at=await step_of(il, thread, "think", 8))

    assert (lines(log), replay.same) == (before, True)
    assert (replay.model_calls, replay.effects) == (3, 4)


async def test_a_replay_of_a_replay_and_of_a_fork_are_free_too(il: Interlock, log: Path) -> None:
    """What was answered from records is a record."""
    thread = await journey(il, log)
    at = await step_of(il, thread, "think", 9)
    fork = await il.afork(thread, at=at, values={"late": "fast"})
    before = lines(log)
    first = await il.areplay(thread)
    second = await il.areplay(first.run.thread_id)
    of_fork = await il.areplay(fork.thread_id)

    assert (lines(log), first.same, second.same, of_fork.same) == (before, True, True, True)


async def test_a_fork_pays_for_what_its_change_changes(il: Interlock, log: Path) -> None:
    """With `late` changed from the beginning, the first five legs are answered and the last five are walked anew."""
    thread = await journey(il, log)
    before = len(lines(log))
    fork = await il.afork(
        thread, at=await step_of(il, thread, "think", 1), values={"late": "calmly"}
    )

    asked = fork.interrupts[0]
    live = lines(log)[before:]
    assert live == [
        line
        for leg in range(6, LEGS + 1)
        for line in (f"call leg {leg} calmly", f"walk {leg} calmly")
    ]
    assert fork.status == "waiting"
    assert asked.arguments["amount"] == 6
    history = await il.ahistory(fork.thread_id)
    assert sum(step.usage.calls for step in history) == 5


async def test_what_cannot_be_undone_is_not_repeated_without_a_new_approval(
    il: Interlock, log: Path
) -> None:
    """The fork would pay another amount: the question says what the parent paid, and nothing is paid before it."""
    thread = await journey(il, log)
    fork = await il.afork(
        thread, at=await step_of(il, thread, "think", 6), values={"late": "at last"}
    )
    question = fork.interrupts[0]

    assert thread in question.summary
    assert any('"amount": 4' in line for line in question.evidence)
    assert [line for line in lines(log) if line.startswith("pay")] == ["pay 4"]
    run = await il.aresume(fork.thread_id, Approve(question.id, by="ann"))
    assert run.status == "succeeded"
    assert [line for line in lines(log) if line.startswith("pay")] == ["pay 4", "pay 7"]


async def test_an_unchanged_payment_is_answered_on_a_fork(il: Interlock, log: Path) -> None:
    """The same act with the same arguments is not done again, and nobody is asked."""
    thread = await journey(il, log)
    before = lines(log)
    fork = await il.afork(thread, at=await step_of(il, thread, "think", 10))

    assert (fork.status, lines(log)) == ("succeeded", before)
    effects = await il.aeffects(fork.thread_id)
    assert [(each.action, bool(each.source)) for each in effects] == [
        ("journey_walk", True),
        ("journey_pay", True),
    ]


def backwards_at_leg_7(manner: Manner) -> Manner:
    return lambda state: "backwards" if state["leg"] == 7 else manner(state)


async def test_a_replay_stops_where_the_code_asks_for_something_else(
    il: Interlock, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report names the node, what it asked for, and what was recorded; nothing was done."""
    thread = await journey(il, log)
    before = lines(log)
    for name, code in list(
        sys.modules.items()
    ):  # another test may have loaded it, for another application
        if name.startswith("interlock_graph_") and code.__file__ == CODE:
            monkeypatch.setattr(code, "manner", backwards_at_leg_7(code.manner))
    replay = await il.areplay(thread)
    stopped = replay.divergence

    assert stopped is not None
    assert (stopped.node, stopped.kind, lines(log)) == ("think", "model", before)
    assert "leg 7 backwards" in stopped.requested
    assert any("leg 7 fast" in line for line in stopped.differs)
    assert (replay.run.status, replay.run.error_kind) == ("failed", "ReplayDiverged")
    with pytest.raises(UsageError, match="is a replay"):
        await il.aresume(replay.run.thread_id)


async def test_a_replay_of_a_waiting_thread_waits_and_asks_nobody(il: Interlock, log: Path) -> None:
    """It ends where the thread waits, and opens no question of its own."""
    run = await il.ainvoke("journey", {"early": "slowly", "late": "fast", "log": str(log)})
    replay = await il.areplay(run.thread_id)

    assert (replay.run.status, replay.same) == ("waiting", True)
    assert [each.thread_id for each in await il.aquestions()] == [run.thread_id]


async def test_a_replay_hands_langgraphs_own_interrupts_their_answers(
    il: Interlock, log: Path
) -> None:
    """An interrupt that is no approval gets what it was resumed with then."""
    run = await il.ainvoke("waits", {"log": str(log)})
    await il.aresume(run.thread_id, Resume(run.interrupts[0].id, "north"))
    replay = await il.areplay(run.thread_id)

    assert (replay.run.status, replay.same) == ("succeeded", True)
    assert replay.run.output["done"] == ["told north"]


async def test_a_replay_calls_no_tool_that_is_no_action(il: Interlock, log: Path) -> None:
    """Nobody knows what such a tool does; it is called only where it is named."""
    run = await il.ainvoke("plain", {"log": str(log)})
    replay = await il.areplay(run.thread_id)

    assert replay.divergence is not None
    assert (replay.divergence.kind, lines(log)) == ("tool", ["look"])
    replay = await il.areplay(run.thread_id, live_tools=["look"])
    assert (replay.same, lines(log)) == (True, ["look", "look"])


@pytest.mark.parametrize(
    ("season", "end", "effects"), [("summer", "climbed Rigi", 1), ("winter", "turned back", 0)]
)
async def test_a_replay_refuses_what_was_refused_then(
    il: Interlock, log: Path, season: str, end: str, effects: int
) -> None:
    """The same request, refused twice and then done, or refused until the run escalates, comes out the same."""
    run = await il.ainvoke("climbs", {"early": season, "log": str(log)})
    before = lines(log)
    replay = await il.areplay(run.thread_id)

    assert [each.split(":")[0] for each in run.output["done"]] == [
        "precondition",
        "precondition",
        end,
    ]
    assert (replay.divergence, replay.changed, replay.effects) == (None, {}, effects)
    assert lines(log) == before
    assert await il.arefusals(replay.run.thread_id) == []
