"""Thread streams, version 3, with LangGraph's clients: over server-sent events and over a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from websockets.asyncio.client import connect

from tests.server.sample.graphs import ANSWER

Transport = Literal["sse", "websocket"]

TRANSPORTS = pytest.mark.parametrize("transport", ["sse", "websocket"])

SECONDS = 20

HI = {"messages": [{"role": "user", "content": "hi"}]}


@TRANSPORTS
async def test_a_run_gives_its_output(client: LangGraphClient, transport: Transport) -> None:
    """A thread that is not there is made, and the client hears when its run has ended."""
    async with client.threads.stream(assistant_id="echo", transport=transport) as thread:
        await thread.run.start(input={"said": "abc"})

        assert await thread.output.with_timeout(SECONDS) == {"said": "abc", "answered": "cba"}


@TRANSPORTS
async def test_a_model_is_heard_word_by_word(client: LangGraphClient, transport: Transport) -> None:
    """Each message is a stream of its text, which knows the node that speaks."""
    async with client.threads.stream(assistant_id="talker", transport=transport) as thread:
        await thread.run.start(input=HI)
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as readers:
            said = [(one, readers.create_task(words(one))) async for one in thread.messages]

    heard = [(one.node, task.result()) for one, task in said]
    assert len(heard) == 1
    node, pieces = heard[0]
    assert node == "talk"
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 5


async def words(message: Any) -> list[str]:  # the client's stream of a message
    """Return the pieces of a message as they came."""
    return [piece async for piece in message.text]


@TRANSPORTS
async def test_what_is_asked_is_answered(client: LangGraphClient, transport: Transport) -> None:
    """A question ends what is iterated, is told with its payload and its value, and is answered by its id."""
    async with client.threads.stream(assistant_id="asks", transport=transport) as thread:
        await thread.run.start(input={"topic": "tea"})
        first = await asked(thread)
        await thread.run.respond("green")
        second = await asked(thread, 2)
        await thread.run.respond("black", interrupt_id=second[1]["interrupt_id"])

        output = await thread.output.with_timeout(SECONDS)

    assert first[0]["value"] == {"question": "What of tea?"}
    assert second[1]["value"] == "And now?"
    assert output["answers"] == ["green", "black"]


async def asked(thread: Any, many: int = 1) -> list[Any]:  # the client's stream and its questions
    """Wait until a client has heard of so many questions."""
    async with asyncio.timeout(SECONDS):
        while len(thread.interrupts) < many:  # noqa: ASYNC110  # the client tells nobody of it
            await asyncio.sleep(0.01)
    return list(thread.interrupts)


@TRANSPORTS
async def test_a_failure_says_what_failed(client: LangGraphClient, transport: Transport) -> None:
    """The output of a run that failed raises its error."""
    async with client.threads.stream(assistant_id="fails", transport=transport) as thread:
        await thread.run.start(input={"said": "q"})

        with pytest.raises(RuntimeError, match="ValueError: cannot answer 'q'"):
            await thread.output.with_timeout(SECONDS)


@TRANSPORTS
async def test_subgraphs_are_found(client: LangGraphClient, transport: Transport) -> None:
    """A subgraph is a handle with a path, which is finished when its task is."""
    async with client.threads.stream(assistant_id="nested", transport=transport) as thread:
        await thread.run.start(input={"count": 2})
        found = [handle async for handle in thread.subgraphs]

    assert [(handle.graph_name, handle.status) for handle in found] == [("inner", "completed")]


async def test_subscriptions_are_filtered(client: LangGraphClient) -> None:
    """Channels, paths and depth choose what is sent."""
    thread_id = await finished(client, "nested", {"count": 2})

    everything = await told(client, thread_id, {"channels": ["values", "custom", "lifecycle"]})
    inner = await told(
        client, thread_id, {"channels": ["values", "lifecycle"], "namespaces": [["inner"]]}
    )
    root = await told(
        client, thread_id, {"channels": ["values", "lifecycle"], "namespaces": [[]], "depth": 0}
    )

    methods = {each["method"] for each in everything}
    assert methods == {"values", "custom", "lifecycle"}
    assert {each["params"]["namespace"][0].partition(":")[0] for each in inner} == {"inner"}
    assert [each["params"]["data"]["event"] for each in inner if each["method"] == "lifecycle"] == [
        "started",
        "completed",
    ]
    assert [each["params"]["data"]["done"] for each in root if each["method"] == "values"] == [
        [],
        [0, 1],
        [0, 1, 2],
    ]


async def test_a_question_has_both_names(client: LangGraphClient) -> None:
    """What is asked stands as `payload`, as LangGraph's server says it, and as `value`, as its state does."""
    thread_id = (await client.threads.create())["thread_id"]
    start = {"id": 1, "method": "run.start", "params": {"assistant_id": "asks", "input": {}}}
    await client.http.post(f"/threads/{thread_id}/commands", json=start)

    (event,) = await told(client, thread_id, {"channels": ["input"]})

    asked = event["params"]["data"]
    state = await client.threads.get_state(thread_id)
    assert event["method"] == "input.requested"
    assert asked["payload"] == asked["value"] == {"question": "What of None?"}
    assert asked["interrupt_id"] == state["interrupts"][0]["id"]


async def finished(client: LangGraphClient, graph: str, given: dict[str, Any]) -> str:
    """Return a thread on which a run has ended."""
    thread_id = str(uuid4())
    async with client.threads.stream(thread_id=thread_id, assistant_id=graph) as thread:
        await thread.run.start(input=given)
        await thread.output.with_timeout(SECONDS)
    return thread_id


async def told(
    client: LangGraphClient, thread_id: str, wanted: dict[str, Any], *, whole: bool = True
) -> list[dict[str, Any]]:
    """Return what a subscription gives, until its run has ended: it ends no sooner."""
    found: list[dict[str, Any]] = []
    transport = client.http.client
    url = f"/threads/{thread_id}/stream/events"
    async with asyncio.timeout(SECONDS), transport.stream("POST", url, json=wanted) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(httpx.Response(200, content=line[6:]).json())
                if whole and is_last(found[-1], wanted):
                    break
    return found


def is_last(event: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Say whether an event ends a run, or the part of it that is looked at."""
    if wanted["channels"] == ["input"]:
        return True
    paths = wanted.get("namespaces") or [[]]
    depth = min(len(path) for path in paths)
    ended = event["method"] == "lifecycle" and event["params"]["data"]["event"] == "completed"
    return ended and len(event["params"]["namespace"]) == depth


async def test_a_client_goes_on_behind_what_it_has(client: LangGraphClient) -> None:
    """Behind each event stand the same events as in the whole stream, also in the middle of a message."""
    thread_id = await finished(client, "talker", HI)
    wanted = {"channels": ["values", "messages", "lifecycle"]}

    whole = await told(client, thread_id, wanted)

    assert len(whole) > 15
    assert [each["seq"] for each in whole] == sorted({each["seq"] for each in whole})
    for number, event in enumerate(whole[:-1]):
        rest = await told(client, thread_id, {**wanted, "since": event["seq"]})
        assert rest == whole[number + 1 :]


async def test_a_stream_begins_with_the_run_that_the_thread_is_at(client: LangGraphClient) -> None:
    """What earlier runs told is told only to whoever names a place in it."""
    thread_id = await finished(client, "echo", {"said": "one"})
    wanted = {"channels": ["values", "lifecycle"]}
    first = await told(client, thread_id, wanted)
    await client.runs.wait(thread_id, "echo", input={"said": "two"})
    started = await client.http.post(
        f"/threads/{thread_id}/commands",
        json={
            "id": 7,
            "method": "run.start",
            "params": {"assistant_id": "echo", "input": {"said": "three"}},
        },
    )

    latest = await told(client, thread_id, wanted)

    assert started["id"] == 7
    assert started["result"]["run_id"]
    assert [each["params"]["data"]["said"] for each in latest if each["method"] == "values"] == [
        "three",
        "three",
    ]
    assert first[-1]["seq"] < latest[0]["seq"]


async def test_a_second_answer_is_refused(client: LangGraphClient) -> None:
    """An id that is not open answers nothing, nor does what is no id: it is no value for whatever is open."""
    thread_id = str(uuid4())
    async with client.threads.stream(thread_id=thread_id, assistant_id="asks") as thread:
        await thread.run.start(input={"topic": "tea"})
        name = (await asked(thread))[0]["interrupt_id"]

        done = await respond(client, thread_id, interrupt_id=name, response="green")
        await asked(thread, 2)
        again = await respond(client, thread_id, interrupt_id=name, response="black")
        nameless = await respond(client, thread_id, interrupt_id="bad", response="red")

    state: Any = await client.threads.get_state(thread_id)
    assert done["type"] == "success"
    assert (again["type"], again["error"]) == ("error", "no_such_interrupt")
    assert (nameless["type"], nameless["error"]) == ("error", "no_such_interrupt")
    assert state["values"]["answers"] == ["green"]


async def respond(client: LangGraphClient, thread_id: str, **params: str) -> dict[str, Any]:
    """Send an answer as it goes over the wire."""
    path = f"/threads/{thread_id}/commands"
    sent = {"id": 3, "method": "input.respond", "params": {"namespace": [], **params}}
    answer: Any = await client.http.post(path, json=sent)
    return dict(answer)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("dance", {}, "unknown_command"),
        ("state.get", {"namespace": []}, "not_supported"),
        ("run.start", {}, "invalid_argument"),
        ("run.start", {"assistant_id": "nobody", "input": {}}, "invalid_argument"),
        ("input.respond", {"interrupt_id": "0" * 32, "response": 1}, "no_such_run"),
        ("input.respond", {"responses": []}, "invalid_argument"),
    ],
)
def test_what_cannot_be_done_is_answered_with_why(
    server: str, method: str, params: dict[str, Any], code: str
) -> None:
    """The protocol's errors are answers, as LangGraph's server gives them."""
    answer = httpx.post(
        f"{server}/threads/{uuid4()}/commands", json={"id": 4, "method": method, "params": params}
    )

    assert answer.status_code == 200
    told = answer.json()
    assert (told["type"], told["id"], told["error"]) == ("error", 4, code)
    assert told["message"]


@TRANSPORTS
def test_the_synchronous_client_hears_the_same(
    sync_client: SyncLangGraphClient, transport: Transport
) -> None:
    """Values and output, without asyncio."""
    with sync_client.threads.stream(assistant_id="steps", transport=transport) as thread:
        thread.run.start(input={"count": 2})
        output = thread.output

    assert output == {"count": 2, "done": [0, 1]}


async def test_a_thread_that_is_not_there_is_404(client: LangGraphClient) -> None:
    """Over server-sent events and, as 4404, over a WebSocket."""
    path = f"/threads/{uuid4()}/stream/events"
    answer = await client.http.client.post(path, json={"channels": ["values"]})
    url = str(client.http.client.base_url).replace("http", "ws", 1).rstrip("/")
    async with connect(url + path) as socket:
        await socket.wait_closed()

    assert answer.status_code == 404
    assert socket.close_code == 4404
