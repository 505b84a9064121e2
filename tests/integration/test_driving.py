"""How runs are driven: breakpoints, checkpoints to start from, commands, limits, what reaches the nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Run
from interlock.core.driving import Driving, Durability, without_reserved
from interlock.core.queueing import MultitaskStrategy, Options
from interlock.errors import LimitReached, NotFound, ThreadBusy, UsageError
from interlock.settings import Settings
from tests.questions import sql
from tests.submitting import PATIENCE, events, left, working

CONFIG = Path(__file__).parents[1] / "sample" / "driven" / "langgraph.json"
BEFORE_B = Driving(interrupt_before=("b",))
GOES_ON = Driving(goes_on=True)
BEHIND = Options(multitask_strategy="enqueue")
IN_PLACE = Options(multitask_strategy="enqueue", replaces_questions=True)


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(
        database_url, config=CONFIG, settings=Settings(user="ann")
    ) as opened:
        yield opened


@pytest.fixture
async def worked(il: Interlock) -> AsyncIterator[Interlock]:
    async with working(il):
        yield il


async def done(il: Interlock, graph: str, given: Any, thread: str = "t", **more: Any) -> Run:
    """Submit a run, and wait until it rests."""
    run = await il.asubmit(graph, given, thread_id=thread, **more)
    return await il.await_run(run.run_id, PATIENCE)


async def values(il: Interlock, thread: str = "t") -> dict[str, Any]:
    """The newest state of a thread."""
    return dict((await il.ahistory(thread))[-1].values)


async def checkpoint(il: Interlock, number: int, thread: str = "t") -> Driving:
    """What starts from the first step of this number."""
    step = next(each for each in await il.ahistory(thread) if each.number == number)
    return Driving(checkpoint={"checkpoint_id": step.checkpoint_id, "checkpoint_ns": ""})


# --- breakpoints ---


async def test_a_run_stops_before_a_node(worked: Interlock, database_url: str) -> None:
    """It waits there, who waits for it is told, and nothing of it is left to workers."""
    run = await done(worked, "line", {}, driving=BEFORE_B)

    assert (run.status, run.error_kind) == ("waiting", "breakpoint")
    assert run.error == "Stopped before b, as it was asked to."
    assert (await worked.ahistory("t"))[-1].next == ("b",)
    assert await events(database_url, run.run_id) == ["submitted", "claimed", "waiting"]
    assert await left(database_url) == {}


async def test_it_goes_on_from_a_breakpoint(worked: Interlock) -> None:
    """By a run without an input; who waits for the first one gets that one's end."""
    stopped = await done(worked, "line", {}, driving=BEFORE_B)
    again = await worked.asubmit("line", None, thread_id="t", driving=GOES_ON)
    ended = await worked.await_run(stopped.run_id, PATIENCE)

    assert (again.kind, ended.run_id, ended.status) == ("resume", again.run_id, "succeeded")
    assert ended.output["said"] == ["a", "b", "c"]


async def test_every_node_can_be_stopped_before(worked: Interlock) -> None:
    """`*` names all of them, and none is skipped by going on."""
    everywhere = Driving(interrupt_before=("*",))
    await done(worked, "line", {}, driving=everywhere)
    said = []
    for _ in range(2):
        await done(worked, "line", None, driving=replace(everywhere, goes_on=True))
        said.append((await values(worked))["said"])

    assert said == [["a"], ["a", "b"]]


async def test_a_run_stops_after_a_node(worked: Interlock) -> None:
    """And not after one behind which nothing comes: that has ended."""
    after = Driving(interrupt_after=("b", "c"))
    stopped = await done(worked, "line", {}, driving=after)
    ended = await done(worked, "line", None, driving=replace(after, goes_on=True))

    assert (stopped.status, stopped.error) == (
        "waiting",
        "Stopped before c, as it was asked to.",
    )
    assert (ended.status, ended.output["said"]) == ("succeeded", ["a", "b", "c"])


async def test_a_run_that_nobody_looks_on_stops_inside_a_subgraph(worked: Interlock) -> None:
    """Nobody asked to be told of subgraphs; that one of them stopped is seen all the same."""
    stopped = await done(worked, "stops_inside", {})
    ended = await done(worked, "stops_inside", None, driving=GOES_ON)

    assert (stopped.status, stopped.error) == (
        "waiting",
        "Stopped before inside, as the graph was compiled to.",
    )
    assert (ended.status, (await values(worked))["said"][0]) == ("succeeded", "a")
    assert "b" in (await values(worked))["said"]


async def test_a_breakpoint_is_gone_on_from_by_hand(worked: Interlock) -> None:
    """`resume` without an answer does it."""
    await done(worked, "line", {}, driving=BEFORE_B)

    assert (await worked.aresume("t")).output["said"] == ["a", "b", "c"]


async def test_a_run_takes_the_place_of_a_breakpoint(worked: Interlock) -> None:
    """With an input, from an older step, or at its turn; the run that stopped is cancelled."""
    stopped = await done(worked, "line", {}, driving=BEFORE_B)
    again = await done(worked, "line", {}, driving=BEFORE_B, options=IN_PLACE)
    old = replace(await checkpoint(worked, 0), goes_on=True, interrupt_before=("b",))
    older = await done(worked, "line", None, driving=old, options=IN_PLACE)
    runs = [
        await worked.asubmit("line", {}, thread_id="t", driving=BEFORE_B, options=IN_PLACE)
        for _ in range(3)
    ]
    ended = [(await worked.await_run(run.run_id, PATIENCE)).status for run in runs]

    assert [run.error_kind for run in (again, older)] == ["breakpoint", "breakpoint"]
    assert ended[-1] == "waiting"
    assert (await worked.aresume("t")).status == "succeeded"
    for run in (stopped, again, older, *runs[:-1]):
        assert (await worked.store.stored(run.run_id)).run.status == "cancelled"


async def test_what_is_behind_a_breakpoint_waits(worked: Interlock) -> None:
    """As behind a question; what goes on comes before it."""
    await done(worked, "line", {}, driving=BEFORE_B)
    behind = await worked.asubmit("line", {}, thread_id="t", options=BEHIND)
    with pytest.raises(ThreadBusy):
        await worked.asubmit("line", {}, thread_id="t")
    await worked.asubmit("line", None, thread_id="t", options=BEHIND, driving=GOES_ON)
    ended = await worked.await_run(behind.run_id, PATIENCE)

    assert ended.output["said"] == ["a", "b", "c", "a", "b", "c"]


async def test_who_died_at_a_breakpoint_stands_there_still(il: Interlock, tmp_path: Path) -> None:
    """The process was gone before the stop was written down: LangGraph would take the next one for who goes on."""
    given = {"folder": str(tmp_path)}
    for number, driving in enumerate((BEFORE_B, Driving(interrupt_after=("a",)))):
        thread = f"t{number}"
        await il.asubmit("line", given, thread_id=thread, driving=driving, attended=True)
        await il.aresume(thread)
        await sql(
            il.url,
            "update interlock.runs set error_kind = '', error = '' where thread_id = %s",
            thread,
        )
        stopped = await il.aresume(thread)
        assert (stopped.status, stopped.error_kind) == ("queued", "breakpoint")
    assert (tmp_path / "log").read_text() == "a\na\n"


# --- going on ---


async def test_there_must_be_something_to_go_on_from(il: Interlock) -> None:
    """A new thread has no checkpoint, and a command that only updates needs one, too."""
    update = Driving(command={"update": {"said": ["u"]}})
    for thread in (None, "new"):
        for driving in (GOES_ON, update):
            with pytest.raises(UsageError, match="no checkpoint to go on from"):
                await il.asubmit("line", None, thread_id=thread, driving=driving)
    assert await sql(il.url, "select thread_id from interlock.threads") == []


@pytest.mark.parametrize("driving", [Driving(), None])
async def test_a_run_without_an_input_says_what_it_does(
    il: Interlock, driving: Driving | None
) -> None:
    """Otherwise it is refused; so is one that goes on and has an input."""
    with pytest.raises(UsageError, match="no input"):
        await il.asubmit("line", None, driving=driving)
    with pytest.raises(UsageError, match="takes no input"):
        await il.asubmit("line", {}, driving=GOES_ON)


async def test_going_on_behind_the_end_does_nothing(worked: Interlock) -> None:
    """It succeeds, as on LangGraph's server."""
    first = await done(worked, "line", {})
    again = await done(worked, "line", None, driving=GOES_ON)

    assert (again.status, again.output) == ("succeeded", first.output)


async def test_a_failed_run_is_gone_on_from(worked: Interlock) -> None:
    """From the step at which it failed, by a run of its own."""
    with_limit = Driving(recursion_limit=2)
    failed = await done(worked, "line", {}, driving=with_limit)
    ended = await done(worked, "line", None, driving=GOES_ON)

    assert (failed.status, failed.error_kind) == ("dead", "LimitReached")
    assert (ended.kind, ended.output["said"]) == ("invoke", ["a", "b", "c"])


async def test_going_on_leaves_an_open_question_open(worked: Interlock) -> None:
    """It is asked again, as the same question."""
    await done(worked, "asks", {})
    [before] = await worked.aquestions("t")
    again = await done(worked, "asks", None, driving=GOES_ON)

    assert again.status == "waiting"
    assert [each.id for each in await worked.aquestions("t")] == [before.id]
    assert (await worked.aquestion(before.id))[1][-1].kind == "asked"


# --- checkpoints ---


async def test_a_run_starts_from_an_older_checkpoint(worked: Interlock) -> None:
    """It is a branch inside the thread: what came behind the checkpoint is not part of its state."""
    await done(worked, "line", {})
    old = await checkpoint(worked, 1)
    again = await done(worked, "line", None, driving=replace(old, goes_on=True))
    with_input = await done(worked, "line", {"said": ["new"]}, driving=old)

    assert again.output["said"] == ["a", "b", "c"]
    assert with_input.output["said"] == ["a", "new", "a", "b", "c"]
    assert (await values(worked))["said"] == with_input.output["said"]


async def test_a_thread_that_waits_is_gone_on_from_an_older_checkpoint(worked: Interlock) -> None:
    """Its question gives way; at the newest one, which clients name too, it stays open."""
    waits = await done(worked, "asks", {})
    [question] = await worked.aquestions("t")
    same = await done(
        worked, "asks", None, driving=replace(await checkpoint(worked, 0), goes_on=True)
    )
    old = replace(await checkpoint(worked, -1), goes_on=True)
    with pytest.raises(ThreadBusy):
        await worked.asubmit("asks", None, thread_id="t", driving=old)
    again = await done(worked, "asks", None, driving=old, options=IN_PLACE)

    assert [each.kind for each in (waits, same, again)] == ["invoke", "resume", "invoke"]
    assert (await worked.aquestion(question.id))[0].status == "withdrawn"
    assert [each.run_id for each in await worked.aquestions("t")] == [again.run_id]


async def test_a_checkpoint_must_be_the_threads(worked: Interlock) -> None:
    """That of another thread is none of this one."""
    await done(worked, "line", {})
    await done(worked, "line", {}, "other")
    theirs = await checkpoint(worked, 1, "other")

    with pytest.raises(NotFound, match="has no checkpoint"):
        await worked.asubmit("line", {}, thread_id="t", driving=theirs)


async def test_a_checkpoint_that_is_gone_when_its_turn_comes_is_no_beginning(
    il: Interlock, database_url: str
) -> None:
    """LangGraph would begin with an empty state."""
    await il.ainvoke("line", {}, thread_id="t")
    await il.asubmit("line", {}, thread_id="t", driving=await checkpoint(il, 1))
    await sql(database_url, "delete from checkpoints")
    async with working(il):
        run = await il.await_run("t", PATIENCE)

    assert (run.status, run.error_kind) == ("dead", "ResumeRefused")
    assert "has no checkpoint" in run.error


# --- commands ---


async def test_a_command_updates_and_goes_somewhere(worked: Interlock) -> None:
    """On a thread that has ended, once and again."""
    driving = Driving(command={"update": {"said": ["u"]}, "goto": "c"})
    await done(worked, "line", {})
    await done(worked, "line", None, driving=driving)
    ended = await done(worked, "line", None, driving=driving)

    assert ended.output["said"] == ["a", "b", "c", "u", "c", "u", "c"]


async def test_a_command_sends_a_node_its_own_input(worked: Interlock) -> None:
    """Several at once, too; an update may be a list of keys and values."""
    await done(worked, "line", {})
    sends = [{"node": "c", "input": {}}, {"node": "c", "input": {}}]
    command = {"goto": sends, "update": [["said", ["u"]]]}
    ended = await done(worked, "line", None, driving=Driving(command=command))

    assert ended.output["said"] == ["a", "b", "c", "u", "c", "c"]


async def test_a_command_is_not_taken_over_by_what_goes_on(worked: Interlock) -> None:
    """It is of the run that was given it; what else was said of that run goes on with its thread."""
    command = {"update": {"said": ["u"]}, "goto": "a"}
    driving = Driving(interrupt_before=("b", "c"), command=command, configurable={"who": "ann"})
    await done(worked, "line", {})
    await done(worked, "line", None, driving=driving)
    await worked.aresume("t")
    ended = await worked.aresume("t")

    assert ended.output["said"] == ["a", "b", "c", "u", "a", "b", "c"]
    assert ended.output["told"]["who"] == "ann"


# --- what reaches the nodes ---


async def test_nodes_see_what_was_configured(worked: Interlock) -> None:
    """The client's own keys and tags, beside those of the runtime; checkpoints carry its metadata."""
    driving = Driving(
        configurable={"who": "ann"}, tags=("blue",), metadata={"case": "7", "run_id": "mine"}
    )
    run = await done(worked, "line", {}, driving=driving)

    told = {"who": "ann", "thread_id": "t", "run_id": run.run_id, "tags": ["blue"]}
    assert run.output["told"] == told
    rows = await sql(worked.url, "select distinct metadata ->> 'case' as c from checkpoints")
    assert rows == [{"c": "7"}]
    assert {each.run_id for each in await worked.ahistory("t")} == {run.run_id}


async def test_a_limit_lets_no_run_take_more_steps(worked: Interlock) -> None:
    """And raises no limit that its graph or the settings set."""
    few = await done(worked, "round", {"count": 9}, "few", driving=Driving(recursion_limit=3))
    settings = replace(worked.settings, steps=4)
    async with interlock.aopen(worked.url, config=CONFIG, settings=settings) as other:
        run = await other.asubmit(
            "round", {"count": 9}, driving=Driving(recursion_limit=100), attended=True
        )
        with pytest.raises(LimitReached, match="its 4 steps"):
            await other.aresume(run.thread_id)

    assert "its 3 steps" in few.error


async def test_what_is_saved_at_the_end_alone_is_one_checkpoint(worked: Interlock) -> None:
    """`exit` leaves the last one, and the thread is as it would be."""
    run = await done(worked, "line", {}, driving=Driving(durability="exit"))

    assert (run.status, run.output["said"]) == ("succeeded", ["a", "b", "c"])
    assert len(await worked.ahistory("t")) == 1


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_what_cannot_be_undone_takes_saved_steps(
    worked: Interlock, tmp_path: Path, durability: Durability
) -> None:
    """An act that a crash might do twice is refused before anybody is asked, and the refusal says what to do."""
    driving = Driving(durability=durability)
    run = await done(worked, "fees", {"folder": str(tmp_path)}, driving=driving)

    assert (run.status, run.interrupts) == ("dead", ())
    assert "Submit the run with the durability `sync`." in run.error
    assert list(tmp_path.iterdir()) == []


async def test_a_question_of_a_run_that_is_saved_at_its_end_is_asked(worked: Interlock) -> None:
    """Also when it is saved while it goes on."""
    for durability in ("exit", "async"):
        thread = f"{durability} t"
        await done(worked, "asks", {}, thread, driving=Driving(durability=durability))
        await worked.asubmit_resume(thread, "red")
        await worked.ajoin(thread, PATIENCE)
        await worked.asubmit_resume(thread, "blue")
        ended = await worked.ajoin(thread, PATIENCE)
        assert ended.output["said"] == ["first red", "then blue"]


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_fork_is_driven_by_nothing_that_its_parent_was(worked: Interlock, key: str) -> None:
    """It runs to its end."""
    driving = replace(BEFORE_B, configurable={"who": "ann"})
    await done(worked, "line", {}, driving=driving, options=Options(idempotency_key=key))
    fork = await worked.afork("t", at=0)

    assert (fork.status, fork.output["told"]) == (
        "succeeded",
        {"thread_id": fork.thread_id, "run_id": fork.run_id, "tags": []},
    )


@pytest.mark.parametrize(
    ("driving", "says"),
    [
        (Driving(interrupt_before=("nowhere",)), "no node nowhere"),
        (Driving(interrupt_after=("__start__",)), "no node __start__"),
        (Driving(configurable={"thread_id": "x"}), "thread_id"),
        (Driving(configurable={"__pregel_read": 1}), "__pregel_read"),
        (Driving(configurable={"x": object()}), "no JSON"),
        (Driving(command={"goto": "nowhere"}), "no node nowhere"),
        (Driving(command={"goto": [{"input": {}}]}), "neither a node"),
        (Driving(command={"goto": "a", "update": {"nothing": 1}}), "'nothing'"),
        (Driving(command={"goto": "a", "update": ["x"]}), "neither an object"),
        (Driving(command={"resume": 1}), "resume"),
        (Driving(checkpoint={"checkpoint_ns": ""}), "no checkpoint_id"),
        (Driving(checkpoint={"checkpoint_id": "x", "checkpoint_ns": "a:1"}), "subgraph"),
        (Driving(durability="never"), "never"),  # type: ignore[arg-type]  # that is the point
        (Driving(recursion_limit=0), "limit of 0"),
    ],
)
async def test_what_cannot_be_done_is_refused(il: Interlock, driving: Driving, says: str) -> None:
    """In words, before anything is written."""
    given: dict[str, Any] | None = None if driving.command else {}
    with pytest.raises(UsageError, match=says):
        await il.asubmit("line", given, thread_id="t", driving=driving)

    assert await sql(il.url, "select thread_id from interlock.threads") == []


def test_keys_of_the_runtime_can_be_left_out() -> None:
    """Some clients send all that they were given."""
    given = {"thread_id": "t", "__pregel_x": 1, "checkpoint_id": "c", "who": "ann"}

    assert without_reserved(given) == {"who": "ann"}


# --- threads ---


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_thread_without_a_graph_takes_that_of_its_first_run(
    worked: Interlock, key: str
) -> None:
    """And keeps whose it is."""
    await sql(
        worked.url,
        "insert into interlock.threads (thread_id, graph, title, context) "
        "values ('t', '', '', '{\"tenant\": \"acme\"}')",
    )
    options = Options(idempotency_key=key)
    await done(worked, "line", {}, driving=Driving(configurable={"who": "ann"}), options=options)

    [row] = await sql(worked.url, "select graph, context from interlock.threads")
    assert row == {"graph": "line", "context": {"tenant": "acme"}}
    with pytest.raises(UsageError, match="belongs to the graph 'line'"):
        await worked.asubmit("asks", {}, thread_id="t")


# --- in the place of a question ---


async def test_a_new_run_takes_the_place_of_a_question(worked: Interlock) -> None:
    """What its thread waited for is withdrawn, and written down."""
    asked = await done(worked, "asks", {})
    [question] = await worked.aquestions("t")
    again = await done(worked, "asks", {}, options=IN_PLACE)

    assert (again.status, (await worked.aquestions("t"))[0].run_id) == ("waiting", again.run_id)
    assert [each.kind for each in (await worked.aquestion(question.id))[1]][:2] == [
        "asked",
        "withdrawn",
    ]
    assert (await events(worked.url, asked.run_id))[-1] == "cancelled"


async def test_a_run_that_waited_its_turn_takes_the_place_too(worked: Interlock) -> None:
    """The run before it came to a question meanwhile."""
    runs = [await worked.asubmit("asks", {}, thread_id="t", options=IN_PLACE) for _ in range(4)]
    last = await worked.await_run(runs[-1].run_id, PATIENCE)

    assert (last.run_id, last.status) == (runs[-1].run_id, "waiting")
    [question] = await worked.aquestions("t")
    assert question.run_id == last.run_id
    stood = [(await worked.store.stored(each.run_id)).run.status for each in runs]
    assert stood == ["cancelled", "cancelled", "cancelled", "waiting"]


async def test_a_run_whose_time_comes_takes_the_place_too(worked: Interlock) -> None:
    """It was submitted before there was a question."""
    later = replace(IN_PLACE, start_at=datetime(2100, 1, 1, tzinfo=UTC))
    run = await worked.asubmit("asks", {}, thread_id="t", options=later)
    await done(worked, "asks", {}, options=IN_PLACE)
    await sql(worked.url, "update interlock.timers set due_at = now() where state = 'set'")
    await worked.afire_timers()
    last = await worked.await_run(run.run_id, PATIENCE)

    assert (last.run_id, last.status) == (run.run_id, "waiting")
    assert [each.run_id for each in await worked.aquestions("t")] == [run.run_id]


@pytest.mark.parametrize("strategy", ["enqueue", "reject"])
async def test_a_run_that_begins_later_leaves_the_question_until_then(
    worked: Interlock, strategy: MultitaskStrategy
) -> None:
    """What its thread waits for stays open until its time, also for an answer; then it is withdrawn."""
    later = replace(
        IN_PLACE, start_at=datetime(2100, 1, 1, tzinfo=UTC), multitask_strategy=strategy
    )
    asked = await done(worked, "asks", {})
    run = await worked.asubmit("asks", {}, thread_id="t", options=later)

    assert [each.run_id for each in await worked.aquestions("t")] == [asked.run_id]
    assert (await worked.arun("t")).run_id == asked.run_id

    await sql(worked.url, "update interlock.timers set due_at = now() where state = 'set'")
    await worked.afire_timers()
    last = await worked.await_run(run.run_id, PATIENCE)

    assert (last.run_id, last.status) == (run.run_id, "waiting")
    assert [each.run_id for each in await worked.aquestions("t")] == [run.run_id]
    assert (await events(worked.url, asked.run_id))[-1] == "cancelled"


async def test_a_question_is_answered_before_a_run_that_begins_later(worked: Interlock) -> None:
    """The answer goes on with the run that asked, and the later one begins on what that made of the thread."""
    later = replace(IN_PLACE, start_at=datetime(2100, 1, 1, tzinfo=UTC))
    await done(worked, "asks_then", {})
    run = await worked.asubmit("asks_then", {}, thread_id="t", options=later)
    answered = await worked.asubmit_resume("t", "yes")
    went_on = await worked.await_run(answered.run_id, PATIENCE)

    assert went_on.status == "succeeded"
    assert (await worked.store.stored(run.run_id)).run.status == "queued"


async def test_many_that_go_on_at_once_go_on_once(worked: Interlock) -> None:
    """One is accepted; the others find that the thread goes on."""
    await done(worked, "line", {}, driving=Driving(interrupt_before=("b", "c")))

    async def goes_on() -> str:
        try:
            await worked.asubmit(
                "line", None, thread_id="t", driving=replace(GOES_ON, interrupt_before=("c",))
            )
        except ThreadBusy:
            return "busy"
        return "accepted"

    answers = await asyncio.gather(*(goes_on() for _ in range(6)))
    await worked.ajoin("t", PATIENCE)

    assert "accepted" in answers
    assert (await values(worked))["said"][:2] == ["a", "b"]
