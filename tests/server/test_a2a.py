"""Assistants as agents for others, with Agent2Agent's own client, in both versions of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError
from google.protobuf.json_format import (  # type: ignore[import-untyped]  # it has no types
    MessageToDict,
    ParseDict,
)
from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]  # as above
from langgraph_sdk.client import LangGraphClient

from tests.server.sample.graphs import ANSWER

VERSIONS = pytest.mark.parametrize("version", ["1.0", "0.3"])


@asynccontextmanager
async def calling(
    server: str, graph: str, version: str = "1.0", *, streaming: bool = False
) -> AsyncIterator[Client]:
    """Give a client of a graph, made from its card."""
    async with httpx.AsyncClient(timeout=20) as http:
        resolver = A2ACardResolver(http, server)
        card = await resolver.get_agent_card(http_kwargs={"params": {"assistant_id": graph}})
        for each in list(card.supported_interfaces):
            if each.protocol_version != version:
                card.supported_interfaces.remove(each)
        yield ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


def saying(*parts: str | dict[str, Any], **names: str) -> SendMessageRequest:
    """Return a request that says texts and data."""
    made = [
        Part(text=each) if isinstance(each, str) else Part(data=ParseDict(each, Value()))
        for each in parts
    ]
    message = Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=made, **names)
    return SendMessageRequest(message=message)


async def sent(client: Client, request: SendMessageRequest) -> Task:
    """Return the task that a message became."""
    told = [each async for each in client.send_message(request)]
    assert len(told) == 1
    return told[0].task


def data_of(part: Part) -> Any:  # JSON
    """Return the data of a part."""
    return MessageToDict(part.data)


@VERSIONS
async def test_a_message_is_answered(server: str, version: str) -> None:
    """What the agent says is the task's artifact, and both messages are its history."""
    async with calling(server, "talker", version) as client:
        task = await sent(client, saying("hi"))
        again = await client.get_task(GetTaskRequest(id=task.id))

    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert [part.text for part in task.artifacts[0].parts] == [ANSWER]
    assert [(each.role, each.parts[0].text) for each in task.history] == [
        (Role.ROLE_USER, "hi"),
        (Role.ROLE_AGENT, ANSWER),
    ]
    assert again.artifacts == task.artifacts
    assert again.history == task.history


@VERSIONS
async def test_words_come_one_by_one(server: str, version: str) -> None:
    """A stream begins with the task and ends with how it stands; the pieces between are its artifact."""
    async with calling(server, "talker", version, streaming=True) as client:
        told = [each async for each in client.send_message(saying("hi"))]

    pieces = [each.artifact_update for each in told if each.HasField("artifact_update")]
    assert told[0].HasField("task")
    assert told[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    assert "".join(each.artifact.parts[0].text for each in pieces) == ANSWER
    assert [each.append for each in pieces] == [False] + [True] * (len(pieces) - 1)
    assert pieces[-1].last_chunk
    assert len(pieces) > 5


async def test_a_context_is_a_thread(server: str, client: LangGraphClient) -> None:
    """A second message in it sees the first, and the thread has the state."""
    async with calling(server, "talker") as agent:
        first = await sent(agent, saying("one"))
        second = await sent(agent, saying("two", context_id=first.context_id))

    state: Any = await client.threads.get_state(first.context_id)
    assert second.context_id == first.context_id
    assert second.id != first.id
    assert [each["content"] for each in state["values"]["messages"]] == [
        "one",
        ANSWER,
        "two",
        ANSWER,
    ]


@VERSIONS
async def test_data_is_the_input(server: str, version: str) -> None:
    """A graph without messages takes data by its input's names, and gives its output as data."""
    async with calling(server, "echo", version) as client:
        task = await sent(client, saying({"said": "abc"}))

    assert data_of(task.artifacts[0].parts[0]) == {"said": "abc", "answered": "cba"}


@VERSIONS
async def test_a_question_is_answered(server: str, version: str) -> None:
    """It is the same task until it is over, whichever of its names the answers have."""
    async with calling(server, "asks", version) as client:
        asked = await sent(client, saying({"topic": "tea"}))
        again = await sent(client, saying("green", task_id=asked.id, context_id=asked.context_id))
        done = await sent(client, saying("black", context_id=asked.context_id))
        late = await client.get_task(GetTaskRequest(id=asked.id))

    assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert data_of(asked.status.message.parts[0])["value"] == {"question": "What of tea?"}
    assert again.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert again.status.message.parts[0].text == "And now?"
    assert done.status.state == TaskState.TASK_STATE_COMPLETED
    assert data_of(done.artifacts[0].parts[0])["answers"] == ["green", "black"]
    assert asked.id == again.id == done.id
    assert late.status.state == TaskState.TASK_STATE_COMPLETED


async def test_a_failure_says_what_failed(server: str) -> None:
    """As a message of the agent: of what kind it was, and nothing that the exception said."""
    async with calling(server, "fails") as client:
        task = await sent(client, saying({"said": "a secret"}))

    assert task.status.state == TaskState.TASK_STATE_FAILED
    assert task.status.message.parts[0].text == (
        f"Run {task.id} failed: ValueError. What it says is shown where the run is."
    )


async def test_a_task_is_cancelled_while_somebody_looks_on(server: str) -> None:
    """Who subscribed to it hears that; what is over cannot be cancelled."""
    async with calling(server, "steps", streaming=True) as client:
        request = saying({"count": 1000, "seconds": 0.05})
        request.configuration.return_immediately = True
        stream: Any = client.send_message(request)  # a generator
        task = (await anext(stream)).task

        async def looked() -> list[Any]:
            return [each async for each in client.subscribe(SubscribeToTaskRequest(id=task.id))]

        looking = asyncio.create_task(looked())
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        told = await asyncio.wait_for(looking, 20)
        with pytest.raises(TaskNotCancelableError, match="is over"):
            await client.cancel_task(CancelTaskRequest(id=task.id))
        await stream.aclose()

    assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
    assert told[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED


async def test_a_task_of_another_agent_is_not_there(server: str) -> None:
    """Each agent knows its own."""
    async with calling(server, "echo") as one, calling(server, "talker") as other:
        task = await sent(one, saying({"said": "abc"}))

        with pytest.raises(TaskNotFoundError):
            await other.get_task(GetTaskRequest(id=task.id))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"dance"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"x"}}', -32001),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/list"}', -32004),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/pushNotificationConfig/set"}', -32003),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_protocol(
    server: str, body: bytes, code: int
) -> None:
    """With the protocol's code and a sentence."""
    answer = httpx.post(f"{server}/a2a/echo", content=body)

    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]


def test_an_agent_that_is_not_there_has_no_card(server: str) -> None:
    """Nor can it be called."""
    card = httpx.get(f"{server}/.well-known/agent-card.json", params={"assistant_id": "nobody"})
    call = httpx.post(f"{server}/a2a/nobody", json={})

    assert (card.status_code, call.status_code) == (404, 404)
