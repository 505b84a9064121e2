"""What the ledger looks at before an act: nothing that grows with what other threads did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from interlock.core.ledger import Entry
from interlock.core.site import Asked
from interlock.postgres.ledger import SQL, _values
from tests.ledgers import intention, world

OTHERS = """
insert into interlock.effects (key, thread_id, node, task, action, arguments, status)
select 'key ' || n, 'thread ' || mod(n, 3), 'node', 'task ' || n, %(action)s, '{}', 'done'
from generate_series(1, 3000) as n
"""
READ = """
select seq_tup_read + idx_tup_fetch as read from pg_stat_xact_user_tables
where schemaname = 'interlock' and relname = 'effects'
"""
BRANCHES = """
insert into interlock.threads (thread_id, graph, parent_thread_id)
values (%(thread)s, 'graph', null), ('fork', 'graph', %(thread)s)
"""


@pytest.mark.parametrize("forked", [False, True])
async def test_an_act_that_cannot_be_undone_reads_none_of_the_effects_of_other_threads(
    database_url: str, forked: bool
) -> None:
    """Three thousand equal acts stand on three other threads: not one of them is read, with branches or without."""
    wants = intention(reversible=False)
    values = _values(wants) | {"approval": None, "owner": "", "worker": "", "earlier": []}
    async with await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, row_factory=dict_row
    ) as connection:
        await connection.execute(OTHERS, {"action": wants.action})
        await connection.execute("analyze interlock.effects")
        if forked:
            await connection.execute(BRANCHES, {"thread": wants.site.thread_id})
        async with connection.transaction():
            begun = await (await connection.execute(SQL["begin"], values)).fetchall()
            read = await (await connection.execute(READ)).fetchone()

    assert begun == [{"attempt": 1}]
    assert read == {"read": 0}


async def test_each_act_is_two_statements_also_the_first_of_its_kind(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What attempts before it left is looked for where the intention is written; the acts after it know that."""
    asked, said = Asked(), list[str]()
    execute = psycopg.AsyncCursor.execute

    async def noting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        said.append(next(name for name, each in SQL.items() if each == text))
        return await execute(self, query, *args, **kwargs)

    async with world(database_url) as there:
        process = await there.process()
        assert process.locks is not None
        await process.locks.owner()
        with monkeypatch.context() as within:
            within.setattr(psycopg.AsyncCursor, "execute", noting)
            for key in ("first", "second"):
                asked.keys.add(key)
                wants = replace(intention(key, to=key), asked=asked)
                assert await process.ledger.begin(wants, permitted=True) == Entry(
                    standing="new", key=key, attempt=1
                )
                await process.ledger.finish(key, 1, "done")

    assert said == ["begin_first", "finish", "begin", "finish"]


async def test_what_is_asked_for_while_the_intention_is_on_its_way_does_not_stand_against_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch of the same attempt that asked later and was faster is no earlier attempt."""
    asked = Asked(keys={"slow"})
    async with world(database_url) as there:
        process = await there.process()
        slow = replace(intention("slow", to="ann"), asked=asked)
        fetch = process.ledger._fetch  # type: ignore[attr-defined]  # it is the one in Postgres

        async def later(statement: str, values: dict[str, Any]) -> Any:
            if statement == "begin_first" and values["key"] == "slow":
                asked.keys.add("fast")
                fast = replace(intention("fast", to="bob"), asked=asked)
                assert (await process.ledger.begin(fast, permitted=True)).standing == "new"
            return await fetch(statement, values)

        monkeypatch.setattr(process.ledger, "_fetch", later)
        entry = await process.ledger.begin(slow, permitted=True)

    assert entry == Entry(standing="new", key="slow", attempt=1)
