r"""Made 0008.sql: run with the code of commit 6d2efc5, whose last migration is 0008, in an empty folder.

    PYTHONPATH=OLD python make_0008.py URL CONFIG
    pg_dump --inserts --no-owner --no-privileges URL | grep -v '^[\\]' > 0008.sql

The paths in the states are relative, so that a test can go on with them in a folder of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import interlock
from interlock import Approve

URL, CONFIG = sys.argv[1:3]
PAID = {"payee": "ann", "amount": 5, "ledger": "ledger.txt"}


async def main() -> None:
    async with interlock.aopen(URL, config=CONFIG) as il:
        await il.ainvoke("payment", PAID, thread_id="asks")
        asks = await il.ainvoke("payment", PAID | {"amount": 6}, thread_id="answered")
        await il.asubmit_answer("answered", Approve(asks.interrupts[0].id, by="ann"))
        asks = await il.ainvoke("payment", PAID | {"amount": 7}, thread_id="refused")
        await il.asubmit("counter", {"goal": 2, "log": "/dev/null"}, thread_id="queued")
        await il.ainvoke("foreign", {"messages": [("user", "Hello")]}, thread_id="foreign")
        await stopped(il)
        walk = {"early": "slowly", "late": "fast", "log": "journey.txt"}
        await il.ainvoke("journey", walk, thread_id="journey")
        fork = await il.asubmit_fork("journey", at=16, values={"late": "faster"})
        Path("fork.txt").write_text(fork.thread_id)


async def stopped(il: interlock.Interlock) -> None:
    given = {"desks": ["north", "south"], "log": "office.txt"}
    async for part in il.astream("office", given, thread_id="stopped", stream_mode=["updates"]):
        if part["type"] == "updates" and part["ns"]:
            il.drain()


async def die() -> None:
    """Pay, and die before it is known whether it happened."""
    async with interlock.aopen(URL, config=CONFIG) as il:
        given = PAID | {"amount": 8, "ledger": "doubtful.txt"}
        asks = await il.ainvoke("payment", given, thread_id="doubt")
        Path("doubtful.txt.trap").touch()
        await il.aresume("doubt", Approve(asks.interrupts[0].id, by="ann"))


asyncio.run(main())
if not os.fork():
    asyncio.run(die())
os.wait()
