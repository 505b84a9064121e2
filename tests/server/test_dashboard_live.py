"""What open pages of the dashboard are told while they are open, by how many connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import httpx
import psycopg
import pytest
from langgraph_sdk.client import LangGraphClient

PAGES = 40
LISTENING = """select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'interlock news'"""


@pytest.fixture
async def browser(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Something that keeps many pages open."""
    many = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server, limits=many, timeout=60) as client:
        yield client


async def test_many_open_pages_share_one_connection_that_listens(
    browser: httpx.AsyncClient, client: LangGraphClient, server_database: str
) -> None:
    """However many pages are open, one connection listens for all of them; each is told how its thread goes on."""
    threads = [await _waiting(client, topic) for topic in ("tea", "rain")]
    async with AsyncExitStack() as stack:
        pages = [
            await stack.enter_async_context(_opened(browser, threads[n % 2])) for n in range(PAGES)
        ]
        events = [_events(each) for each in pages]
        first = await asyncio.gather(*(anext(each) for each in events))
        assert {(name, data["status"]) for name, data in first} == {("happened", "waiting")}
        assert _count(server_database) == 1

        await browser.post(f"/ui/threads/{threads[0]}/cancel")
        ends = await asyncio.gather(*(_until_ended(each) for each in events[::2]))

    assert ends == ["cancelled"] * (PAGES // 2)


async def test_a_page_that_comes_back_is_told_only_what_is_new(
    browser: httpx.AsyncClient, client: LangGraphClient
) -> None:
    """A browser that lost its connection names the last event that it knows; nothing is told of that again."""
    thread = await _waiting(client, "snow")
    async with _opened(browser, thread) as page:
        mark = await _mark(page)

    async with _opened(browser, thread, {"Last-Event-ID": mark}) as page:
        events = _events(page)
        await browser.post(f"/ui/threads/{thread}/cancel")
        name, data = await anext(events)

    assert (name, data["status"]) == ("happened", "cancelled")


async def _waiting(client: LangGraphClient, topic: str) -> str:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "asks", input={"topic": topic})
    return str(thread)


def _opened(
    browser: httpx.AsyncClient, thread: str, headers: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[httpx.Response]:
    return browser.stream("GET", f"/ui/threads/{thread}/events", headers=headers)


async def _events(page: httpx.Response) -> AsyncIterator[tuple[str, dict[str, str]]]:
    name = ""
    async for line in page.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def _until_ended(events: AsyncIterator[tuple[str, dict[str, str]]]) -> str:
    status = ""
    async for name, data in events:
        if name == "ended":
            return status
        status = data["status"]
    return "cut"


async def _mark(page: httpx.Response) -> str:
    async for line in page.aiter_lines():
        if line.startswith("id: "):
            return line.removeprefix("id: ")
    return ""


def _count(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(LISTENING).fetchone()
    assert row is not None
    return int(row[0])
