"""What every store of recorded model calls does, on the one in memory and on the one in Postgres."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from langchain_core.messages import AIMessage

from interlock.core.lineage import Lineage, Source
from interlock.core.recordings import (
    Asked,
    MemoryRecordings,
    ModelRequest,
    Recordings,
    SeenMessage,
)
from interlock.core.site import Site
from interlock.postgres.aside import Aside
from interlock.postgres.pool import open_pool
from interlock.postgres.recordings import PostgresRecordings

LIVE = Lineage()
FORK = Lineage(sources=(Source(thread_id="parent"),))
REPLAY = replace(FORK, recorded_only=True)


@pytest.fixture(params=["memory", "postgres"])
async def recordings(request: pytest.FixtureRequest) -> AsyncIterator[Recordings]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryRecordings()
        return
    url = request.getfixturevalue("database_url")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for thread in ("parent", "fork", "other"):
            await connection.execute(
                "insert into interlock.threads (thread_id, graph) values (%s, 'g')", (thread,)
            )
    aside = Aside(url)
    async with open_pool(url) as pool:
        yield PostgresRecordings(pool, aside)
        await aside.close()


def asking(
    what: str,
    *,
    thread: str = "parent",
    task: str = "plan:1",
    checkpoint: str = "5",
    number: int = 0,
    run: str = "run",
    again: bool = False,
) -> ModelRequest:
    """A request for something, made by a task."""
    node = task.rpartition("|")[2].partition(":")[0]
    seen = SeenMessage(role="human", sha256=what, chars=len(what), start=what)
    return ModelRequest(
        key=f"{thread} {task} {what} {number}",
        digest=what,
        number=number,
        again=again,
        site=Site(
            thread_id=thread,
            run_id=run,
            node=node,
            agent=task.partition(":")[0],
            task=task,
            checkpoint_id=checkpoint,
            attempt=1,
        ),
        asked=Asked(node=node, model="gpt", parameters="hot", messages=(seen,)),
    )


def saying(text: str) -> list[dict[str, Any]]:
    """An answer of one message."""
    return [{"message": AIMessage(text, id="m"), "info": None}]


async def told(
    recordings: Recordings, request: ModelRequest, lineage: Lineage = LIVE
) -> str | None:
    """The text of the recorded answer."""
    found = await recordings.find(request, lineage)
    return str(found.answer[0]["message"].content) if found else None


async def test_a_request_that_was_answered_is_answered_from_the_record(
    recordings: Recordings,
) -> None:
    """The same place that asks the same again gets the same; another one does not."""
    before = await told(recordings, asking("sum"))
    await recordings.keep(asking("sum"), saying("four"))

    assert before is None
    assert await told(recordings, asking("sum")) == "four"
    assert await told(recordings, asking("sum", number=1)) is None
    assert await told(recordings, asking("sum", task="plan:2")) is None
    assert await told(recordings, asking("product")) is None


async def test_an_answer_comes_back_whole(recordings: Recordings) -> None:
    """Ids, tool calls, usage, NUL and numbers that JSON does not know survive."""
    message = AIMessage(
        [{"type": "text", "text": "a\0b"}],
        id="run-1",
        tool_calls=[{"name": "add", "args": {"a": math.inf}, "id": "c1"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "gpt", "logprobs": None},
        additional_kwargs={"refusal": None},
    )
    await recordings.keep(asking("sum"), [{"message": message, "info": {"finish": "stop"}}])
    found = await recordings.find(asking("sum"), LIVE)

    assert found is not None
    assert found.answer == [{"message": message, "info": {"finish": "stop"}}]


async def test_what_is_done_to_an_answer_does_not_change_the_record(
    recordings: Recordings,
) -> None:
    """Each caller gets an answer of its own."""
    given = saying("four")
    await recordings.keep(asking("sum"), given)
    given[0]["message"].content = "five"
    first = await recordings.find(asking("sum"), LIVE)
    assert first is not None
    first.answer[0]["message"].content = "six"

    assert await told(recordings, asking("sum")) == "four"


async def test_a_retry_asks_anew_and_its_answer_stands(recordings: Recordings) -> None:
    """A retry policy wants another answer than the last; a resume then gets that one."""
    await recordings.keep(asking("sum"), saying("nonsense"))
    again = await told(recordings, asking("sum", again=True))
    await recordings.keep(asking("sum", again=True), saying("four"))

    assert again is None
    assert await told(recordings, asking("sum")) == "four"


async def test_a_retry_in_a_replay_asks_nobody(recordings: Recordings) -> None:
    """A replay that runs a node again gets what was recorded, again."""
    await recordings.keep(asking("sum"), saying("four"))
    request = asking("sum", thread="fork")

    assert await told(recordings, request, REPLAY) == "four"
    again = replace(request, again=True)
    assert await told(recordings, again, REPLAY) == "four"


async def test_a_failed_run_asks_anew(recordings: Recordings) -> None:
    """What the failed run got is asked again, until it is answered again; other runs and threads keep theirs."""
    for request in (
        asking("sum"),
        asking("older", run="before"),
        asking("sum", thread="other"),
    ):
        await recordings.keep(request, saying("four"))
    await recordings.forget("parent", "run")
    forgotten = await told(recordings, asking("sum"))
    await recordings.keep(asking("sum"), saying("five"))

    assert forgotten is None
    assert await told(recordings, asking("sum")) == "five"
    assert await told(recordings, asking("older", run="before")) == "four"
    assert await told(recordings, asking("sum", thread="other")) == "four"


async def test_a_failed_run_asks_anew_what_an_earlier_run_had_paid_for(
    recordings: Recordings,
) -> None:
    """An answer belongs to the run that used it last: it may be why that one failed."""
    await recordings.keep(asking("sum", run="first"), saying("nonsense"))
    used = await told(recordings, asking("sum", run="second"))
    await recordings.forget("parent", "second")

    assert used == "nonsense"
    assert await told(recordings, asking("sum", run="second")) is None


async def test_forks_and_replays_use_what_a_failed_run_got(recordings: Recordings) -> None:
    """Only the thread itself asks anew."""
    await recordings.keep(asking("sum"), saying("four"))
    await recordings.forget("parent", "run")

    assert await told(recordings, asking("sum", thread="fork"), FORK) == "four"
    assert await told(recordings, asking("sum", thread="other"), REPLAY) == "four"


async def test_a_failed_replay_goes_on_with_its_records(recordings: Recordings) -> None:
    """A replay has nobody to ask anew."""
    await recordings.keep(asking("sum"), saying("four"))
    request = asking("sum", thread="fork")
    await told(recordings, request, REPLAY)
    await recordings.forget("fork", "run")

    assert await told(recordings, request, REPLAY) == "four"


async def test_a_failed_fork_asks_anew(recordings: Recordings) -> None:
    """What a fork took from its parent is asked again after a failure, and not taken from a second record."""
    await recordings.keep(asking("sum"), saying("four"))
    await recordings.keep(asking("sum", number=1), saying("five"))
    request = asking("sum", thread="fork")
    taken = await told(recordings, request, FORK)
    await recordings.forget("fork", "run")

    assert taken == "four"
    assert await told(recordings, request, FORK) is None


async def test_a_fork_takes_each_answer_once_in_order(recordings: Recordings) -> None:
    """Equal requests get the parent's answers in the order in which they were made; then the model is asked."""
    for number, text in enumerate(["one", "two"]):
        await recordings.keep(asking("sum", number=number), saying(text))
    tasks = ["plan:7", "plan:8", "plan:9"]
    given = [
        await told(recordings, asking("sum", thread="fork", task=task), FORK) for task in tasks
    ]

    assert given == ["one", "two", None]
    assert await told(recordings, asking("sum", thread="fork", task="plan:8"), FORK) == "two"


async def test_a_fork_prefers_the_same_task_then_the_same_node(recordings: Recordings) -> None:
    """Branches that ask the same get their own answers, in whichever order they come."""
    for task in ("left:1", "right:1", "right:2"):
        await recordings.keep(asking("sum", task=task), saying(task))
    wanted = ["right:2", "right:9", "left:1"]
    given = [
        await told(recordings, asking("sum", thread="fork", task=task), FORK) for task in wanted
    ]

    assert given == ["right:2", "right:1", "left:1"]


async def test_parallel_branches_take_different_answers(recordings: Recordings) -> None:
    """Of branches that race for equal answers each gets one."""
    for number in range(8):
        await recordings.keep(asking("sum", number=number), saying(str(number)))
    requests = [asking("sum", thread="fork", task=f"plan:{9 + each}") for each in range(9)]
    given = await asyncio.gather(*(told(recordings, each, FORK) for each in requests))

    assert sorted(text or "none" for text in given) == [*"01234567", "none"]


async def test_only_what_happened_behind_the_fork_is_used(recordings: Recordings) -> None:
    """A source counts from a checkpoint, and up to one."""
    for checkpoint in ("3", "4", "6", "7"):
        request = asking("sum", task=f"plan:{checkpoint}", checkpoint=checkpoint)
        await recordings.keep(request, saying(checkpoint))
    part = Lineage(sources=(Source(thread_id="parent", since="4", before="7"),))
    given = [
        await told(recordings, asking("sum", thread="fork", task=f"plan:1{each}"), part)
        for each in range(3)
    ]

    assert given == ["4", "6", None]


async def test_a_fork_of_a_fork_uses_both_parents(recordings: Recordings) -> None:
    """What the parent took from its own parent counts as the parent's."""
    await recordings.keep(asking("sum"), saying("four"))
    await told(recordings, asking("sum", thread="fork", checkpoint="6"), FORK)
    both = Lineage(
        sources=(Source(thread_id="fork"), Source(thread_id="parent", before="5")),
        recorded_only=True,
    )

    assert await told(recordings, asking("sum", thread="other"), both) == "four"


async def test_the_nearest_record_is_of_the_same_node_and_not_used(
    recordings: Recordings,
) -> None:
    """A report shows what the node asked for, where the replay had not come to it yet."""
    for what, task in (("a", "plan:1"), ("b", "plan:1"), ("c", "write:1")):
        await recordings.keep(asking(what, task=task), saying(what))
    await told(recordings, asking("a", thread="fork"), REPLAY)
    nearest = await recordings.nearest(asking("x", thread="fork"), REPLAY)
    nowhere = await recordings.nearest(asking("x", thread="fork", task="read:1"), REPLAY)

    assert nearest == asking("b").asked
    assert nowhere is None


async def test_records_are_reached_from_anywhere(recordings: Recordings) -> None:
    """Synchronous code may wait for them while it holds up the event loop; other loops reach them too."""
    await recordings.keep(asking("sum"), saying("four"))

    def look(store: Recordings) -> Coroutine[Any, Any, str | None]:
        return told(store, asking("sum"))

    assert recordings.wait(look) == "four"
    assert await recordings.run(look) == "four"
    assert await asyncio.to_thread(lambda: asyncio.run(recordings.run(look))) == "four"


async def test_what_work_on_the_records_raises_is_raised(recordings: Recordings) -> None:
    """An error does not stay in another thread."""

    async def fail(store: Recordings) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        recordings.wait(fail)
