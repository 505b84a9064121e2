"""Crons as LangGraph's client makes and finds them, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

NEVER = "0 0 29 2 1"
EVERY_SECOND = "* * * * * *"


@pytest.fixture
async def http(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows statuses and headers."""
    async with httpx.AsyncClient(base_url=server, timeout=30) as http:
        yield http


async def test_a_cron_is_a_cron(client: LangGraphClient) -> None:
    """A cron has an id of its own, says when it fires next, and does not fire when it is made."""
    made: Any = await client.crons.create(
        "echo",
        schedule="30 7 * * *",
        input={"said": "abc"},
        metadata={"who": "me"},
        timezone="Europe/Berlin",
        on_run_completed="keep",
    )

    assert str(UUID(made["cron_id"])) == made["cron_id"]
    assert "run_id" not in made
    assert made["assistant_id"] == "046b5dc7-2108-582c-9c6c-31d556d138f0"
    assert made["thread_id"] is None
    assert made["schedule"] == "30 7 * * *"
    assert made["timezone"] == "Europe/Berlin"
    assert made["payload"]["input"] == {"said": "abc"}
    assert made["metadata"] == {"who": "me"}
    assert made["on_run_completed"] == "keep"
    assert made["enabled"] is True
    assert datetime.fromisoformat(made["next_run_date"]) > datetime.now(UTC)
    found = await client.threads.search(metadata={"assistant_id": made["assistant_id"]})
    assert found == []


async def test_it_fires_at_its_times(client: LangGraphClient) -> None:
    """A cron's runs are on its thread, with its input and its metadata, each time once."""
    thread_id = (await client.threads.create())["thread_id"]
    cron: Any = await client.crons.create_for_thread(
        thread_id, "steps", schedule=EVERY_SECOND, input={"count": 1}, metadata={"of": "cron"}
    )

    runs = await _runs(client, thread_id, 2)
    await client.crons.delete(cron["cron_id"])

    assert all(run["metadata"] == {**run["metadata"], "of": "cron"} for run in runs)
    assert {run["kwargs"]["config"]["configurable"]["cron_id"] for run in runs} == {cron["cron_id"]}
    created = sorted(datetime.fromisoformat(run["created_at"]) for run in runs)
    assert len({each.replace(microsecond=0) for each in created}) == len(created)


async def test_it_ends(client: LangGraphClient) -> None:
    """A cron that has ended fires no more, and has no next time."""
    over: Any = await client.crons.create(
        "echo", schedule=EVERY_SECOND, input={}, end_time=datetime.now(UTC) - timedelta(hours=1)
    )

    assert over["next_run_date"] is None
    again: Any = await client.crons.update(over["cron_id"], schedule=NEVER, end_time=None)
    assert again["end_time"] is None
    assert again["next_run_date"] is not None


async def test_it_is_changed(client: LangGraphClient) -> None:
    """What is named of a cron changes, its metadata is merged, and the rest stays."""
    made: Any = await client.crons.create(
        "echo", schedule=NEVER, input={"said": "a"}, metadata={"a": 1}, timezone="Europe/Berlin"
    )

    changed: Any = await client.crons.update(
        made["cron_id"], schedule="0 1 1 1 *", enabled=False, metadata={"b": 2}
    )

    assert changed["schedule"] == "0 1 1 1 *"
    assert changed["enabled"] is False
    assert changed["next_run_date"] is None
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert changed["payload"]["input"] == {"said": "a"}
    assert changed["timezone"] == "Europe/Berlin"
    assert changed["created_at"] == made["created_at"]
    assert changed["updated_at"] > made["updated_at"]


async def test_crons_are_found(client: LangGraphClient, http: httpx.AsyncClient) -> None:
    """Crons are found by assistant, thread, metadata and whether they fire, in pages; and counted."""
    thread_id = (await client.threads.create())["thread_id"]
    mark = {"mark": str(uuid4())}
    made: list[Any] = [
        await client.crons.create_for_thread(
            thread_id, "talker", schedule=NEVER, input={}, metadata=mark, enabled=each
        )
        for each in (True, True, False)
    ]
    ids = [each["cron_id"] for each in made]

    newest = await client.crons.search(metadata=mark)
    page = await http.post(
        "/runs/crons/search", json={"metadata": mark, "limit": 1, "select": ["cron_id", "now"]}
    )

    assert [each["cron_id"] for each in newest] == ids[::-1]
    assert len(await client.crons.search(thread_id=thread_id, enabled=True)) == 2
    oldest = await client.crons.search(metadata=mark, sort_by="created_at", sort_order="asc")
    assert [each["cron_id"] for each in oldest] == ids
    assert await client.crons.count(assistant_id="talker", metadata=mark) == 3
    assert await client.crons.count(assistant_id="echo", metadata=mark) == 0
    assert [set(each) for each in page.json()] == [{"cron_id", "now"}]
    assert page.headers["X-Pagination-Total"] == "3"
    one = await http.get(f"/runs/crons/{ids[0]}")
    assert one.json()["cron_id"] == ids[0]


async def test_a_cron_is_forgotten(client: LangGraphClient, http: httpx.AsyncClient) -> None:
    """A cron that is deleted is gone."""
    made: Any = await client.crons.create("echo", schedule=NEVER, input={})

    await client.crons.delete(made["cron_id"])

    with pytest.raises(NotFoundError):
        await client.crons.delete(made["cron_id"])
    with pytest.raises(NotFoundError):
        await client.crons.update(made["cron_id"], enabled=False)
    assert (await http.get(f"/runs/crons/{made['cron_id']}")).status_code == 404


async def test_what_means_nothing_is_refused(client: LangGraphClient) -> None:
    """A schedule, a zone, an assistant or a thread that is not there is refused when the cron is made."""
    with pytest.raises(UnprocessableEntityError):
        await client.crons.create("echo", schedule="nonsense", input={})
    with pytest.raises(UnprocessableEntityError):
        await client.crons.create("echo", schedule=NEVER, input={}, timezone="nonsense")
    with pytest.raises(NotFoundError):
        await client.crons.create("nonsense", schedule=NEVER, input={})
    with pytest.raises(NotFoundError):
        await client.crons.create_for_thread(str(uuid4()), "echo", schedule=NEVER, input={})


async def test_a_change_says_something(client: LangGraphClient, http: httpx.AsyncClient) -> None:
    """A change that changes nothing is a bad request."""
    made: Any = await client.crons.create("echo", schedule=NEVER, input={})

    answer = await http.patch(f"/runs/crons/{made['cron_id']}", json={})

    assert answer.status_code == 400


def test_the_synchronous_client_has_crons(sync_client: SyncLangGraphClient) -> None:
    """The synchronous client makes, changes, finds, counts and deletes crons."""
    made: Any = sync_client.crons.create("nested", schedule=NEVER, input={})

    sync_client.crons.update(made["cron_id"], enabled=False)

    assert [each["enabled"] for each in sync_client.crons.search(assistant_id="nested")] == [False]
    assert sync_client.crons.count(assistant_id="nested") == 1
    sync_client.crons.delete(made["cron_id"])
    assert sync_client.crons.count(assistant_id="nested") == 0


async def _runs(client: LangGraphClient, thread_id: str, count: int) -> list[Any]:
    """Wait until a thread has so many runs."""
    async with asyncio.timeout(30):
        while len(found := await client.runs.list(thread_id, limit=100)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # a cron tells nobody
    return list(found)
