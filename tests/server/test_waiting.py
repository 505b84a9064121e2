"""How the server waits for runs: what it answers, and while the database does not answer."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message

from interlock.errors import DatabaseUnavailable, NotFound
from interlock.server import keeping, waiting


class Client:
    """Takes an answer, and leaves when it is told to."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.leaves = asyncio.Event()
        self._taken = asyncio.Event()

    async def receive(self) -> Message:
        """Return that the client has left, once it has."""
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        self.sent.append(message)
        self._taken.set()

    async def has(self, parts: int) -> None:
        """Wait until so many parts have come."""
        while len(self.sent) < parts:
            self._taken.clear()
            await self._taken.wait()

    @property
    def body(self) -> bytes:
        """All that came behind the head."""
        return b"".join(each["body"] for each in self.sent[1:])

    async def take(self, answer: waiting.Waited) -> None:
        """Take an answer to its end, or until it leaves."""
        async with asyncio.timeout(10):
            await answer({"type": "http"}, self.receive, self.send)


async def test_an_answer_that_comes_soon() -> None:
    """What comes soon is sent in one piece, with its length."""
    client = Client()

    async def came() -> dict[str, int]:
        return {"a": 1}

    await client.take(waiting.Waited(came, {"Location": "/x"}))

    assert [each["type"] for each in client.sent] == ["http.response.start", "http.response.body"]
    assert dict(client.sent[0]["headers"]) == {
        b"location": b"/x",
        b"content-type": b"application/json",
        b"content-length": b"7",
    }
    assert client.body == b'{"a":1}'


async def test_what_comes_soon_needs_no_task() -> None:
    """Who waits for what comes soon waits in the request's own task, and nobody reads from the client."""
    client, tasks = Client(), []

    async def came() -> str:
        await asyncio.sleep(0)
        tasks.append(asyncio.all_tasks())
        return "a"

    before = asyncio.all_tasks()
    await client.take(waiting.Waited(came, {}))

    assert tasks == [before]
    assert client.body == b'"a"'


async def test_an_answer_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what takes long the head is sent before, and white space now and then; all of it is one JSON text."""
    monkeypatch.setattr(keeping, "SOON_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "ALIVE_SECONDS", 0.01)
    client, begun = Client(), []

    async def came() -> dict[str, int]:
        begun.append("once")
        await client.has(3)
        return {"a": 1}

    await client.take(waiting.Waited(came, {"Location": "/x"}))

    assert begun == ["once"]
    assert (b"location", b"/x") in client.sent[0]["headers"]
    assert b"content-length" not in dict(client.sent[0]["headers"])
    assert client.body.startswith(b"\n")
    assert json.loads(client.body) == {"a": 1}
    assert not client.sent[-1].get("more_body")


@pytest.mark.parametrize("soon", [0.01, 60.0])
async def test_a_client_that_leaves(monkeypatch: pytest.MonkeyPatch, soon: float) -> None:
    """Who leaves is noticed at once, before the head is sent and after it, and nothing waits any more."""
    monkeypatch.setattr(keeping, "SOON_SECONDS", soon)
    client, gone, waits = Client(), [], asyncio.Event()

    async def came() -> None:
        waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.append("nobody waits")

    taking = asyncio.create_task(
        client.take(waiting.Waited(came, {}, gone=lambda: gone.append("told")))
    )
    await waits.wait()
    await client.has(1 if soon < 1 else 0)
    client.leaves.set()
    await taking
    await asyncio.sleep(0)

    assert sorted(gone) == ["nobody waits", "told"]
    assert len(client.sent) == (1 if soon < 1 else 0)


async def test_a_process_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come soon after that is cut, and has no end: the client asks elsewhere."""
    monkeypatch.setattr(keeping, "SOON_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "LAST_SECONDS", 0.01)
    client, cut = Client(), asyncio.Event()

    async def came() -> None:
        await asyncio.Event().wait()

    taking = asyncio.create_task(client.take(waiting.Waited(came, {}, cut=cut)))
    await client.has(1)
    cut.set()
    await taking

    assert [each["type"] for each in client.sent] == ["http.response.start"]


async def test_an_error_while_it_waits() -> None:
    """What keeps the outcome from being told is told as an error of the run."""
    client = Client()

    async def came() -> None:
        raise NotFound("There is no run 'r'.")

    await client.take(waiting.Waited(came, {}))

    assert json.loads(client.body) == {
        "__error__": {"error": "NotFound", "message": "There is no run 'r'."}
    }


async def test_a_fault_while_it_waits() -> None:
    """A fault is passed on, and is no reason to stop what was waited for."""
    client, gone = Client(), []

    async def came() -> None:
        raise TimeoutError("of something else")

    with pytest.raises(TimeoutError, match="something else"):
        await client.take(waiting.Waited(came, {}, gone=lambda: gone.append("told")))

    assert client.sent == []
    assert gone == []


async def test_a_database_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a run is not told that it failed: the database is asked again until it answers."""
    asked, client = [], Client()

    async def result(scope: Any, run_id: str, *, fresh: bool) -> dict[str, int]:
        asked.append(fresh)
        if len(asked) < 3:
            raise DatabaseUnavailable("The database does not answer.")
        return {"a": 1}

    monkeypatch.setattr(waiting, "result", result)
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.0)
    news = SimpleNamespace(cut=None)
    scope: Any = SimpleNamespace(house=SimpleNamespace(il=SimpleNamespace(stream_news=news)))

    await client.take(waiting.waited(scope, "t", "r", fresh=True))

    assert json.loads(client.body) == {"a": 1}
    assert asked == [True, False, False]
