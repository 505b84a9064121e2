"""Queued runs by the thousand, made by one statement of the server's own functions."""

from __future__ import annotations

from typing import Literal, LiteralString

import psycopg

Shape = Literal["one thread", "many threads", "many tenants"]
SHAPES: tuple[Shape, ...] = ("one thread", "many threads", "many tenants")
TENANTS = 1000

FILL: LiteralString = """
with runs as materialized (
    select n, %(prefix)s || '-run-' || n as run_id,
        %(prefix)s || case when %(threads)s = 1 then '' else '-' || n end as thread_id,
        jsonb_build_object(
            'tenant', case when %(tenants)s = 1 then '' else 'tenant-' || n %% %(tenants)s end
        ) as context
    from generate_series(1, %(number)s) n
), threads as (
    insert into interlock.threads (thread_id, graph) select distinct thread_id, 'three' from runs
), added as (
    insert into interlock.runs (run_id, thread_id, graph, kind, status, context)
    select run_id, thread_id, 'three', 'invoke', 'queued', context from runs order by n returning run_id
)
select count(*) from added
"""
ENQUEUE: LiteralString = """
select count(interlock.enqueue(run_id)) from (
    select run_id from interlock.runs where run_id like %(prefix)s || '-run-%%' and status = 'queued' order by number
) r
"""


async def fill(url: str, number: int, shape: Shape = "many threads", *, prefix: str = "f") -> None:
    """Queue so many runs in one transaction: of one thread, of as many threads, or of many tenants."""
    values = {
        "prefix": prefix,
        "number": number,
        "threads": 1 if shape == "one thread" else number,
        "tenants": TENANTS if shape == "many tenants" else 1,
    }
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(FILL, values)
        await connection.execute(ENQUEUE, values)


async def settle(url: str) -> None:
    """Let the server learn how its tables are, as it does of its own accord when it has been up for a while."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("vacuum analyze")
