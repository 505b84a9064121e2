"""What runs tell, as LangGraph's client hears it: modes, subgraphs, questions, failures, joining, leaving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError
from langgraph_sdk.schema import StreamPart
from typing_extensions import TypedDict

HELLO = {"messages": [{"role": "user", "content": "Hello", "id": "h1"}]}
PATIENCE = 120.0


async def told(
    client: LangGraphClient, graph: str, given: dict[str, Any], mode: Any, **more: Any
) -> list[StreamPart]:
    """What a run on a thread of its own tells."""
    thread = await client.threads.create()
    stream = client.runs.stream(thread["thread_id"], graph, input=given, stream_mode=mode, **more)
    async with asyncio.timeout(PATIENCE):
        return [part async for part in stream]


def said(parts: Sequence[StreamPart]) -> list[tuple[str, Any]]:
    """Names and data of events, without the first and the last one, which are always the same."""
    assert (parts[0].event, parts[-1].event) == ("metadata", "end")
    return [(part.event, part.data) for part in parts[1:-1]]


async def test_values(client: LangGraphClient) -> None:
    """The state before the first step and after each."""
    parts = await told(client, "steps", {"count": 2}, "values")

    assert said(parts) == [
        ("values", {"count": 2, "done": []}),
        ("values", {"count": 2, "done": [0]}),
        ("values", {"count": 2, "done": [0, 1]}),
    ]


async def test_several_modes(client: LangGraphClient) -> None:
    """Modes that are asked for together come in the order in which things happen."""
    parts = await told(client, "steps", {"count": 1}, ["updates", "custom"])

    assert said(parts) == [("custom", {"step": 0}), ("updates", {"step": {"done": [0]}})]


async def test_an_attempt_says_which_run_it_is_of(client: LangGraphClient) -> None:
    """The first event names the run and the attempt; the client knows the run before that."""
    made: list[Any] = []

    parts = await told(client, "echo", {"said": "abc"}, "values", on_run_created=made.append)

    assert parts[0].data == {"run_id": made[0]["run_id"], "attempt": 1}


async def test_ids(client: LangGraphClient) -> None:
    """Each event has an id, and they sort as the events came."""
    parts = await told(client, "steps", {"count": 5}, ["updates", "custom", "values"])

    ids = [str(part.id) for part in parts[:-1]]
    assert ids == sorted(set(ids))


async def test_subgraphs(client: LangGraphClient) -> None:
    """What a subgraph does has its path in the event's name."""
    parts = await told(client, "nested", {"count": 1}, "updates", stream_subgraphs=True)

    names = [part.event.split(":")[0] for part in parts]
    assert names == ["metadata", "updates|inner", "updates", "updates", "end"]


async def test_no_subgraphs(client: LangGraphClient) -> None:
    """Unless it is asked for, nothing of subgraphs is told."""
    parts = await told(client, "nested", {"count": 1}, ["updates", "custom"])

    assert said(parts) == [
        ("updates", {"inner": {"count": 1, "done": [0]}}),
        ("custom", {"step": 1}),
        ("updates", {"after": {"done": [1]}}),
    ]


async def test_tokens(client: LangGraphClient) -> None:
    """The mode `messages-tuple` gives each piece of a message as it comes, with where it comes from."""
    parts = await told(client, "talker", HELLO, "messages-tuple")

    pieces = [data for event, data in said(parts) if event == "messages"]
    words = "".join(chunk["content"] for chunk, _ in pieces)
    assert words == "All is well that ends well."
    assert len(pieces) > 5
    assert {about["langgraph_node"] for _, about in pieces} == {"talk"}


async def test_messages(client: LangGraphClient) -> None:
    """The mode `messages` gives a message's metadata once, and then what it has become so far."""
    parts = said(await told(client, "talker", HELLO, "messages"))

    first, *partial = parts
    assert first[0] == "messages/metadata"
    assert {event for event, _ in partial} == {"messages/partial"}
    assert [data[0]["content"] for _, data in partial][:3] == ["All", "All ", "All is"]
    assert partial[-1][1][0]["content"] == "All is well that ends well."
    assert list(first[1]) == [partial[-1][1][0]["id"]]


async def test_a_question_in_values(client: LangGraphClient) -> None:
    """A run that asks a person ends its stream, and its last values carry the interrupt."""
    parts = said(await told(client, "asks", {"topic": "tea"}, "values"))

    event, values = parts[-1]
    asked = values.pop("__interrupt__")
    assert (event, values) == ("values", {"topic": "tea", "answers": []})
    assert [each["value"] for each in asked] == [{"question": "What of tea?"}]
    assert asked[0]["id"]


async def test_a_question_in_updates(client: LangGraphClient) -> None:
    """The mode `updates` tells of an interrupt as an update of its own."""
    parts = said(await told(client, "asks", {"topic": "tea"}, "updates"))

    assert [list(data) for _, data in parts] == [["__interrupt__"]]


async def test_a_failure(client: LangGraphClient) -> None:
    """A failed run says of which kind the error is, and what it says."""
    parts = said(await told(client, "fails", {"said": "x"}, "updates"))

    assert parts == [("error", {"error": "ValueError", "message": "cannot answer 'x'"})]


async def test_tasks(client: LangGraphClient) -> None:
    """The mode `tasks` tells of the beginning and the end of each task."""
    parts = said(await told(client, "echo", {"said": "abc"}, "tasks"))

    begun, ended = (data for _, data in parts)
    assert (begun["name"], begun["input"]) == ("echo", {"said": "abc"})
    assert (ended["name"], ended["result"], ended["error"]) == ("echo", {"answered": "cba"}, None)


async def test_a_failed_task(client: LangGraphClient) -> None:
    """A task's error is told as the run's is."""
    parts = said(await told(client, "fails", {"said": "x"}, "tasks"))

    assert parts[1][1]["error"] == {"error": "ValueError", "message": "cannot answer 'x'"}


async def test_checkpoints(client: LangGraphClient) -> None:
    """A checkpoint comes with its config, without what the runtime keeps in it."""
    parts = said(await told(client, "echo", {"said": "abc"}, "checkpoints"))

    last = parts[-1][1]
    assert (last["values"], last["next"]) == ({"said": "abc", "answered": "cba"}, [])
    names = set(last["config"]["configurable"])
    assert {"thread_id", "checkpoint_id", "checkpoint_ns"} <= names
    assert not [name for name in names if name.startswith("__")]


async def test_debug(client: LangGraphClient) -> None:
    """The mode `debug` wraps tasks and checkpoints, and names checkpoints as the client does."""
    parts = said(await told(client, "echo", {"said": "abc"}, "debug"))

    kinds = [data["type"] for _, data in parts]
    assert kinds == ["checkpoint", "checkpoint", "task", "task_result", "checkpoint"]
    before, after = parts[1][1]["payload"], parts[-1][1]["payload"]
    assert after["parent_checkpoint"] == before["checkpoint"]


async def test_events(client: LangGraphClient) -> None:
    """The mode `events` gives LangChain's events, the tokens of models among them, and other modes beside."""
    parts = said(await told(client, "talker", HELLO, ["events", "values"]))

    events = [data for event, data in parts if event == "events"]
    tokens = [each for each in events if each["event"] == "on_chat_model_stream"]
    assert (events[0]["event"], events[0]["name"]) == ("on_chain_start", "talker")
    assert "".join(each["data"]["chunk"]["content"] for each in tokens) == (
        "All is well that ends well."
    )
    assert len([event for event, _ in parts if event == "values"]) == 2


async def test_joining_behind_an_event(client: LangGraphClient) -> None:
    """Who joins behind an event gets exactly those that came after it, also when the run has ended."""
    thread_id, run_id, parts = await _ended(client)

    for place in range(len(parts) - 1):
        stream = client.runs.join_stream(thread_id, run_id, last_event_id=str(parts[place].id))
        rest = [part async for part in stream]

        assert [part.data for part in rest] == [part.data for part in parts[place + 1 :]]


@pytest.mark.parametrize("everything", [None, "-", "-1"])
async def test_joining_from_the_beginning(client: LangGraphClient, everything: str | None) -> None:
    """Who names no event, or all of them, gets everything."""
    thread_id, run_id, parts = await _ended(client)

    stream = client.runs.join_stream(thread_id, run_id, last_event_id=everything)

    assert [(part.event, part.id) async for part in stream][:-1] == [
        (part.event, part.id) for part in parts
    ][:-1]


async def test_joining_for_some_modes(client: LangGraphClient) -> None:
    """Who joins may leave modes out."""
    thread_id, run_id, _ = await _ended(client)

    stream = client.runs.join_stream(thread_id, run_id, stream_mode=["custom", "tasks"])

    assert [part.event async for part in stream] == ["custom", "custom", "custom", "end"]


async def test_joining_a_run_that_is_under_way(client: LangGraphClient) -> None:
    """Two who look on at one run get the same."""
    thread = await client.threads.create()
    given = {"count": 4, "seconds": 0.05}
    run = await client.runs.create(
        thread["thread_id"], "steps", input=given, stream_mode=["updates"]
    )

    async def looked() -> list[Any]:
        stream = client.runs.join_stream(thread["thread_id"], run["run_id"])
        return [(part.id, part.data) async for part in stream if part.event == "updates"]

    async with asyncio.timeout(PATIENCE):
        one, other = await asyncio.gather(looked(), looked())

    assert one == other
    assert [data for _, data in one] == [{"step": {"done": [number]}} for number in range(4)]


async def test_who_leaves_may_cancel(client: LangGraphClient) -> None:
    """A run whose client wants it so is cancelled when that client goes away."""
    run = await _left(client, on_disconnect="cancel")

    assert run["status"] == "interrupted"


async def test_who_leaves_does_not_cancel(client: LangGraphClient) -> None:
    """Otherwise it goes on, and what it tells is kept."""
    run = await _left(client, on_disconnect="continue")

    assert run["status"] == "success"
    stream = client.runs.join_stream(run["thread_id"], run["run_id"])
    updates = [part async for part in stream if part.event == "updates"]
    assert len(updates) == 10


async def test_who_joined_and_leaves_may_cancel(client: LangGraphClient) -> None:
    """So does one who joined, if they say so."""
    thread = await client.threads.create()
    given = {"count": 10_000, "seconds": 0.05}
    run = await client.runs.create(
        thread["thread_id"], "steps", input=given, stream_mode=["updates"]
    )
    stream = client.runs.join_stream(thread["thread_id"], run["run_id"], cancel_on_disconnect=True)

    async for part in stream:
        if part.event == "updates":
            break
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert (await _at_rest(client, run))["status"] == "interrupted"


async def test_a_thread(client: LangGraphClient) -> None:
    """Who looks on at a thread gets what all of its runs tell, and of each that it is done."""
    thread_id = (await client.threads.create())["thread_id"]
    looking = asyncio.create_task(_heard_of_thread(client, thread_id, done=2))
    await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        while not looking.done():  # it hears from when it has joined on
            await client.runs.wait(thread_id, "echo", input={"said": "ab"})
            run = await client.runs.create(thread_id, "echo", input={"said": "cd"})
            await client.runs.join(thread_id, run["run_id"])
    parts = await looking

    ended = [part.data for part in parts if _is_done(part)]
    assert len(ended) == 2
    assert ended[0]["run_id"] != ended[1]["run_id"]


async def test_a_thread_from_the_beginning(client: LangGraphClient) -> None:
    """Who asks for all events of a thread gets those of runs that have ended, too, in order."""
    thread_id, run_id, parts = await _ended(client)

    heard = await _heard_of_thread(client, thread_id, done=1, last_event_id="-")

    assert [(part.event, part.data) for part in heard] == [
        *((part.event, part.data) for part in parts[:-1]),
        ("metadata", {"status": "run_done", "run_id": run_id}),
    ]


async def test_the_lives_of_a_thread(client: LangGraphClient) -> None:
    """The mode `lifecycle` tells of the beginnings and ends of runs alone."""
    thread_id, run_id, _ = await _ended(client)

    heard = await _heard_of_thread(
        client, thread_id, done=1, last_event_id="-", stream_mode="lifecycle"
    )

    assert [(part.event, part.data) for part in heard] == [
        ("metadata", {"run_id": run_id, "attempt": 1}),
        ("metadata", {"status": "run_done", "run_id": run_id}),
    ]


def test_synchronously(sync_client: SyncLangGraphClient) -> None:
    """The synchronous client hears the same."""
    thread = sync_client.threads.create()

    parts = list(
        sync_client.runs.stream(
            thread["thread_id"], "steps", input={"count": 2}, stream_mode="custom"
        )
    )

    assert said(parts) == [("custom", {"step": 0}), ("custom", {"step": 1})]


async def test_without_a_thread(client: LangGraphClient) -> None:
    """A run without a thread is streamed, too."""
    stream = client.runs.stream(None, "echo", input={"said": "abc"}, stream_mode="updates")

    assert said([part async for part in stream]) == [("updates", {"echo": {"answered": "cba"}})]


async def test_a_remote_graph_inside_another(client: LangGraphClient) -> None:
    """A graph on this server is a node of another one, and its updates come with the node's path."""

    class State(TypedDict, total=False):
        said: str
        answered: str

    remote = RemoteGraph("echo", client=client)
    graph = StateGraph(State).add_node("far", remote).add_edge(START, "far").compile()

    parts = [
        part async for part in graph.astream({"said": "abc"}, stream_mode="updates", subgraphs=True)
    ]

    assert [data for _, data in parts] == [
        {"echo": {"answered": "cba"}},
        {"far": {"said": "abc", "answered": "cba"}},
    ]


def test_headers(server: str) -> None:
    """A stream is not cached or held up on its way, and says where it goes on and which run it is of."""
    thread_id = httpx.post(f"{server}/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "echo", "input": {"said": "abc"}}

    answer = httpx.post(f"{server}/threads/{thread_id}/runs/stream", json=body)

    run = answer.headers["content-location"]
    assert answer.headers["location"] == f"{run}/stream"
    assert run.startswith(f"/threads/{thread_id}/runs/")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"


async def test_a_name_of_a_thread(client: LangGraphClient) -> None:
    """A thread may be called anything; its streams are found all the same."""
    name = "café Ω"
    stream = client.runs.stream(
        name, "echo", input={"said": "abc"}, stream_mode="updates", if_not_exists="create"
    )
    parts = [part async for part in stream]

    joined = client.runs.join_stream(name, parts[0].data["run_id"])

    assert [part.data async for part in joined] == [part.data for part in parts]


def test_frames(server: str) -> None:
    """Events are framed as LangGraph's server frames them, and values are the mode unless another is named."""
    thread_id = httpx.post(f"{server}/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "echo", "input": {"said": "abc"}}

    answer = httpx.post(f"{server}/threads/{thread_id}/runs/stream", json=body)

    frames = answer.text.split("\r\n\r\n")
    name, data, place = frames[-3].split("\r\n")
    assert (name, place[:4]) == ("event: values", "id: ")
    assert json.loads(data.removeprefix("data: ")) == {"said": "abc", "answered": "cba"}
    assert frames[-2:] == ["event: end\r\ndata: null", ""]


async def test_what_is_not_there(client: LangGraphClient) -> None:
    """No such run, none on this thread, no such thread: 404 before anything is sent."""
    thread_id, run_id, _ = await _ended(client)
    nobody = "00000000-0000-0000-0000-000000000000"

    for stream in (
        client.runs.join_stream(thread_id, nobody),
        client.runs.join_stream(nobody, run_id),
        await client.threads.join_stream(nobody),
    ):
        with pytest.raises(NotFoundError):
            await anext(aiter(stream))


async def test_what_means_nothing(client: LangGraphClient) -> None:
    """What is no id of an event, and no mode of a thread, is refused."""
    thread_id, run_id, _ = await _ended(client)

    for stream in (
        client.runs.join_stream(thread_id, run_id, last_event_id="yesterday"),
        await client.threads.join_stream(thread_id, stream_mode="values"),  # type: ignore[arg-type]  # as meant
    ):
        with pytest.raises(UnprocessableEntityError):
            await anext(aiter(stream))


async def _ended(client: LangGraphClient) -> tuple[str, str, list[StreamPart]]:
    """A run that has ended: its thread, its id, and what it told."""
    thread_id = (await client.threads.create())["thread_id"]
    stream = client.runs.stream(
        thread_id, "steps", input={"count": 3}, stream_mode=["updates", "custom"]
    )
    parts = [part async for part in stream]
    return thread_id, parts[0].data["run_id"], parts


async def _left(client: LangGraphClient, on_disconnect: Any) -> Any:
    """Go away from a run in the middle, and return it when it has come to rest."""
    thread_id = (await client.threads.create())["thread_id"]
    count = 10_000 if on_disconnect == "cancel" else 10
    stream = client.runs.stream(
        thread_id,
        "steps",
        input={"count": count, "seconds": 0.03},
        stream_mode="updates",
        on_disconnect=on_disconnect,
    )
    async for part in stream:
        if part.event == "updates":
            break
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    return await _at_rest(client, (await client.runs.list(thread_id))[0])


async def _at_rest(client: LangGraphClient, run: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        await client.runs.join(run["thread_id"], run["run_id"])
    return await client.runs.get(run["thread_id"], run["run_id"])


async def _heard_of_thread(
    client: LangGraphClient, thread_id: str, *, done: int, **more: Any
) -> list[StreamPart]:
    """What comes of a thread until some of its runs are done."""
    heard: list[StreamPart] = []
    async with asyncio.timeout(PATIENCE):
        async for part in await client.threads.join_stream(thread_id, **more):
            heard.append(part)
            if sum(map(_is_done, heard)) == done:
                break
    return heard


def _is_done(part: StreamPart) -> bool:
    return part.event == "metadata" and part.data.get("status") == "run_done"


async def test_a_client_that_reads_nothing(server: str, client: LangGraphClient) -> None:
    """It holds up neither the run nor others; and when it reads, it gets everything."""
    thread_id = (await client.threads.create())["thread_id"]
    body = {
        "assistant_id": "echo",
        "input": {"said": "x" * 500_000},
        "stream_mode": ["values", "updates", "tasks", "debug"],
    }
    stuck = httpx.AsyncClient(base_url=server, timeout=PATIENCE)
    async with (
        stuck,
        stuck.stream("POST", f"/threads/{thread_id}/runs/stream", json=body) as answer,
    ):
        async with asyncio.timeout(PATIENCE):
            run_id = answer.headers["content-location"].rpartition("/")[2]
            other = client.runs.join_stream(thread_id, run_id)
            heard = [part async for part in other]

            assert (await client.runs.get(thread_id, run_id))["status"] == "success"

            late = (await answer.aread()).decode()
    assert late.count("\r\nid: ") == len(heard) - 1
    assert len(late) > 4_000_000


async def test_tokens_come_as_they_are_spoken(client: LangGraphClient) -> None:
    """What a step tells is heard before the step has ended."""
    thread_id = (await client.threads.create())["thread_id"]
    given = {"count": 2, "seconds": 1.0}
    stream = client.runs.stream(thread_id, "steps", input=given, stream_mode=["custom", "updates"])

    clock = asyncio.get_running_loop().time
    heard = [(part.event, clock()) async for part in stream]

    assert [event for event, _ in heard][1:3] == ["custom", "updates"]
    assert heard[2][1] - heard[1][1] > 0.5
