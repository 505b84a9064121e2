"""The ends of runs are told to whom their clients name, against a real server and a real listener."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import UnprocessableEntityError

from tests.server.conftest import serving

SECRET = "a secret of ours"


@dataclass
class Listener:
    """Takes what is posted, and answers as it is told to.

    Attributes:
        told: path, headers and body of each request.
        refuses: how many requests it refuses before it takes one.
    """

    address: str = ""
    told: asyncio.Queue[tuple[str, dict[str, str], bytes]] = field(default_factory=asyncio.Queue)
    refuses: int = 0

    async def next(self) -> tuple[str, dict[str, str], bytes]:
        """Return the next request."""
        return await asyncio.wait_for(self.told.get(), 30)

    async def document(self) -> Any:  # JSON
        """Return the body of the next request."""
        return json.loads((await self.next())[2])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            key.lower(): value for key, _, value in (each.partition(": ") for each in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.told.put_nowait((head[0].split()[1], headers, body))
        self.refuses -= 1
        status = "503 Busy" if self.refuses >= 0 else "200 OK"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Listen on loopback."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    async with server:
        listener.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield listener


@pytest.fixture(scope="module")
def trusting(server_database: str) -> Iterator[str]:
    """A server that tells also private addresses, and signs what it tells."""
    settings: Mapping[str, str] = {
        "INTERLOCK_ALLOW_PRIVATE_WEBHOOKS": "true",
        "INTERLOCK_NOTIFY_SECRET": SECRET,
    }
    with serving(server_database, environment=settings) as address:
        yield address


@pytest.fixture
async def client(trusting: str) -> AsyncIterator[LangGraphClient]:
    """A client of that server."""
    async with get_client(url=trusting, api_key=None) as client:
        yield client


async def test_an_end_is_told(client: LangGraphClient) -> None:
    """When a run has ended, its webhook gets the run with its values, also without a thread."""
    async with listening() as listener:
        url = f"{listener.address}/told?who=me"

        run = await client.runs.create(None, "echo", input={"said": "abc"}, webhook=url)
        path, _, body = await listener.next()

    told = json.loads(body)
    assert path == "/told?who=me"
    assert (told["run_id"], told["thread_id"]) == (run["run_id"], run["thread_id"])
    assert told["status"] == "success"
    assert told["values"] == {"said": "abc", "answered": "cba"}
    assert told["run_started_at"] <= told["run_ended_at"] <= told["webhook_sent_at"]


async def test_a_state_that_cannot_be_read(client: LangGraphClient) -> None:
    """A run that broke its own state is told of, with its error and without values."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={"count": 1})
    command: Any = {"update": [["count", 1], ["count", 2]], "goto": "step"}
    async with listening() as listener:
        await client.runs.create(thread_id, "steps", command=command, webhook=listener.address)
        told = await listener.document()

    assert (told["status"], told["values"]) == ("error", None)
    assert told["error"]["error"] == "InvalidUpdateError"


async def test_it_is_signed(client: LangGraphClient) -> None:
    """What is told carries a signature over its time and its body."""
    async with listening() as listener:
        await client.runs.create(None, "echo", input={"said": "a"}, webhook=listener.address)
        _, headers, body = await listener.next()

    seconds, _, signed = headers["interlock-signature"].partition(",")
    expected = hmac.new(SECRET.encode(), seconds[2:].encode() + b"." + body, hashlib.sha256)
    assert signed == f"v1={expected.hexdigest()}"


async def test_a_failure_is_told(client: LangGraphClient) -> None:
    """A failed run is told with what failed."""
    async with listening() as listener:
        await client.runs.create(None, "fails", input={"said": "a"}, webhook=listener.address)
        told = await listener.document()

    assert told["status"] == "error"
    assert told["error"] == {"error": "ValueError", "message": "cannot answer 'a'"}


async def test_a_question_is_told(client: LangGraphClient) -> None:
    """A run that asks a person has ended for its client; what goes on with it without one is told, too."""
    async with listening() as listener:
        thread_id = (await client.threads.create())["thread_id"]
        run = await client.runs.create(
            thread_id, "asks", input={"topic": "x"}, webhook=listener.address
        )
        asked = await listener.document()
        await client.runs.wait(thread_id, "asks", command={"resume": "a"})
        await client.runs.wait(thread_id, "asks", command={"resume": "b"})

    assert asked["run_id"] == run["run_id"]
    assert asked["status"] == "success"
    assert asked["values"] == {"topic": "x", "answers": []}
    assert [each["value"] for each in asked["interrupts"]] == [{"question": "What of x?"}]
    assert listener.told.empty()


async def test_a_cancelled_run_is_told(client: LangGraphClient) -> None:
    """A run that is cancelled before it began is told as interrupted."""
    async with listening() as listener:
        run = await client.runs.create(
            None, "echo", input={"said": "a"}, after_seconds=600, webhook=listener.address
        )
        await client.runs.cancel(run["thread_id"], run["run_id"])
        told = await listener.document()

    assert (told["status"], told["run_started_at"]) == ("interrupted", None)


async def test_who_was_busy_is_told_again(client: LangGraphClient, server_database: str) -> None:
    """What was not taken is due again after a pause, under the same id."""
    async with listening() as listener:
        listener.refuses = 1
        await client.runs.create(None, "echo", input={"said": "a"}, webhook=listener.address)
        first = await listener.next()
        async with asyncio.timeout(30):
            while not await _make_due(server_database):  # noqa: ASYNC110  # rows tell nobody
                await asyncio.sleep(0.05)
        second = await listener.next()

    assert first[1]["interlock-webhook"] == second[1]["interlock-webhook"]
    assert json.loads(first[2])["run_id"] == json.loads(second[2])["run_id"]


async def test_private_addresses_are_refused(server: str) -> None:
    """Without the setting, a webhook goes to no private address, by whatever name."""
    addresses = (
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/latest/",
        "http://10.1.2.3/",
        "http://[::ffff:127.0.0.1]/",
    )
    async with get_client(url=server, api_key=None) as client:
        for each in addresses:
            with pytest.raises(UnprocessableEntityError):
                await client.runs.create(None, "echo", input={}, webhook=each)


async def _make_due(database: str) -> bool:
    """Let what waits to be told again be due now; False when nothing does."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        cursor = await connection.execute(
            "update interlock.webhooks set due_at = clock_timestamp()"
            " where status = 'waiting' and last_error <> ''"
        )
        await connection.execute("notify interlock_webhooks")
        return cursor.rowcount > 0
