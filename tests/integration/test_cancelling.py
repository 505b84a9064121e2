"""Cancelling what runs: it reaches a model call in flight, and what is left of a run does nothing more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import interlock
from interlock import Interlock
from interlock.core.runs import Run
from interlock.settings import Settings
from tests.integration.test_kill_switch import CONFIG, MODEL, Late
from tests.openai_server import OpenAIServer, Says
from tests.submitting import until


@pytest.fixture
def late() -> Iterator[Late]:
    made = Late()
    yield made
    made.go.set()


@pytest.fixture
def server(late: Late, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server whose first answer is late."""
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-key")
    with OpenAIServer(late, Says(text="hello"), Says(text="bye")) as opened:
        yield opened
        late.go.set()


@pytest.fixture
async def il(database_url: str, server: OpenAIServer) -> AsyncIterator[Interlock]:
    settings = Settings(model=MODEL, base_url=server.base_url, user="ann")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def asking(il: Interlock, server: OpenAIServer, log: Path, how: str) -> asyncio.Future[Run]:
    """A run that has asked its model, and waits."""
    given = {"log": str(log), "how": how}
    running = asyncio.ensure_future(il.ainvoke("asks", given, thread_id="t"))
    await so(lambda: bool(server.requests))
    return running


async def so(is_so: Callable[[], bool]) -> None:
    """Return when something is so."""

    async def now() -> bool:
        return is_so()

    await until(now)


async def test_a_call_in_flight_is_cut(
    il: Interlock, server: OpenAIServer, late: Late, log: Path
) -> None:
    """The provider sees the connection end; nothing is charged as if it had been answered."""
    running = await asking(il, server, log, "once")

    began = time.monotonic()
    cancelled = await il.acancel("t", reason="no")

    assert time.monotonic() - began < 2
    await so(late.left.is_set)
    assert (cancelled.status, (await running).status) == ("cancelled", "cancelled")


async def test_a_thread_that_a_cancelled_run_left_asks_no_more(
    il: Interlock, server: OpenAIServer, late: Late, log: Path
) -> None:
    """Python cannot stop it; what it asks next does not leave the process."""
    running = await asking(il, server, log, "thread")

    await il.acancel("t")
    assert (await running).status == "cancelled"
    late.go.set()

    await so(lambda: "refused" in log.read_text())
    assert len(server.requests) == 1
