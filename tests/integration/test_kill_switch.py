"""The kill switch on Postgres: what runs is stopped where it is, what is new is refused, all of it is written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.kills import KillScope
from interlock.errors import Killed
from interlock.settings import Settings
from tests.openai_server import Hangs, OpenAIServer, Says

CONFIG = Path(__file__).parents[1] / "sample" / "killed" / "langgraph.json"
MODEL = "openai:gpt-5-nano"
PATIENCE = 10


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:  # an iterator of servers
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-key")
    with OpenAIServer(Hangs(), Says(text="hello")) as opened:
        yield opened


@pytest.fixture
async def il(database_url: str, server: OpenAIServer) -> AsyncIterator[Interlock]:
    settings = Settings(model=MODEL, base_url=server.base_url, tenant="acme", user="ann")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def until(is_so: Any) -> None:
    """Return when something is so; a test that waits for longer has failed."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.005)


async def asking(il: Interlock, server: OpenAIServer, log: Path) -> asyncio.Task[interlock.Run]:
    """Begin a run, and return when its model has been asked and its other node has ended."""
    run = asyncio.ensure_future(il.ainvoke("asks", {"log": str(log)}, thread_id="t"))
    await until(lambda: server.requests and "beside" in log.read_text())
    return run


@pytest.mark.parametrize("scope", ["run", "thread", "graph", "tenant", "all"])
async def test_a_call_in_flight_is_stopped(
    il: Interlock, server: OpenAIServer, log: Path, scope: KillScope
) -> None:
    """Whatever it is thrown for, the run ends at once as killed, says by whom, when and why, and can be resumed."""
    running = await asking(il, server, log)
    run_id = (await il.arun("t")).run_id
    names = {"run": run_id, "thread": "t", "graph": "asks", "tenant": "acme", "all": ""}

    began = time.monotonic()
    kill = await il.akill(scope, names[scope], reason="it spends too much", by="ben")
    run = await running
    took = time.monotonic() - began

    assert took < 1
    assert (run.status, run.error_kind) == ("killed", "Killed")
    assert f"ben killed {kill.whose} at {kill.at:%Y-%m-%d %H:%M}" in run.error
    assert "it spends too much" in run.error
    with pytest.raises(Killed, match=f"interlock kill lift {kill.id}"):
        await il.aresume("t")

    await il.alift_kill(kill.id, by="ann")
    again = await il.aresume("t")
    assert (again.status, again.output["said"]) == ("succeeded", ["hello", "beside", "end"])
    assert log.read_text().split().count("beside") == 1
