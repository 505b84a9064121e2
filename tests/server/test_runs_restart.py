"""A server stops while a client waits: the client gets its answer from the next one."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from langgraph_sdk import get_client

from tests.server.conftest import serving


@pytest.mark.filterwarnings("default:Request failed, attempting reconnect:UserWarning")
async def test_another_server_answers(server_database: str) -> None:
    """A client whose server is stopped while it waits asks the next one, and its run was not cancelled by that."""
    port = str(_free_port())
    told = asyncio.Event()
    first = serving(server_database, "--port", port)
    address = await asyncio.to_thread(first.__enter__)
    async with get_client(url=address, api_key=None) as client:
        waiting = asyncio.create_task(
            client.runs.wait(
                None,
                "steps",
                input={"count": 30, "seconds": 0.5},
                on_disconnect="cancel",
                on_run_created=lambda _: told.set(),
            )
        )
        await asyncio.wait_for(told.wait(), 20)

        await asyncio.to_thread(first.__exit__, None, None, None)
        second = serving(server_database, "--port", port)
        await asyncio.to_thread(second.__enter__)
        output: Any = await asyncio.wait_for(waiting, 60)
        await asyncio.to_thread(second.__exit__, None, None, None)

    assert output["done"] == list(range(30))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
