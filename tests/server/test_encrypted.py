"""What stands in the database in the clear although there is a key, and nothing beside it."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.server.conftest import serving

SECRET = "Zanzibar-7731"

PLAIN = {
    # questions with what they show, and answers
    *("questions.payload", "questions.answer", "runs.answers"),
    # what went wrong
    *("runs.error", "letters.error", "letters.traceback"),
    # metadata, which is searched, and configurations
    *("thread_cards.metadata", "run_cards.metadata", "run_cards.kwargs", "runs.context"),
    "crons.context",
    *("checkpoints.metadata", "assistants.metadata", "assistant_versions.metadata"),
    # what came of a run
    *("outcomes.note", "outcomes.detail"),
}
"""Documented in docs/upgrading.md, "Encryption at rest": columns that people, rules or searches look at."""


@pytest.fixture(scope="module")
def sealed(server_database: str) -> Iterator[str]:
    """The address of a server with a key for what it stores."""
    key = {"INTERLOCK_ENCRYPTION_KEY": b64encode(secrets.token_bytes(32)).decode()}
    with serving(server_database, environment=key) as address:
        yield address


def fill(server: str) -> None:
    """Say a secret wherever a client can say one."""
    with httpx.Client(base_url=server, timeout=60) as http:

        def post(path: str, **body: object) -> dict[str, object]:
            answer = http.post(path, json=body)
            assert answer.is_success, (path, answer.text)
            return dict(answer.json()) if answer.text.startswith("{") else {}

        thread = post("/threads", metadata={"note": SECRET})["thread_id"]
        run = {"assistant_id": "echo", "input": {"said": SECRET}}
        post(f"/threads/{thread}/runs/wait", metadata={"note": SECRET}, **run)
        post("/outcomes", name=thread, met=True, note=SECRET, detail={"why": SECRET})
        post("/assistants", graph_id="echo", metadata={"note": SECRET}, name="one")
        http.post(f"/threads/{thread}/runs/stream", json={**run, "stream_resumable": True})
        post(f"/threads/{thread}/state", values={"said": SECRET})
        asking = post("/threads")["thread_id"]
        post(f"/threads/{asking}/runs/wait", assistant_id="asks", input={"topic": SECRET})
        post(f"/threads/{asking}/runs/wait", assistant_id="asks", command={"resume": SECRET})
        failing = post("/threads")["thread_id"]
        http.post(
            f"/threads/{failing}/runs/wait",
            json={"assistant_id": "fails", "input": {"said": SECRET}},
        )
        noted = {**run, "metadata": {"note": SECRET}}
        post(f"/threads/{thread}/runs/crons", schedule="0 0 1 1 *", **noted)
        http.put("/store/items", json={"namespace": ["a"], "key": "b", "value": {"text": SECRET}})


def test_nothing_else_is_plain(sealed: str, server_database: str) -> None:
    """After a secret was said everywhere, only the columns that are documented have it in the clear."""
    fill(sealed)

    assert plain_columns(server_database) == PLAIN


def plain_columns(database: str) -> set[str]:
    """Return the columns of all tables that have the secret in the clear, as text or bytes."""
    found = set()
    with psycopg.connect(database) as connection:
        columns = connection.execute(
            "select table_schema, table_name, column_name, data_type from information_schema.columns"
            " where table_schema in ('interlock', 'public')"
        ).fetchall()
        for schema, table, column, kind in columns:
            name = sql.Identifier(column)
            told = sql.SQL("encode({}, 'escape')" if kind == "bytea" else "{}::text").format(name)
            query = sql.SQL("select count(*) from {} where {} like {}").format(
                sql.Identifier(schema, table), told, sql.Literal(f"%{SECRET}%")
            )
            if connection.execute(query).fetchone() != (0,):
                found.add(f"{table}.{column}")
    return found


def test_a_server_without_the_key(server_database: str) -> None:
    """What it cannot open is its own fault: it says what to do, and its log does, and neither tells a secret."""
    keys = [b64encode(secrets.token_bytes(32)).decode() for _ in range(2)]
    item = {"namespace": ["locked"], "key": "b", "value": {"text": SECRET}}
    with serving(server_database, environment={"INTERLOCK_ENCRYPTION_KEY": keys[0]}) as address:
        assert httpx.put(f"{address}/store/items", json=item).status_code == 204
    said: list[str] = []
    with serving(
        server_database, environment={"INTERLOCK_ENCRYPTION_KEY": keys[1]}, said=said
    ) as address:
        asked = {"namespace": "locked", "key": "b"}
        one = httpx.get(f"{address}/store/items", params=asked)
        many = httpx.post(f"{address}/store/items/search", json={"namespace_prefix": ["locked"]})

    noted = [line for line in said if "key.missing" in line]
    assert len(noted) == 2
    for answer, line in zip((one, many), noted, strict=True):
        assert answer.status_code == 500
        assert (
            "Add it to INTERLOCK_ENCRYPTION_KEY behind the present one" in answer.json()["detail"]
        )
        assert answer.headers["x-request-id"] in line
        assert "Add it to INTERLOCK_ENCRYPTION_KEY" in line
    told = one.text + many.text + "".join(said)
    assert not any(each in told for each in (SECRET, *keys))
