"""The durable runtime on Postgres, driven through `interlock.aopen` and `interlock.open`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Approve, Edit, Interlock, Reject, Resume
from interlock.errors import (
    AnswerRefused,
    DatabaseUnavailable,
    LimitReached,
    ModelUnavailable,
    NotFound,
    ResumeRefused,
    ThreadBusy,
    UsageError,
)

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def payment(ledger: Path) -> dict[str, Any]:
    return {"payee": "ann", "amount": 5, "ledger": str(ledger)}


async def test_a_run_ends_with_its_output(il: Interlock, log: Path) -> None:
    """A finished run carries the graph's output schema and nothing else."""
    run = await il.ainvoke("counter", {"goal": 2, "log": str(log)})

    assert (run.status, run.output, run.interrupts, run.attempts) == (
        "succeeded",
        {"count": 2},
        (),
        1,
    )
    assert log.read_text().split("\n") == [
        "begin",
        "step 1",
        "step 2",
        "branch",
        "branch",
        "end",
        "",
    ]


async def test_stream_ends_with_the_run(il: Interlock, log: Path) -> None:
    """Custom events arrive in order, and the last part is the run."""
    given = {"goal": 3, "log": str(log)}
    parts = [part async for part in il.astream("counter", given, stream_mode=["custom"])]

    assert [part["data"]["count"] for part in parts[:-1]] == [1, 2, 3]
    assert (parts[-1]["type"], parts[-1]["data"].status) == ("end", "succeeded")


def test_the_synchronous_face_does_the_same(database_url: str, log: Path) -> None:
    """`interlock.open` runs, lists and forks without an event loop of the caller's."""
    with interlock.open(database_url, config=CONFIG) as il:
        run = il.invoke("counter", {"goal": 1, "log": str(log)})
        events = [part["type"] for part in il.stream("counter", {"goal": 1, "log": str(log)})]
        fork = il.fork(run.thread_id, at=1, values={"goal": 2})

        assert (run.output, fork.output, events[-1]) == ({"count": 1}, {"count": 2}, "end")
        assert len(il.threads()) == 3


async def test_history_tells_what_each_step_did(il: Interlock, log: Path) -> None:
    """Each step names the nodes that ran, what changed, and what runs next; parallel nodes are one step."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})

    told = [(s.number, s.nodes, s.changed, s.next) for s in await il.ahistory(run.thread_id)][1:]

    assert told == [
        (0, ("__start__",), ("goal", "log"), ("begin",)),
        (1, ("begin",), ("count", "seen"), ("step",)),
        (2, ("step",), ("count", "seen"), ("branch", "branch")),
        (3, ("branch", "branch"), ("seen",), ("end",)),
        (4, ("end",), ("seen",), ()),
    ]


async def test_a_fork_changes_one_variable_and_leaves_the_parent_alone(
    il: Interlock, log: Path
) -> None:
    """A fork continues from the step, not from the beginning, on a thread of its own."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    before = await il.ahistory(run.thread_id)
    log.unlink()

    fork = await il.afork(run.thread_id, at=1, values={"goal": 2})

    assert (fork.status, fork.output) == ("succeeded", {"count": 2})
    assert log.read_text().split() == ["step", "1", "step", "2", "branch", "branch", "end"]
    assert await il.ahistory(run.thread_id) == before


async def test_a_fork_inside_a_fan_out_keeps_its_tasks(il: Interlock, log: Path) -> None:
    """Forking where two branches are about to run runs both."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    log.unlink()

    fork = await il.afork(run.thread_id, at=2, values={"count": 7})

    assert (fork.output, log.read_text().split()) == ({"count": 7}, ["branch", "branch", "end"])


async def test_a_fork_of_a_fork_at_the_input_runs_the_changed_input(
    il: Interlock, log: Path
) -> None:
    """Step -1 is before the input: a changed value there is a changed input, also on a fork."""
    run = await il.ainvoke("counter", {"goal": 2, "log": str(log)})
    fork = await il.afork(run.thread_id, at=1, values={"goal": 3})

    again = await il.afork(fork.thread_id, at=-1, values={"goal": 1})

    assert again.output == {"count": 1}


async def test_diff_shows_where_two_threads_part(il: Interlock, log: Path) -> None:
    """A difference holds the common beginning, the changed values and both paths."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    fork = await il.afork(run.thread_id, at=2, values={"count": 0, "goal": 1})

    found = await il.adiff(run.thread_id, fork.thread_id)

    assert found.common_steps == 4
    assert (found.changed["count"], found.path_a) == ((1, 0), ("branch+branch", "end"))
    assert await il.adiff(run.thread_id, fork.thread_id, most=1) == found


async def test_diff_of_threads_that_share_nothing_tells_the_beginning(
    il: Interlock, log: Path
) -> None:
    """Where only so many steps are wanted the rest is counted, and what differs in the end is told all the same."""
    one = await il.ainvoke("counter", {"goal": 2, "log": str(log)})
    other = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    whole = await il.adiff(one.thread_id, other.thread_id)

    found = await il.adiff(one.thread_id, other.thread_id, most=3)

    steps = len(await il.ahistory(one.thread_id))
    assert (found.common_steps, found.more_a, whole.more_a) == (0, steps - 3, 0)
    assert found.path_a == whole.path_a[: len(found.path_a)]
    assert 0 < len(found.path_a) < len(whole.path_a)
    assert (found.changed, found.usage_a) == (whole.changed, whole.usage_a)
    assert found.effects_only_a == whole.effects_only_a


@pytest.mark.parametrize(
    ("values", "message"),
    [({"gaol": 3}, "has no gaol"), ({"goal": "many"}, "valid integer")],
)
async def test_a_fork_refuses_what_does_not_fit_the_state(
    il: Interlock, log: Path, values: dict[str, Any], message: str
) -> None:
    """An unknown key or a wrong type is refused before anything is written."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})

    with pytest.raises(UsageError, match=message):
        await il.afork(run.thread_id, at=1, values=values)
    assert len(await il.athreads()) == 1


@pytest.mark.parametrize(
    ("graph", "given", "error", "message"),
    [
        ("conter", {"goal": 1, "log": "x"}, NotFound, "names: counter, foreign, payment, travel"),
        ("counter", {"log": "x"}, UsageError, "goal: Field required"),
        ("counter", {"goal": -1, "log": "x"}, UsageError, "goal"),
        ("counter", {"goal": 1, "log": "x", "lag": 2}, UsageError, "has no lag"),
    ],
)
async def test_bad_input_is_refused_before_it_is_saved(
    il: Interlock, graph: str, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """An unknown graph, and missing, wrong or unknown input, leave no thread behind."""
    with pytest.raises(error, match=message):
        await il.ainvoke(graph, given)
    assert await il.athreads() == []


async def test_an_unknown_model_is_refused_before_anything_is_saved(
    il: Interlock, log: Path
) -> None:
    """The model is built when the run is accepted, not in the middle of it."""
    with pytest.raises(ModelUnavailable, match="is not a model name"):
        await il.ainvoke("counter", {"goal": 1, "log": str(log)}, model="gpt")
    assert await il.athreads() == []


async def test_unknown_threads_steps_and_questions_are_named(il: Interlock, log: Path) -> None:
    """What is not there is said, with what is."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})

    with pytest.raises(NotFound, match="no thread 'nope'"):
        await il.ahistory("nope")
    with pytest.raises(NotFound, match="steps -1 to 4"):
        await il.astep(run.thread_id, 99)
    with pytest.raises(NotFound, match="no question 'nope'"):
        await il.aresume(run.thread_id, Approve("nope"))


async def test_ids_may_be_abbreviated(il: Interlock, log: Path) -> None:
    """The beginning of a thread's or a checkpoint's id is enough."""
    run = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    step = (await il.ahistory(run.thread_id))[2]

    assert (await il.astep(run.thread_id[:8], step.checkpoint_id)).number == 1


async def test_an_approved_payment_is_made_once(il: Interlock, tmp_path: Path) -> None:
    """Approving runs the action, and its effect stands in the ledger."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))
    question = run.interrupts[0]

    run = await il.aresume(run.thread_id, Approve(question.id, by="eve"))

    assert (question.action, question.arguments["amount"], run.status) == ("pay", 5, "waiting")
    assert (tmp_path / "bank").read_text() == "ann 5\n"
    assert [(each.action, each.status) for each in await il.aeffects(run.thread_id)] == [
        ("pay", "done")
    ]


async def test_an_edited_payment_uses_the_edited_arguments(il: Interlock, tmp_path: Path) -> None:
    """What a person changed is what happens; the rest stays."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))

    await il.aresume(run.thread_id, Edit(run.interrupts[0].id, {"amount": 3}))

    assert (tmp_path / "bank").read_text() == "ann 3\n"


async def test_an_edit_that_does_not_fit_the_action_is_refused(
    il: Interlock, tmp_path: Path
) -> None:
    """A wrong edit changes nothing, and the question stays open."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))

    with pytest.raises(AnswerRefused, match="amount"):
        await il.aresume(run.thread_id, Edit(run.interrupts[0].id, {"amount": "lots"}))
    assert [each.id for each in await il.aquestions(run.thread_id)] == [run.interrupts[0].id]


async def test_a_rejected_payment_is_not_made(il: Interlock, tmp_path: Path) -> None:
    """Rejecting ends the run without the effect."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))

    run = await il.aresume(run.thread_id, Reject(run.interrupts[0].id, "too much"))

    assert (run.status, run.output["decision"]["message"]) == ("succeeded", "too much")
    assert not (tmp_path / "bank").exists()


async def test_an_old_answer_does_not_open_the_next_gate(il: Interlock, tmp_path: Path) -> None:
    """The second question is not answered by answering the first one again."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))
    first = run.interrupts[0].id
    run = await il.aresume(run.thread_id, Approve(first))

    with pytest.raises(AnswerRefused, match=f"is answered. Open now: {run.interrupts[0].id}"):
        await il.aresume(run.thread_id, Approve(first))
    assert (await il.arun(run.thread_id)).status == "waiting"


async def test_an_answer_to_another_thread_is_refused(il: Interlock, tmp_path: Path) -> None:
    """A question belongs to its thread."""
    one = await il.ainvoke("payment", payment(tmp_path / "one"))
    two = await il.ainvoke("payment", payment(tmp_path / "two"))

    with pytest.raises(AnswerRefused, match="belongs to thread"):
        await il.aresume(one.thread_id, Approve(two.interrupts[0].id))


async def test_of_two_simultaneous_answers_one_wins(database_url: str, tmp_path: Path) -> None:
    """Two people who click at the same moment on two connections make one payment."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as one,
        interlock.aopen(database_url, config=CONFIG) as two,
    ):
        run = await one.ainvoke("payment", payment(tmp_path / "bank"))
        answers = [
            each.aresume(run.thread_id, Approve(run.interrupts[0].id)) for each in (one, two)
        ]
        results = await asyncio.gather(*answers, return_exceptions=True)

    refused = [each for each in results if isinstance(each, AnswerRefused | ThreadBusy)]
    assert len(refused) == 1
    assert (tmp_path / "bank").read_text() == "ann 5\n"


async def test_a_waiting_thread_says_what_it_waits_for(il: Interlock, tmp_path: Path) -> None:
    """Resuming without an answer, and new input, are refused while a question is open."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))

    with pytest.raises(UsageError, match=f"waits for an answer to {run.interrupts[0].id}"):
        await il.aresume(run.thread_id)
    with pytest.raises(ThreadBusy, match="waits for an answer"):
        await il.ainvoke("payment", payment(tmp_path / "bank"), thread_id=run.thread_id)


async def test_a_fork_before_an_approval_asks_again(il: Interlock, tmp_path: Path) -> None:
    """An answer holds for the thread it was given to: a fork of the question asks anew, under a new id."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))
    await il.aresume(run.thread_id, Approve(run.interrupts[0].id))

    fork = await il.afork(run.thread_id, at=0)

    assert (fork.status, fork.interrupts[0].summary) == ("waiting", "Pay?")
    assert fork.interrupts[0].id != run.interrupts[0].id
    assert (tmp_path / "bank").read_text() == "ann 5\n"


async def test_a_foreign_graph_runs_with_its_own_types(il: Interlock) -> None:
    """Synchronous nodes, messages, a pydantic value and a plain interrupt of somebody else's application work."""
    run = await il.ainvoke("foreign", {"messages": [("user", "hi")]})

    done = await il.aresume(run.thread_id, Resume(run.interrupts[0].id, "Rome"))

    assert run.interrupts[0].payload == {"value": "Where?"}
    assert [message.content for message in done.output["messages"]] == ["hi", "In Rome."]
    assert (await il.arun(run.thread_id)).output["place"].name == "Rome"


async def test_a_failed_run_is_resumed_where_it_failed(il: Interlock, log: Path) -> None:
    """A failure is raised and recorded; after its cause is gone the finished steps are not run again."""
    run = await il.ainvoke("counter", {"goal": 3, "log": str(log)})
    log.unlink()
    with pytest.raises(RuntimeError, match="told to fail"):
        await il.afork(run.thread_id, at=1, values={"fail_at": 2})
    failed = (await il.athreads())[0]

    with pytest.raises(RuntimeError, match="told to fail"):
        await il.aresume(failed.thread_id)

    again = await il.arun(failed.thread_id)
    assert (failed.status, again.status, again.attempts) == ("failed", "failed", 2)
    assert log.read_text().splitlines() == ["step 1", "step 2"]


async def test_used_up_steps_are_a_limit_and_the_state_is_kept(il: Interlock, log: Path) -> None:
    """A graph's own step limit ends the run with its own error and exit code."""
    with pytest.raises(LimitReached, match="used up its 30 steps; it went round in step"):
        await il.ainvoke("counter", {"goal": 1000, "log": str(log)})

    thread = (await il.athreads())[0]
    assert LimitReached.exit_code == 4
    assert (thread.status, (await il.ahistory(thread.thread_id))[-1].values["count"]) == (
        "failed",
        29,
    )


async def test_draining_stops_between_steps_and_resume_goes_on(il: Interlock, log: Path) -> None:
    """A drained run is handed back as queued, with the step it had begun finished."""
    async for part in il.astream("counter", {"goal": 5, "log": str(log)}, stream_mode=["custom"]):
        if part["type"] == "custom" and part["data"]["count"] == 2:
            il.drain()
        last = part
    drained = last["data"]

    run = await il.aresume(drained.thread_id)

    assert (drained.status, run.status, run.run_id) == ("queued", "succeeded", drained.run_id)
    assert [line for line in log.read_text().splitlines() if line.startswith("step")] == [
        f"step {n}" for n in range(1, 6)
    ]


async def test_a_cancelled_run_is_recorded_and_can_go_on(il: Interlock, log: Path) -> None:
    """Cancelling the caller's task hands the run back."""
    first = await il.ainvoke("counter", {"goal": 2, "log": str(log)})
    working = asyncio.Event()

    async def work() -> None:
        async for _ in il.afork_stream(
            first.thread_id, at=1, values={"slow": 60.0}, stream_mode=["tasks"]
        ):
            working.set()

    task = asyncio.create_task(work())
    await asyncio.wait_for(working.wait(), timeout=30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    thread = (await il.athreads())[0]
    assert (thread.status, thread.alive) == ("queued", False)


async def test_a_thread_that_runs_elsewhere_is_busy(database_url: str, log: Path) -> None:
    """One run at a time per thread, over processes; the refused one changes nothing."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as one,
        interlock.aopen(database_url, config=CONFIG) as two,
    ):
        first = await one.ainvoke("counter", {"goal": 2, "log": str(log)})
        parts = one.afork_stream(
            first.thread_id, at=1, values={"slow": 0.2}, stream_mode=["custom"]
        )
        await anext(parts)
        busy = (await two.athreads())[0]
        with pytest.raises(ThreadBusy, match="being run by another process"):
            await two.aresume(busy.thread_id)
        last = [part async for part in parts][-1]

    assert (busy.alive, last["data"].status) == (True, "succeeded")


async def test_a_submitted_run_waits_until_somebody_resumes_it(il: Interlock, log: Path) -> None:
    """`submit` saves and does not run."""
    run = await il.asubmit("counter", {"goal": 1, "log": str(log)})
    assert (run.status, log.exists()) == ("queued", False)

    assert (await il.aresume(run.thread_id)).output == {"count": 1}


async def test_a_second_input_on_a_thread_builds_on_the_first(il: Interlock, log: Path) -> None:
    """A thread keeps its state over runs."""
    first = await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    await il.ainvoke("counter", {"goal": 2, "log": str(log)}, thread_id=first.thread_id)

    steps = await il.ahistory(first.thread_id)
    assert steps[-1].values["seen"].count("begin") == 2
    assert len({step.run_id for step in steps}) == 2


async def test_a_node_that_is_gone_is_not_passed_over(
    il: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the waiting node renamed, LangGraph would return normally and lose the approval; we refuse."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))
    builder = __import__("copy").copy(il.graph("payment").builder)
    renamed = {("asked" if name == "ask" else name): spec for name, spec in builder.nodes.items()}
    monkeypatch.setattr(builder, "nodes", renamed)
    monkeypatch.setattr(
        builder, "edges", {("__start__", "asked"), ("pay", "confirm"), ("confirm", "__end__")}
    )
    monkeypatch.setattr(
        builder, "branches", type(builder.branches)(dict, {"asked": builder.branches["ask"]})
    )
    monkeypatch.setitem(il.application._loaded, "payment", builder.compile(name="payment"))
    il._graphs.clear()

    with pytest.raises(ResumeRefused, match="no longer has"):
        await il.aresume(run.thread_id, Approve(run.interrupts[0].id))
    assert not (tmp_path / "bank").exists()
    assert [each.id for each in await il.aquestions(run.thread_id)] == [run.interrupts[0].id]


async def test_a_database_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    """A wrong address says what to check."""
    url = f"postgresql://nobody@/nothing?host={tmp_path}"
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        async with interlock.aopen(url, config=CONFIG):
            pytest.fail("it opened")


async def test_the_database_itself_refuses_two_runs_on_a_thread(
    il: Interlock, database_url: str, log: Path
) -> None:
    """Whatever the code forgets, one run of a thread runs at a time."""
    run = await il.asubmit("counter", {"goal": 1, "log": str(log)})

    with pytest.raises(ThreadBusy, match="has a run that has not ended"):
        await il.asubmit("counter", {"goal": 1, "log": str(log)}, thread_id=run.thread_id)
    with psycopg.connect(database_url, autocommit=True) as connection:
        insert = (
            "insert into interlock.runs (run_id, thread_id, graph, kind, status)"
            " values (%s, %s, 'counter', 'invoke', 'running')"
        )
        connection.execute(insert, ("one", run.thread_id))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(insert, ("other", run.thread_id))


async def test_counts_are_of_threads_by_their_latest_run(
    il: Interlock, tmp_path: Path, log: Path
) -> None:
    """An answered question no longer counts as waiting."""
    await il.ainvoke("counter", {"goal": 1, "log": str(log)})
    await il.ainvoke("payment", payment(tmp_path / "one"))
    run = await il.ainvoke("payment", payment(tmp_path / "two"))
    await il.aresume(run.thread_id, Reject(run.interrupts[0].id))

    assert await il.store.counts() == {"succeeded": 2, "waiting": 1}


async def test_a_foreign_context_is_saved_and_used_again(database_url: str) -> None:
    """A graph with a context schema of its own gets it at the start, and after a resume in another process."""
    async with interlock.aopen(database_url, config=CONFIG) as one:
        run = await one.ainvoke("travel", {}, context={"city": "Rome", "nights": 2})
    async with interlock.aopen(database_url, config=CONFIG) as two:
        done = await two.aresume(run.thread_id, Resume(run.interrupts[0].id, "yes"))

    assert run.interrupts[0].payload == {"value": "To Rome?"}
    assert done.output == {"asked": "yes", "booked": "Rome, 3 days"}


@pytest.mark.parametrize(
    ("graph", "given", "context", "message"),
    [
        ("travel", {}, {"city": "Rome", "nights": "few"}, "The context does not fit: nights"),
        (
            "travel",
            {},
            {"city": "Rome", "nights": float("nan")},
            "The context does not fit: nights",
        ),
        ("foreign", {}, {"city": "Rome"}, "takes no context"),
        ("counter", {"goal": 1, "log": "x"}, {"model": "x"}, "takes Interlock's own context"),
    ],
)
async def test_a_context_that_does_not_fit_is_refused(
    il: Interlock, graph: str, given: dict[str, Any], context: dict[str, Any], message: str
) -> None:
    """Nothing is saved for a context that the graph does not take."""
    with pytest.raises(UsageError, match=message):
        await il.ainvoke(graph, given, context=context)
    assert await il.athreads() == []


async def test_an_answer_is_not_taken_for_a_model_that_cannot_be_built(
    il: Interlock, tmp_path: Path
) -> None:
    """The model is looked at first, so the question stays open."""
    run = await il.ainvoke("payment", payment(tmp_path / "bank"))

    with pytest.raises(ModelUnavailable):
        await il.aresume(run.thread_id, Approve(run.interrupts[0].id), model="gpt")
    assert [each.id for each in await il.aquestions()] == [run.interrupts[0].id]
