"""What the ledger looks at before an act: nothing that grows with what other threads did."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import dict_row

from interlock.postgres.ledger import SQL, _values
from tests.ledgers import intention

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
