"""The database ends at once, as in a power cut, under a server with its workers, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.chaos.server import Server
from tests.chaos.server import serving as postgres
from tests.server.conftest import serving

pytestmark = pytest.mark.timeout(300)

RUNS, STEPS = 6, 40
PATIENCE = 120.0


@pytest.fixture
def database(short_folder: Path) -> Iterator[Server]:
    """A Postgres of this test's own."""
    with postgres(short_folder / f"restart-{uuid4().hex[:8]}") as found:
        yield found


@pytest.fixture
async def client(database: Server) -> AsyncIterator[LangGraphClient]:
    """A client of a server on it, which must end well."""
    with serving(database.url, workers=RUNS) as address:
        async with get_client(url=address, api_key=None) as client:
            yield client


class Watcher:
    """Follows one run's stream to its end."""

    def __init__(self, client: LangGraphClient, thread_id: str, run_id: str) -> None:
        self._client = client
        self.thread_id = thread_id
        self.run_id = run_id
        self.attempts: list[list[int]] = []  # the steps that each of them told
        self.errors: list[Any] = []  # JSON
        self.under_way = asyncio.Event()

    async def follow(self) -> None:
        """Read until the stream ends."""
        stream = self._client.runs.join_stream(self.thread_id, self.run_id, last_event_id="-1")
        async for part in stream:
            if part.event == "metadata":
                self.attempts.append([])
            if part.event == "updates":
                self.attempts[-1] += part.data["step"]["done"]
            if part.event == "error":
                self.errors.append(part.data)
            if sum(map(len, self.attempts)) > 4:
                self.under_way.set()

    @property
    def steps(self) -> list[int]:
        """All steps that were told, without the one that a later attempt may tell again, as its checkpoint was lost."""
        told: list[int] = []
        for attempt in self.attempts:
            again = attempt[:1] == told[-1:]
            told += attempt[1:] if again else attempt
        return told


async def begun(client: LangGraphClient) -> Watcher:
    """Begin a run of many steps on a thread of its own."""
    thread = await client.threads.create()
    run = await client.runs.create(
        thread["thread_id"],
        "steps",
        input={"count": STEPS, "seconds": 0.1},
        stream_mode=["updates"],
        stream_resumable=True,
    )
    return Watcher(client, thread["thread_id"], run["run_id"])


async def test_runs_and_streams_go_on_when_the_database_comes_back(
    client: LangGraphClient, database: Server
) -> None:
    """Each run ends as it should, no step is in its state twice, and its stream tells each of them, once an attempt."""
    async with asyncio.timeout(PATIENCE):
        watchers = [await begun(client) for _ in range(RUNS)]
        following = [asyncio.create_task(each.follow()) for each in watchers]
        waiting = asyncio.create_task(client.runs.join(watchers[0].thread_id, watchers[0].run_id))
        for each in watchers:
            await each.under_way.wait()
        assert not any(each.done() for each in following)
        await asyncio.to_thread(database.restart)
        await asyncio.gather(*following)
        joined = await waiting
        states = [await client.threads.get_state(each.thread_id) for each in watchers]
        runs = [await client.runs.get(each.thread_id, each.run_id) for each in watchers]

    whole = list(range(STEPS))
    assert [each["status"] for each in runs] == ["success"] * RUNS
    assert [cast("dict[str, Any]", each["values"])["done"] for each in states] == [whole] * RUNS
    assert joined["done"] == whole
    assert [each.errors for each in watchers] == [[]] * RUNS
    assert [each.steps for each in watchers] == [whole] * RUNS
    assert ended_once(database.url) == {(each.run_id, 1) for each in watchers}


def ended_once(url: str) -> set[tuple[str, int]]:
    """How often each run was told to have ended."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select run_id, count(*) from interlock.run_events where kind = 'succeeded' group by 1"
        )
        return {(run, many) for run, many in rows}
