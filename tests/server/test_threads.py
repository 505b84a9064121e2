"""Threads, as LangGraph's client makes, finds, copies, prunes and deletes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

import interlock
from interlock.worker.expiring import EXPIRE_SECONDS
from tests.server.conftest import SAMPLE

Client = Any  # LangGraph's: its types know less of threads than servers tell, and have it that `copy` returns nothing
NOBODY = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
async def il(server_database: str) -> AsyncIterator[interlock.Interlock]:
    """The runtime on the server's database, as somebody has it who uses no server."""
    async with interlock.aopen(server_database, config=SAMPLE) as il:
        yield il


async def test_a_new_thread(client: Client) -> None:
    """A thread without a run is idle, and has neither values nor interrupts."""
    made = await client.threads.create(metadata={"a": 1}, graph_id="echo")
    thread = await client.threads.get(made["thread_id"])

    assert made == thread
    assert thread["metadata"] == {"a": 1, "graph_id": "echo"}
    assert (thread["status"], thread["values"], thread["interrupts"]) == ("idle", None, {})
    assert thread["config"] == {}
    assert thread["created_at"] == thread["updated_at"] == thread["state_updated_at"]


def test_a_new_thread_of_a_synchronous_client(sync_client: Client) -> None:
    """A thread may have a name of one's own."""
    name = f"order 7 {uuid4()}"

    assert sync_client.threads.create(thread_id=name)["thread_id"] == name
    assert sync_client.threads.get(name)["thread_id"] == name


async def test_a_name_that_is_taken(client: Client) -> None:
    """A name is given once; who does not mind gets the thread that there is, as it is."""
    name = (await client.threads.create(metadata={"a": 1}))["thread_id"]

    with pytest.raises(ConflictError):
        await client.threads.create(thread_id=name)
    again = await client.threads.create(thread_id=name, if_exists="do_nothing", metadata={"b": 2})
    assert again["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [
        {"thread_id": ""},
        {"thread_id": "a\nb"},
        {"thread_id": "x" * 256},
        {"if_exists": "perhaps"},
        {"ttl": {"ttl": 0}},
        {"ttl": {"ttl": 5, "strategy": "burn"}},
        {"metadata": []},
        {"supersteps": [{"updates": []}]},
    ],
)
def test_a_thread_that_cannot_be_made(server: str, body: dict[str, object]) -> None:
    """What means nothing is refused before anything is made."""
    assert httpx.post(f"{server}/threads", json=body).status_code == 422


async def test_no_thread(client: Client) -> None:
    """A thread that is not there is not found, whatever is asked of it."""
    asked = [
        client.threads.get(NOBODY),
        client.threads.update(NOBODY, metadata={}),
        client.threads.delete(NOBODY),
        client.threads.copy(NOBODY),
        client.threads.get_state(NOBODY),
        client.threads.get_history(NOBODY),
        client.threads.update_state(NOBODY, {}),
    ]
    for each in asked:
        with pytest.raises(NotFoundError):
            await each


async def test_metadata_is_merged(client: Client) -> None:
    """What a client adds stands beside what there was; its time is that of the thread, and not of its state."""
    made = await client.threads.create(metadata={"a": 1, "b": 1})
    changed = await client.threads.update(made["thread_id"], metadata={"b": 2, "c": 3})
    said = await client.threads.update(made["thread_id"], metadata={"d": 4}, return_minimal=True)

    assert changed["metadata"] == {"a": 1, "b": 2, "c": 3}
    assert changed["updated_at"] > made["updated_at"]
    assert changed["state_updated_at"] == made["state_updated_at"]
    assert said is None
    assert (await client.threads.get(made["thread_id"]))["metadata"]["d"] == 4


async def test_how_threads_stand(client: Client) -> None:
    """A thread says whether it is done, waits for a person, or failed, and with what."""
    done, asks, fails = [(await client.threads.create())["thread_id"] for _ in range(3)]
    await client.runs.wait(done, "echo", input={"said": "abc"})
    await client.runs.wait(asks, "asks", input={"topic": "rain"})
    await client.runs.wait(fails, "fails", input={"said": "abc"}, raise_error=False)

    idle, waits, failed = [await client.threads.get(each) for each in (done, asks, fails)]

    assert (idle["status"], idle["values"]) == ("idle", {"said": "abc", "answered": "cba"})
    assert idle["metadata"]["graph_id"] == "echo"
    assert idle["state_updated_at"] > idle["created_at"]
    assert (waits["status"], waits["values"]) == ("interrupted", {"topic": "rain", "answers": []})
    [[interrupt]] = waits["interrupts"].values()
    assert interrupt["value"] == {"question": "What of rain?"}
    assert (failed["status"], failed["interrupts"]) == ("error", {})
    assert failed["error"] == {"error": "ValueError", "message": "cannot answer 'abc'"}


async def test_a_busy_thread(client: Client) -> None:
    """A thread at work is busy; its state cannot be written meanwhile, and deleting it ends its run."""
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "steps", input={"count": 100, "seconds": 0.2})
    await _begun(client, thread)

    assert (await client.threads.get(thread))["status"] == "busy"
    with pytest.raises(ConflictError):
        await client.threads.update_state(thread, {"count": 1})
    await client.threads.delete(thread)
    for asked in (client.threads.get(thread), client.runs.get(thread, run["run_id"])):
        with pytest.raises(NotFoundError):
            await asked


async def test_what_was_done_is_not_forgotten(
    client: Client, server_database: str, il: interlock.Interlock
) -> None:
    """Deleting a thread takes its runs, questions and checkpoints; its acts stay in the ledger."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "asks", input={"topic": "rain"})
    await _acted(server_database, thread, status="done")

    await client.threads.delete(thread)

    assert [each.action for each in await il.effects_store.effects(thread)] == ["pay"]
    assert thread not in [each.thread_id for each in await il.aquestions()]
    for table in ("checkpoints", "checkpoint_writes", "interlock.runs", "interlock.thread_cards"):
        assert await _count(server_database, table, thread) == 0


async def test_an_act_in_doubt(client: Client, server_database: str) -> None:
    """A thread with an act of which nobody knows whether it happened is not deleted."""
    thread = (await client.threads.create())["thread_id"]
    await _acted(server_database, thread, status="intended")

    with pytest.raises(ConflictError, match="is not known"):
        await client.threads.delete(thread)
    assert await client.threads.prune([thread]) == {"pruned_count": 0}
    assert (await client.threads.get(thread))["thread_id"] == thread


async def test_threads_made_elsewhere(client: Client, il: interlock.Interlock) -> None:
    """A thread that was begun without the server is found by its graph, and read."""
    run = await il.ainvoke("echo", {"said": "elsewhere"})
    found = await client.threads.search(metadata={"graph_id": "echo"}, limit=1000)

    assert run.thread_id in [each["thread_id"] for each in found]
    assert (await client.threads.get(run.thread_id))["values"]["answered"] == "erehwesle"


async def test_a_field_that_threads_do_not_have(client: Client) -> None:
    """It is refused, and not left out."""
    wanted: Any = ["thread_id", "colour"]

    with pytest.raises(UnprocessableEntityError):
        await client.threads.search(select=wanted)


async def test_search(client: Client) -> None:
    """Threads are found by metadata, status, ids and values; the order and the fields are the client's."""
    mark = str(uuid4())
    names = []
    for number, topic in enumerate(("rain", "sun", "rain")):
        metadata = {"mark": mark, "number": number, "deep": {"x": [1, 2]}}
        thread = await client.threads.create(metadata=metadata)
        await client.runs.wait(thread["thread_id"], "asks", input={"topic": topic})
        names.append(thread["thread_id"])
    await client.threads.update_state(names[0], None, as_node="__end__")

    async def found(**asked: object) -> list[int]:
        given = {"metadata": {"mark": mark}, **asked}
        threads = await client.threads.search(**given)
        return [names.index(each["thread_id"]) for each in threads]

    assert await found() == [0, 2, 1]  # what changed last comes first
    assert await found(sort_by="created_at", sort_order="asc") == [0, 1, 2]
    assert await found(sort_by="state_updated_at", sort_order="asc") == [1, 2, 0]
    assert await found(sort_by="thread_id") == sorted(range(3), key=names.__getitem__)[::-1]
    assert await found(status="interrupted") == [2, 1]
    assert await found(status="idle") == [0]
    assert await found(ids=names[1:]) == [2, 1]
    assert await found(values={"topic": "rain"}) == [0, 2]
    assert await found(values={"topic": "rain"}, limit=1, offset=1) == [2]
    assert await found(limit=1, offset=1) == [2]
    assert await found(metadata={"mark": mark, "deep": {"x": [2]}, "number": 1}) == [1]
    assert await client.threads.count(metadata={"mark": mark}) == 3
    assert await client.threads.count(metadata={"mark": mark}, status="idle") == 1
    assert await client.threads.count(metadata={"mark": mark}, values={"topic": "rain"}) == 2


async def test_what_of_a_thread_is_wanted(client: Client) -> None:
    """A search returns the fields that are selected, and what is extracted from them by paths."""
    thread = await client.threads.create(metadata={"who": {"name": "ann"}})
    await client.runs.wait(thread["thread_id"], "talker", input={"messages": "hello"})

    [found] = await client.threads.search(
        ids=[thread["thread_id"]],
        select=["thread_id", "status"],
        extract={
            "last": "values.messages[-1].content",
            "first": "values.messages[0].type",
            "name": "metadata.who.name",
            "none": "values.messages[7].content",
        },
    )

    assert found == {
        "thread_id": thread["thread_id"],
        "status": "idle",
        "extracted": {
            "last": "All is well that ends well.",
            "first": "human",
            "name": "ann",
            "none": None,
        },
    }


@pytest.mark.parametrize(
    "extract", [{"a": "secrets.x"}, {"a b": "values.x"}, {"a": "values.x[y]"}, {"a": ""}]
)
async def test_a_path_that_leads_nowhere(client: Client, extract: dict[str, str]) -> None:
    """A path begins at a field of the thread, and has a name that can be one."""
    with pytest.raises(UnprocessableEntityError):
        await client.threads.search(extract=extract)


def test_pages(server: str) -> None:
    """A page says where the next one begins; the last one does not."""
    mark = {"page": str(uuid4())}
    for _ in range(3):
        httpx.post(f"{server}/threads", json={"metadata": mark})

    asked = [{"metadata": mark, "limit": 2, "offset": offset} for offset in (0, 2)]
    first, last = [httpx.post(f"{server}/threads/search", json=each) for each in asked]

    assert (len(first.json()), first.headers["x-pagination-next"]) == (2, "2")
    assert (len(last.json()), "x-pagination-next" in last.headers) == (1, False)
    assert last.headers["x-pagination-total"] == "3"


async def test_a_copy(client: Client) -> None:
    """A copy goes on where its original stands, by itself: its questions are its own, and nothing is asked yet."""
    thread = await client.threads.create(metadata={"a": 1})
    await client.runs.wait(thread["thread_id"], "asks", input={"topic": "rain"})

    copied = await client.threads.copy(thread["thread_id"])
    assert copied is not None
    state = await client.threads.get_state(copied["thread_id"])
    last = await client.runs.wait(copied["thread_id"], "asks", input=None)

    assert copied["metadata"] == {"a": 1, "graph_id": "asks"} | copied["metadata"]
    assert (state["values"], state["next"]) == ({"topic": "rain", "answers": []}, ["ask"])
    assert state["interrupts"] == []
    assert last["__interrupt__"][0]["value"] == {"question": "What of rain?"}
    before = await client.threads.get(thread["thread_id"])
    assert (before["status"], before["values"]["answers"]) == ("interrupted", [])


async def test_a_copy_of_nothing(client: Client) -> None:
    """A thread without a state is copied, too."""
    thread = await client.threads.create(metadata={"a": 1})
    copied = await client.threads.copy(thread["thread_id"])

    assert copied is not None
    assert copied["thread_id"] != thread["thread_id"]
    assert copied["metadata"] == {"a": 1}


async def test_prune(client: Client) -> None:
    """Threads are folded to what they are now, or deleted; those that are not there do not count."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"count": 6})
    before = await client.threads.get_history(thread, limit=100)

    kept = await client.threads.prune([thread, NOBODY], strategy="keep_latest")
    after = await client.threads.get_history(thread, limit=100)
    gone = await client.threads.prune([thread, NOBODY])

    assert (kept, gone) == ({"pruned_count": 1}, {"pruned_count": 1})
    assert len(after) < len(before)
    assert after[0]["values"] == before[0]["values"]
    with pytest.raises(NotFoundError):
        await client.threads.get(thread)


async def test_supersteps(client: Client) -> None:
    """A thread may begin with a state: steps as nodes would have made them."""
    thread = await client.threads.create(
        graph_id="asks",
        supersteps=[
            {"updates": [{"values": {"topic": "rain"}, "as_node": "__start__"}]},
            {"updates": [{"values": {"answers": ["yes"]}, "as_node": "ask"}]},
        ],
    )
    state = await client.threads.get_state(thread["thread_id"])

    assert (thread["status"], thread["values"]) == (
        "interrupted",
        {"topic": "rain", "answers": ["yes"]},
    )
    assert state["next"] == ["ask_again"]


def test_supersteps_that_are_refused(server: str) -> None:
    """Where its state cannot be written there is no thread."""
    step = {"updates": [{"values": {"topic": "rain"}, "as_node": "nowhere"}]}
    for graph, status in (("asks", 400), ("unknown", 404), (None, 400)):
        name = str(uuid4())
        metadata = {"graph_id": graph} if graph else {}
        body = {"thread_id": name, "metadata": metadata, "supersteps": [step]}

        assert httpx.post(f"{server}/threads", json=body).status_code == status
        assert httpx.get(f"{server}/threads/{name}").status_code == 404


async def test_how_long_a_thread_is_kept(client: Client) -> None:
    """A thread tells of its expiry when it is asked for it."""
    thread = (await client.threads.create(ttl=5))["thread_id"]
    first = await client.threads.get(thread, include=["ttl"])
    await client.threads.update(thread, metadata={}, ttl={"ttl": 10, "strategy": "keep_latest"})
    then = await client.threads.get(thread, include=["ttl"])

    assert "ttl" not in await client.threads.get(thread)
    assert (first["ttl"]["strategy"], first["ttl"]["ttl_minutes"]) == ("delete", 5)
    assert (then["ttl"]["strategy"], then["ttl"]["ttl_minutes"]) == ("keep_latest", 10)
    assert then["ttl"]["expires_at"] > first["ttl"]["expires_at"]


async def test_threads_expire(client: Client, server_database: str) -> None:
    """A thread whose time is over is deleted; one that waits for a person is left until it was answered."""
    over, waits = [(await client.threads.create(ttl=5))["thread_id"] for _ in range(2)]
    folded = (await client.threads.create(ttl={"ttl": 5, "strategy": "keep_latest"}))["thread_id"]
    await client.runs.wait(over, "echo", input={"said": "abc"})
    await client.runs.wait(folded, "steps", input={"count": 6})
    await client.runs.wait(waits, "asks", input={"topic": "rain"})
    before = len(await client.threads.get_history(folded, limit=100))

    await _expire(server_database, [waits], seconds=9)  # so it is looked at first
    await _expire(server_database, [over, folded])
    async with asyncio.timeout(4 * EXPIRE_SECONDS):
        while await client.threads.search(ids=[over], select=["thread_id"]):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.2)
        while len(await client.threads.get_history(folded, limit=100)) == before:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.2)

    assert (await client.threads.get(waits))["status"] == "interrupted"
    assert (await client.threads.get(folded))["status"] == "idle"


async def _begun(client: Client, thread: str) -> None:
    async with asyncio.timeout(10):
        while not (await client.threads.get_state(thread))["values"].get("done"):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.05)


async def _acted(database: str, thread: str, *, status: str) -> None:
    """Put an act into the ledger."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "insert into interlock.effects (key, thread_id, node, action, arguments, status)"
            " values (%s, %s, 'node', 'pay', '{}', %s)",
            [str(uuid4()), thread, status],
        )


async def _expire(database: str, threads: list[str], *, seconds: float = 0) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "update interlock.thread_cards set expires_at = now() - %s * interval '1 second'"
            " where thread_id = any(%s)",
            [seconds, threads],
        )


async def _count(database: str, table: str, thread: str) -> int:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        rows = await connection.execute(
            f"select count(*) from {table} where thread_id = %s", [thread]
        )
        found = await rows.fetchone()
    assert found is not None
    return int(found[0])
