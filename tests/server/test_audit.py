"""The log of who did what: what comes into it, and how it shows that it was changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import psycopg
import pytest
from click.testing import CliRunner, Result
from langgraph_sdk.client import LangGraphClient

from interlock import __version__
from interlock.cli.keys import ROLES
from interlock.cli.program import program
from interlock.postgres.audit import AuditStore, Entry, Verified, Wanted, canonical
from interlock.postgres.pool import open_pool
from interlock.remote.line import VERSION_HEADER
from interlock.server.auditing import Refusals
from interlock.server.callers import Role

THREE = ("thrown", "lifted", "answered")


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[AuditStore]:
    """A log with three rows."""
    async with open_pool(database_url, size=2) as pool:
        store = AuditStore(pool)
        for act in THREE:
            await store.note(Entry(identity="ann", act=act, subject="é✓", detail={"n": [1, 0.5]}))
        yield store


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    """A session of the database's owner, whom triggers do not stop."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection


async def test_it_is_right(log: AuditStore) -> None:
    """A log that nobody touched is right, and its last hash is the anchor."""
    rows = [row async for row in log.all()]
    found = await log.verify()

    assert found == Verified(rows=3, last=3, hash=rows[-1].hash)
    assert [row.entry.act for row in rows] == list(THREE)
    assert await log.verify(f"2:{rows[1].hash}") == found


async def test_rows_are_only_added(log: AuditStore, database_url: str) -> None:
    """Nobody changes, removes or empties it by an ordinary statement, not even its owner."""
    with psycopg.connect(database_url, autocommit=True) as sql:
        for statement in (
            "update interlock.audit set entry = '{}'",
            "delete from interlock.audit where number = 3",
            "truncate interlock.audit",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="only added"):
                sql.execute(statement)

    assert (await log.verify()).broken_at is None


async def test_a_row_is_a_line(log: AuditStore, database_url: str) -> None:
    """Whatever an identity or a subject holds, a row is one line, and commands no terminal."""
    await log.note(Entry(identity="eve\n5  ann", act="x", subject="\x1b[31m\x9b"))

    said = await asyncio.to_thread(
        CliRunner().invoke, program, ["audit", "list", "--url", database_url]
    )

    (line,) = [each for each in said.output.splitlines() if "eve" in each]
    assert "eve\\n5  ann" in line
    assert "\\x1b[31m\\x9b" in line


@pytest.mark.parametrize(
    ("statement", "broken_at", "why"),
    [
        (
            "update interlock.audit set entry = replace(entry, 'ann', 'bob') where number = 2",
            2,
            "its hash is not that of what it says",
        ),
        (
            "update interlock.audit set at = at - interval '1 microsecond' where number = 2",
            2,
            "its hash is not that of what it says",
        ),
        ("delete from interlock.audit where number = 2", 3, "what stood between is gone"),
        ("delete from interlock.audit where number = 1", 2, "what stood between is gone"),
    ],
)
async def test_tampering_shows(
    log: AuditStore, owner: psycopg.Connection, statement: str, broken_at: int, why: str
) -> None:
    """A row that was changed, moved in time, or taken out, is found."""
    owner.execute(statement.encode())

    found = await log.verify()

    assert found.broken_at == broken_at
    assert why in found.why


async def test_an_anchor_shows_more(log: AuditStore, owner: psycopg.Connection) -> None:
    """With an anchor a log that was cut off, or written anew as a whole, is found, too."""
    anchor = await log.verify()
    owner.execute("delete from interlock.audit where number = 3")
    cut = await log.verify(f"{anchor.last}:{anchor.hash}")
    assert (await log.verify()).broken_at is None
    assert (cut.broken_at, "removed at the end" in cut.why) == (3, True)

    owner.execute("delete from interlock.audit")
    for act in THREE:
        await log.note(Entry(identity="mallory", act=act))
    anew = await log.verify(f"{anchor.last}:{anchor.hash}")
    assert (await log.verify()).broken_at is None
    assert (anew.broken_at, "written anew" in anew.why) == (3, True)


async def test_many_write_at_once(database_url: str) -> None:
    """Rows of many writers stand in one line."""
    async with open_pool(database_url, size=8) as pool:
        store = AuditStore(pool)
        numbers = await asyncio.gather(
            *(store.note(Entry(identity="x", act=f"{number}")) for number in range(60))
        )

        assert sorted(numbers) == list(range(1, 61))
        assert (await store.verify()).broken_at is None


async def test_it_is_searched(log: AuditStore) -> None:
    """Rows are found by who, what and to what, the latest first, page by page."""
    found = await log.latest(Wanted(identity="ann", subject="é✓"), limit=2)
    rest = await log.latest(Wanted(identity="ann"), before=found[-1].number)

    assert [row.entry.act for row in (*found, *rest)] == ["answered", "lifted", "thrown"]
    assert await log.latest(Wanted(act="nothing")) == []


def test_what_is_hashed() -> None:
    """An entry is hashed as JSON with sorted keys, without spaces, in ASCII."""
    entry = Entry(identity="é", act="a", subject="s", detail={"b": 1, "a": [None]})

    assert canonical(entry) == (
        '{"act":"a","detail":{"a":[null],"b":1},"identity":"\\u00e9","kind":"cli","subject":"s","tenant":""}'
    )


def test_a_flood_of_refusals() -> None:
    """Of many refusals the first is written down, and then their number once a minute."""
    refusals = Refusals()

    assert [refusals.due(now) for now in (0.0, 1.0, 2.0, 59.0, 61.0, 62.0)] == [1, 0, 0, 0, 4, 0]


def test_the_server_notes(server: str, server_database: str) -> None:
    """What a caller changes is noted with who and what before it is answered; what only looks or begins work is not."""
    with httpx.Client(base_url=server) as client:
        made = client.post("/assistants", json={"graph_id": "echo", "name": "mine"}).json()
        client.post("/assistants/search", json={})
        client.post("/runs/wait", json={"assistant_id": "echo", "input": {"said": "x"}})
        client.delete(f"/assistants/{made['assistant_id']}")
        noted = client.get("/audit", params={"limit": 10}).json()

    assert [(each["act"], each["subject"]) for each in noted] == [
        ("assistant.delete", made["assistant_id"]),
        ("assistant.create", made["assistant_id"]),
    ]
    assert noted[0]["identity"] == "loopback"


def test_what_a_command_line_reads_is_not_noted(server: str) -> None:
    """A screen that asks every second fills no log; what is changed is noted once, in its own words."""
    before = _noted(server)[0]["number"]
    headers = {VERSION_HEADER: __version__}
    with httpx.Client(base_url=server, headers=headers) as client:
        for method in ("health", "rates", "graphs"):
            client.post(f"/bridge/{method}", json={}).raise_for_status()
        cron = {"name": "noted", "graph": "echo", "input": {}, "schedule": "0 0 1 1 *"}
        client.post("/bridge/cron_set", json=cron).raise_for_status()
        client.post("/bridge/cron_remove", json={"name": "noted"}).raise_for_status()

    told = [each for each in reversed(_noted(server)) if each["number"] > before]

    assert [(each["act"], each["subject"]) for each in told] == [
        ("cron.set", "noted"),
        ("cron.remove", "noted"),
    ]


async def test_the_server_notes_changes(client: LangGraphClient, server: str) -> None:
    """Each change of a thread, a run, a cron, an item or an assistant says in a word what it was, and of what."""
    before = _noted(server)[0]["number"]
    thread = (await client.threads.create(graph_id="echo"))["thread_id"]
    await client.threads.update(thread, metadata={"a": 1})
    await client.threads.update_state(thread, {"said": "x"}, as_node="__start__")
    place = (await client.threads.get_state(thread))["checkpoint"]
    async with httpx.AsyncClient(base_url=server) as http:
        copy = (await http.post(f"/threads/{thread}/copy")).json()["thread_id"]
    run = (await client.runs.create(thread, "echo", input={}, after_seconds=60))["run_id"]
    await client.runs.cancel(thread, run)
    later = (await client.runs.create(thread, "echo", input={}, after_seconds=60))["run_id"]
    await client.runs.cancel_many(thread_id=thread, run_ids=[later], action="rollback")
    await client.runs.delete(thread, run)
    made: Any = await client.crons.create("echo", schedule="0 0 1 1 *")  # typed as a run
    cron = made["cron_id"]
    await client.crons.update(cron, enabled=False)
    await client.crons.delete(cron)
    await client.store.put_item(["a", "b"], key="k", value={})
    await client.store.delete_item(["a", "b"], key="k")
    assistant = (await client.assistants.create("echo"))["assistant_id"]
    await client.assistants.update(assistant, name="other")
    await client.assistants.set_latest(assistant, 1)
    await client.threads.prune([copy], strategy="delete")
    await client.threads.delete(thread)

    told = [each for each in reversed(_noted(server)) if each["number"] > before]

    where = place["checkpoint_id"]
    assert [(each["act"], each["subject"], each["detail"]) for each in told] == [
        ("thread.update", thread, {}),
        ("thread.write", thread, {"checkpoint_id": where, "as_node": "__start__"}),
        ("thread.copy", thread, {"copy": copy}),
        ("cancel", thread, {"run": run, "how": "cancel"}),
        ("cancel", thread, {"runs": [later], "how": "rollback"}),
        ("run.delete", run, {"thread": thread}),
        ("cron.create", cron, {"schedule": "0 0 1 1 *", "thread": ""}),
        ("cron.update", cron, {"changed": ["enabled"]}),
        ("cron.delete", cron, {}),
        ("store.put", "k", {"namespace": ["a", "b"]}),
        ("store.delete", "k", {"namespace": ["a", "b"]}),
        ("assistant.create", assistant, {}),
        ("assistant.update", assistant, {"version": 2}),
        ("assistant.latest", assistant, {"version": 1}),
        ("thread.prune", "", {"threads": [copy], "strategy": "delete", "pruned": 1}),
        ("thread.delete", thread, {}),
    ]


def _noted(server: str) -> list[dict[str, Any]]:  # JSON
    noted: list[dict[str, Any]] = httpx.get(f"{server}/audit", params={"limit": 100}).json()
    return noted


def test_the_server_notes_refusals(server: str) -> None:
    """A wrong key is noted once, however often it is tried."""
    wrong = {"x-api-key": "ilk_000000000000_" + "x" * 43}
    for _ in range(5):
        assert httpx.get(f"{server}/threads/x", headers=wrong).status_code == 401

    noted = httpx.get(f"{server}/audit", params={"act": "refused"}).json()

    assert [each["detail"] for each in noted] == [{"from": "127.0.0.1", "status": 401, "times": 1}]


def interlock(database: str, *arguments: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(
        program, [*arguments, "--url", database], standalone_mode=False, catch_exceptions=False
    )


def test_the_command_line(database_url: str, tmp_path: Path) -> None:
    """Keys and tenants are made at the command line, which notes it; the log is listed, verified and exported."""
    interlock(database_url, "tenants", "add", "acme", "--by", "root")
    made = json.loads(
        interlock(
            *(database_url, "keys", "create", "ann", "--role", "viewer", "--role", "approver"),
            *("--tenant", "acme", "--expires", "90d", "--by", "root", "--json"),
        ).stdout
    )
    rotated = interlock(database_url, "keys", "rotate", "ann", "--grace", "0", "--by", "root")
    listed = json.loads(interlock(database_url, "keys", "list", "--json").stdout)["keys"]
    revoked = interlock(database_url, "keys", "revoke", listed[0]["id"], "--by", "root")
    tenants = json.loads(interlock(database_url, "tenants", "list", "--json").stdout)["tenants"]
    sql = interlock(database_url, "tenants", "sql", "bolt").stdout
    interlock(database_url, "tenants", "remove", "acme", "--by", "root")

    assert made["secret"].startswith(f"ilk_{made['key']['id']}_")
    assert made["key"]["roles"] == ["viewer", "approver"]
    assert rotated.stdout.startswith("ilk_")
    assert [(each["name"], each["tenant"], each["valid"]) for each in listed] == [
        ("ann", "acme", True)
    ]
    assert "has ended" in revoked.stdout
    assert [each["name"] for each in tenants] == ["acme"]
    assert "create role interlock_tenant_bolt_" in sql

    verdict = json.loads(interlock(database_url, "audit", "verify", "--json").stdout)
    noted = json.loads(interlock(database_url, "audit", "list", "--json").stdout)["audit"]
    exported = interlock(database_url, "audit", "export").stdout.splitlines()

    assert (verdict["rows"], verdict["right"]) == (5, True)
    assert [each["act"] for each in noted] == [
        *("tenant.remove", "key.revoke", "key.rotate", "key.create", "tenant.add"),
    ]
    assert {each["identity"] for each in noted} == {"root"}
    assert made["secret"] not in "".join(exported)
    assert json.loads(exported[0])["act"] == "tenant.add"
    anchored = interlock(database_url, "audit", "verify", "--anchor", verdict["anchor"])
    assert anchored.return_value == 0


def test_verify_fails_in_a_shell(database_url: str) -> None:
    """The exit code of `verify` is 1 when a row is wrong."""
    interlock(database_url, "tenants", "add", "acme")
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("set session_replication_role = replica")
        sql.execute('update interlock.audit set entry = \'{"identity": "nobody"}\'')

    found = interlock(database_url, "audit", "verify")

    assert found.return_value == 1
    assert "Row 1 is wrong" in found.stdout


def test_keys_of_tenants_that_are_none(database_url: str) -> None:
    """No key is made for a tenant that nobody added."""
    with pytest.raises(LookupError, match="There is no tenant 'acme'"):
        interlock(database_url, "keys", "create", "ann", "--role", "viewer", "--tenant", "acme")


def test_the_roles_are_those_of_the_server() -> None:
    """The command line offers the roles that the server knows."""
    assert get_args(Role) == ROLES


def test_a_refused_path_forges_no_row(server: str, server_database: str) -> None:
    """What somebody who is refused wrote into a path is one line of the log, and commands no terminal."""
    path = "/%1b%5b31mnowhere%0a9%20root%20did%20it"
    refused = httpx.post(f"{server}{path}", headers={"origin": "https://evil.example"})

    said = CliRunner().invoke(program, ["audit", "list", "--url", server_database])

    assert refused.status_code == 403
    (line,) = [each for each in said.output.splitlines() if "nowhere" in each]
    assert "POST /%1B%5B31mnowhere%0A9%20root%20did%20it" in line
