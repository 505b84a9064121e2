"""The loop guard in the runtime: on Postgres, under the thread's lock, with questions and a ledger that last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Interlock, Reject, Respond
from interlock.core.trails import TRAIL
from interlock.errors import LimitReached
from interlock.settings import Settings

FOLDER = Path(__file__).parents[1] / "sample" / "circling"
ASKED = {"messages": [{"type": "human", "content": "Who built it?"}]}
ROUNDS = ["agent", "tools"] * 3


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    settings = Settings(policy=FOLDER / "policy.toml", steps=12)
    config = FOLDER / "langgraph.json"
    async with interlock.aopen(database_url, config=config, settings=settings) as opened:
        yield opened


async def nodes(il: Interlock, thread: str) -> list[str]:
    """What ran, as the history tells it."""
    return [node for step in await il.ahistory(thread) for node in step.next][1:]


async def test_a_graph_that_loops_finishes_after_the_backtrack(il: Interlock) -> None:
    """The run succeeds; its history shows the circle, the guard, and what came then."""
    run = await il.ainvoke("circling", ASKED)

    assert (run.status, run.output["answer"]) == ("succeeded", "not known")
    assert await nodes(il, run.thread_id) == [*ROUNDS, "agent", "loop_guard", "agent"]
    [note] = run.output["notes"]
    assert note.startswith("Tried before, and given up: agent → tools brought the same 3 times")
    assert [each.text for each in run.output["messages"]] == ["Who built it?", "It is not known."]


async def test_the_history_does_not_show_the_trail(il: Interlock) -> None:
    """It is no key of the state: neither steps nor differences tell of it."""
    run = await il.ainvoke("circling", ASKED)
    other = await il.ainvoke("circling", {**ASKED, "stubborn": 0})

    steps = await il.ahistory(run.thread_id)
    difference = await il.adiff(run.thread_id, other.thread_id)
    assert not [step for step in steps if TRAIL in step.values]
    assert TRAIL not in repr(difference)


async def test_a_person_is_asked_the_second_time_and_tells_it_where_to_look(il: Interlock) -> None:
    """The question waits in the database; the hint is in the agent's notes."""
    run = await il.ainvoke("circling", {**ASKED, "stubborn": 1})
    [question] = run.interrupts

    after = await il.aresume(run.thread_id, Respond(question.id, "Ask the parish.", "ada"))

    assert (run.status, question.node) == ("waiting", "loop_question")
    assert (after.status, after.output["answer"]) == ("succeeded", "not known")
    assert after.output["notes"][1].endswith("A person says: Ask the parish.")


async def test_a_person_may_let_it_go_on_and_is_asked_again(il: Interlock) -> None:
    """Each circle is a question of its own."""
    run = await il.ainvoke("circling", {**ASKED, "stubborn": 1})
    first = run.interrupts[0].id

    again = await il.aresume(run.thread_id, Approve(first, "ada"))

    assert again.status == "waiting"
    assert again.interrupts[0].id != first


async def test_a_person_may_end_it(il: Interlock) -> None:
    """The run fails with its own error, which says who stopped it."""
    run = await il.ainvoke("circling", {**ASKED, "stubborn": 1})
    [question] = run.interrupts

    with pytest.raises(LimitReached, match="ada stopped the graph 'circling'"):
        await il.aresume(run.thread_id, Reject(question.id, "Enough.", "ada"))

    assert (await il.arun(run.thread_id)).status == "failed"


async def test_a_subgraph_goes_back_in_itself(il: Interlock) -> None:
    """Its checkpoints stand under a name of their own, and are found there."""
    run = await il.ainvoke("around", ASKED)

    inside = [s for s in await il.ahistory(run.thread_id, inside=True) if s.inside]
    assert run.output["answer"] == "not known"
    assert [each.text for each in run.output["messages"]] == ["Who built it?", "It is not known."]
    assert ("loop_guard",) in [step.next for step in inside]


async def test_an_act_of_the_abandoned_steps_is_not_done_again_silently(
    il: Interlock, tmp_path: Path
) -> None:
    """The policy would allow it; after the way back a person is asked all the same."""
    log = tmp_path / "fees"
    run = await il.ainvoke("circling", {**ASKED, "stubborn": 1, "fee": 2, "log": str(log)})
    [question] = run.interrupts

    assert question.payload["action_requests"][0]["name"] == "circling_fee"
    assert "in steps that this run was taken back from" in question.payload["question"]["summary"]
    assert log.read_text().count("fee") == 3
    after = await il.aresume(run.thread_id, Approve(question.id, "ada"))
    assert log.read_text().count("fee") == 4
    assert after.status == "waiting"  # the next round asks again


async def test_a_fork_from_the_circle_keeps_its_trail(il: Interlock) -> None:
    """A fork of a step inside a circle that changes nothing is found out where its parent was."""
    run = await il.ainvoke("circling", ASKED)
    steps = await il.ahistory(run.thread_id)
    at = [step for step in steps if step.next == ("tools",)][2]

    fork = await il.afork(run.thread_id, at=at.checkpoint_id)

    assert (await nodes(il, fork.thread_id))[-4:] == ["tools", "agent", "loop_guard", "agent"]
    assert fork.output["answer"] == "not known"


async def test_a_replay_comes_to_the_same_end(il: Interlock) -> None:
    """The guard's verdict follows from the state alone."""
    run = await il.ainvoke("circling", ASKED)

    replay = await il.areplay(run.thread_id)

    assert replay.run.output["answer"] == "not known"
    assert not replay.changed


async def test_a_graph_without_a_limit_has_that_of_the_settings(il: Interlock) -> None:
    """The error says which limit it was, and which nodes used it up."""
    with pytest.raises(LimitReached, match="used up its 12 steps; it went round in") as caught:
        await il.ainvoke("unlimited", ASKED)

    told: Any = str(caught.value)
    assert "agent → tools" in told or "tools → agent" in told
