"""Many threads that wait for people, as rows."""

from __future__ import annotations

import psycopg

ROWS = """
with made as (
    insert into interlock.threads (thread_id, graph)
    select %(name)s || '-' || n, 'asks' from generate_series(1, %(many)s) n returning thread_id
), runs as (
    insert into interlock.runs (run_id, thread_id, graph, kind, status)
    select gen_random_uuid()::text, thread_id, 'asks', 'invoke', 'waiting' from made returning run_id, thread_id
)
insert into interlock.questions (question_id, thread_id, run_id, graph, node, interrupt_id, payload, asked_at)
select 'q-' || thread_id, thread_id, run_id, 'asks', 'ask', md5(thread_id),
    jsonb_build_object('value', 'What of ' || thread_id || '?'),
    now() + split_part(thread_id, '-', 2)::int * interval '1 millisecond'
from runs
"""


def many_questions(database: str, name: str, many: int) -> None:
    """Let threads `name-1` and on ask, one after the other; the ids of their questions are `q-name-1` and on."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(ROWS, {"name": name, "many": many})


def answered(database: str, *question_ids: str) -> None:
    """Close questions, as somebody else does meanwhile."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "update interlock.questions set status = 'answered' where question_id = any(%s)",
            [list(question_ids)],
        )
