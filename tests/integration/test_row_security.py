"""Tenants see their own rows, of every table: through the runtime, and in a session of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from interlock.app import abeside, aopen
from interlock.core.runs import Run
from interlock.errors import DatabaseUnavailable, Forbidden, NotFound, UsageError
from interlock.facade import Interlock
from interlock.postgres.pool import open_pool
from interlock.postgres.tenants import TenantStore, check_role, seen_by
from interlock.server.callers import Caller
from interlock.server.tenancy import Tenancy
from interlock.settings import Settings

SAMPLE = Path(__file__).parents[1] / "server" / "sample" / "langgraph.json"

ACME = Caller(identity="ann", roles=("admin",), tenant="acme")
BOLT = Caller(identity="bob", roles=("admin",), tenant="bolt.io")


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    """A runtime with two tenants."""
    async with aopen(settings=Settings(database_url=database_url, config=SAMPLE)) as il:
        for name in ("acme", "bolt.io"):
            await TenantStore(il.pool).add(name, by="tests")
        yield il


@pytest.fixture
async def tenancy(il: Interlock) -> AsyncIterator[Tenancy]:
    """The views of its tenants."""
    tenancy = Tenancy(il)
    yield tenancy
    await tenancy.aclose()


@contextmanager
def session(il: Interlock, url: str, tenant: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """Give a tenant's own session of the database."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        found = connection.execute(
            "select role_name from interlock.tenants where tenant = %s", (tenant,)
        ).fetchone()
        assert found is not None
        connection.execute(f"set role {found['role_name']}")
        yield connection


def tables(sql: psycopg.Connection[dict[str, Any]]) -> list[str]:
    """Return all tables that the catalogue has beside Postgres's own."""
    rows = sql.execute(
        """
        select format('%I.%I', n.nspname, c.relname) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%' order by 1
        """
    ).fetchall()
    return [row["name"] for row in rows]


async def works(tenancy: Tenancy, caller: Caller, graph: str = "asks") -> Run:
    """Let a caller's tenant run something that leaves rows in many tables."""
    _, il = await tenancy.views(caller)
    return await il.ainvoke(graph, {"topic": f"secrets of {caller.tenant}" * 2000})


async def test_a_tenant_reads_what_is_theirs(tenancy: Tenancy) -> None:
    """A tenant's reader finds its own threads, states, questions and histories, and nobody else's."""
    ours, theirs = await works(tenancy, ACME), await works(tenancy, BOLT)
    reader, _ = await tenancy.views(ACME)

    assert [each.thread_id for each in await reader.athreads()] == [ours.thread_id]
    assert (await reader.arun(ours.thread_id)).interrupts[0].payload == {
        "question": f"What of {'secrets of acme' * 2000}?"
    }
    assert len(await reader.ahistory(ours.thread_id)) == 2
    for look in (reader.arun, reader.ahistory, reader.aquestions, reader.await_run):
        with pytest.raises(NotFound):
            await look(theirs.thread_id)


async def test_whoever_has_no_tenant_reads_all(tenancy: Tenancy) -> None:
    """A caller without a tenant reads everybody's threads."""
    ours, theirs = await works(tenancy, ACME), await works(tenancy, BOLT)
    reader, _ = await tenancy.views(Caller(identity="root", roles=("admin",)))

    found = {each.thread_id for each in await reader.athreads()}

    assert found == {ours.thread_id, theirs.thread_id}


async def test_a_session_of_their_own_sees_no_foreign_row(
    il: Interlock, tenancy: Tenancy, database_url: str
) -> None:
    """In SQL under its role a tenant sees nothing in any table that tells of another one."""
    await works(tenancy, BOLT)
    with session(il, database_url, "acme") as sql:
        for table in tables(sql):
            try:
                rows = sql.execute(f"select * from {table}").fetchall()
            except psycopg.errors.InsufficientPrivilege:
                assert table in ("interlock.keys", "interlock.sessions")
                continue
            assert "bolt" not in repr(rows), table
            if table in OF_A_RUN:
                assert rows == [], table


async def test_the_other_sees_those_rows(
    il: Interlock, tenancy: Tenancy, database_url: str
) -> None:
    """The tables in which the one sees nothing hold rows, and the other sees them."""
    await works(tenancy, BOLT)
    with session(il, database_url, "bolt.io") as sql:
        counts = {each: len(sql.execute(f"select * from {each}").fetchall()) for each in OF_A_RUN}

    assert [table for table, count in counts.items() if not count] == []


OF_A_RUN = (
    "interlock.threads",
    "interlock.runs",
    "interlock.questions",
    "interlock.run_events",
    "interlock.budgets",
    "public.checkpoints",
    "public.checkpoint_blobs",
    "public.checkpoint_writes",
    "public.checkpoint_content",
    "public.checkpoint_references",
)
"""Tables in which the run of a test leaves rows."""


async def test_a_tenant_writes_nothing(il: Interlock, tenancy: Tenancy, database_url: str) -> None:
    """Under its role a tenant can change and remove no row, not even its own."""
    await works(tenancy, ACME)
    with session(il, database_url, "acme") as sql:
        for table in tables(sql):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sql.execute(f"delete from {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("update interlock.threads set title = 'mine'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("select interlock.note_audit('{}')")


async def test_a_reader_cannot_leave_its_role(tenancy: Tenancy) -> None:
    """A reader's session that gives its role back has the same one, and cannot begin to write."""
    reader, _ = await tenancy.views(ACME)
    async with reader.pool.connection() as connection:
        await connection.execute("reset role")
        cursor = await connection.execute("select current_user::text as role")
        row = await cursor.fetchone()
        assert row is not None
        assert row["role"].startswith("interlock_tenant_acme_")


async def test_every_table_has_a_policy(il: Interlock, database_url: str) -> None:
    """No table is forgotten: each has row-level security with the tenants' policy."""
    with psycopg.connect(database_url) as sql:
        bare = sql.execute(
            """
            select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
                and n.nspname not like 'pg\\_%'
                and not (c.relrowsecurity and exists (
                    select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenants' and not p.polpermissive
                ))
            """
        ).fetchall()

    assert bare == []


async def test_every_rule_was_thought_of(il: Interlock, database_url: str) -> None:
    """A table of which tenants see nothing is named here, so that one is not closed by an oversight."""
    with psycopg.connect(database_url) as sql:
        rules = sql.execute(
            "select table_name, interlock.rule_of(relation) from interlock.guarded_tables()"
        ).fetchall()

    assert {table for table, rule in rules if rule in ("false", "closed")} == {
        *("answers", "collection_documents", "collection_lexemes", "collections", "documents"),
        *("files", "passage_vectors", "passages"),  # what all applications read
        *("blob_uploads", "judgements", "standings"),
        *("rate_calls", "rate_limits", "rates", "workers", "keys", "sessions"),
    }


async def test_a_new_table_is_parted(il: Interlock, database_url: str) -> None:
    """A table that was made since is out of reach until tenants are parted on it, and then goes by its column."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("create table interlock.later (tenant text not null, what text not null)")
        owner.execute("insert into interlock.later values ('acme', 'ours'), ('bolt.io', 'theirs')")
    with session(il, database_url, "acme") as sql:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("select * from interlock.later")

        parted = await TenantStore(il.pool).part()

        assert parted == ["later"]
        assert sql.execute("select what from interlock.later").fetchall() == [{"what": "ours"}]
    assert await TenantStore(il.pool).part() == []


async def test_a_run_on_a_foreign_thread(tenancy: Tenancy) -> None:
    """Whatever a route forgets, no run on behalf of one tenant begins on another one's thread."""
    theirs = await works(tenancy, BOLT, "echo")
    _, ours = await tenancy.views(ACME)

    with pytest.raises(NotFound, match="There is no thread"):
        await ours.ainvoke("echo", {"said": "mine now"}, thread_id=theirs.thread_id)


async def test_an_unknown_tenant(tenancy: Tenancy) -> None:
    """A caller of a tenant that nobody added is refused."""
    with pytest.raises(Forbidden, match="There is no tenant 'nobody'"):
        await tenancy.views(Caller(identity="x", tenant="nobody"))


async def test_a_removed_tenant(il: Interlock, database_url: str) -> None:
    """A tenant that was removed has no role any more, and can come back to its rows."""
    tenancy = Tenancy(il)
    ours = await works(tenancy, ACME, "echo")
    await tenancy.aclose()
    gone = await TenantStore(il.pool).remove("acme")

    with pytest.raises(Forbidden):
        await tenancy.views(ACME)
    with psycopg.connect(database_url) as sql:
        found = sql.execute("select from pg_roles where rolname = %s", (gone.role,)).fetchall()
    assert found == []

    await TenantStore(il.pool).add("acme")
    reader, _ = await tenancy.views(ACME)
    assert (await reader.arun(ours.thread_id)).status == "succeeded"
    await tenancy.aclose()


async def test_sessions_of_another_role_are_not_used(il: Interlock, database_url: str) -> None:
    """Where a pooler drops the role that an address asks for, nothing is read."""
    acme = await TenantStore(il.pool).tenant("acme")
    async with open_pool(database_url, size=1) as pool:
        with pytest.raises(DatabaseUnavailable, match="would see everybody's rows"):
            await check_role(pool, acme)


async def test_two_schemas_do_not_clash(il: Interlock, database_url: str) -> None:
    """A tenant of one schema sees nothing of its namesake in another."""
    other = Settings(database_url=database_url, config=SAMPLE, schema="second")
    async with aopen(settings=other) as second:
        theirs = await TenantStore(second.pool).add("acme")
        ours = await TenantStore(il.pool).tenant("acme")
        assert theirs.role != ours.role

        run = await second.ainvoke("echo", {"said": "x"})
        async with abeside(second, seen_by(second.url, theirs), tenant="acme") as reader:
            assert await reader.athreads() == []
        with psycopg.connect(database_url) as sql:
            sql.execute(f"set role {ours.role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sql.execute("select * from second.threads")
        assert run.status == "succeeded"


@pytest.mark.parametrize("name", ["", "*", "a\nb", "x" * 256])
async def test_no_name(il: Interlock, name: str) -> None:
    """What is no tenant's name is refused."""
    with pytest.raises(UsageError):
        await TenantStore(il.pool).add(name)


async def test_a_role_that_may_not_make_roles(database_url: str) -> None:
    """Without the right to make roles it is told what somebody else must run; then it works."""
    owner = f"plain_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(f"create role {owner} login")
        sql.execute(f"create database {owner} owner {owner}")
    url = database_url.replace("//interlock@", f"//{owner}@")
    url = url.replace(database_url.partition("@/")[2].partition("?")[0] + "?", f"{owner}?")
    try:
        async with aopen(settings=Settings(database_url=url, config=SAMPLE)) as il:
            store = TenantStore(il.pool)
            with pytest.raises(DatabaseUnavailable, match="tenants sql acme"):
                await store.add("acme")
            script = await store.script("acme")
            with psycopg.connect(database_url, autocommit=True) as sql:
                sql.execute(script.encode())

            await store.add("acme")

            tenancy = Tenancy(il)
            ours = await works(tenancy, ACME)
            other = await il.ainvoke("echo", {"said": "nobody's"})
            reader, _ = await tenancy.views(ACME)
            assert [each.thread_id for each in await reader.athreads()] == [ours.thread_id]
            assert other.status == "succeeded"
            await tenancy.aclose()
    finally:
        with psycopg.connect(database_url, autocommit=True) as sql:
            sql.execute(f"drop database {owner} with (force)")
