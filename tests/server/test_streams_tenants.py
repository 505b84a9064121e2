"""Streams of tenants: each hears its own, whoever else is there, and one connection listens for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError

from tests.server.conftest import serving
from tests.server.test_tenants import make_keys
from tests.working import rows, until

PATIENCE = 120.0
LISTENERS = "select pid from pg_stat_activity where application_name = 'interlock stream news'"


@pytest.fixture(scope="module")
def keys(server_database: str) -> dict[str, str]:
    """A key of each of two tenants, and of one who has none."""
    return asyncio.run(make_keys(server_database))


@pytest.fixture(scope="module")
def server(server_database: str, keys: dict[str, str]) -> Iterator[str]:
    """A server that takes these keys."""
    with serving(server_database) as address:
        yield address


async def test_each_hears_its_own(server: str, keys: dict[str, str], server_database: str) -> None:
    """Runs of two tenants are heard by theirs, at once; the other one is told that they are not there."""
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        acme, bolt = [
            await stack.enter_async_context(get_client(url=server, api_key=keys[name]))
            for name in ("acme", "bolt")
        ]

        async def heard(client: Any) -> list[tuple[str, Any]]:
            thread = await client.threads.create()
            stream = client.runs.stream(
                thread["thread_id"],
                "steps",
                input={"count": 4, "seconds": 0.1},
                stream_mode="custom",
            )
            parts = [(part.event, part.data) async for part in stream]
            assert len(await rows(server_database, LISTENERS)) == 1
            return [(thread["thread_id"], parts[0][1]["run_id"]), *parts[1:]]

        one, other = await asyncio.gather(heard(acme), heard(bolt))

        told = [*(("custom", {"step": number}) for number in range(4)), ("end", None)]
        assert (one[1:], other[1:]) == (told, told)
        thread_id, run_id = other[0]
        with pytest.raises(NotFoundError):
            await anext(aiter(acme.runs.join_stream(thread_id, run_id)))
        with pytest.raises(NotFoundError):
            await anext(aiter(await acme.threads.join_stream(thread_id, last_event_id="-")))
        joined = [part.event async for part in bolt.runs.join_stream(thread_id, run_id)]
        assert joined == ["metadata", *["custom"] * 4, "end"]


async def test_a_run_of_nobodys_tenant(server: str, keys: dict[str, str]) -> None:
    """Who belongs to no tenant hears of a tenant's run, and cancels it by leaving when they said so."""
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        acme, root = [
            await stack.enter_async_context(get_client(url=server, api_key=keys[name]))
            for name in ("acme", "root")
        ]
        thread_id = (await acme.threads.create())["thread_id"]
        given = {"count": 10_000, "seconds": 0.05}
        run = await acme.runs.create(thread_id, "steps", input=given, stream_mode=["custom"])
        stream = root.runs.join_stream(thread_id, run["run_id"], cancel_on_disconnect=True)
        async for part in stream:
            if part.event == "custom":
                break
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

        async def stopped() -> bool:
            return (await acme.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"

        assert await until(stopped)
