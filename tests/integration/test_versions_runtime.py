"""Threads that older code began, under newer code: read, resumed, forked, replayed, and refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock, Resume
from interlock.errors import ResumeRefused

SHOP = Path(__file__).parents[1] / "sample" / "shop"
Open = Callable[[str], AbstractAsyncContextManager[Interlock]]
OLD = {"customer": "ann", "amount": 7, "boxes": 1}


@pytest.fixture
def opened(database_url: str) -> Open:
    """Open the runtime with the code of a configuration."""

    @asynccontextmanager
    async def open_(name: str) -> AsyncIterator[Interlock]:
        async with interlock.aopen(database_url, config=SHOP / f"{name}.json") as il:
            yield il

    return open_


@pytest.fixture
def order(tmp_path: Path) -> dict[str, Any]:
    """What the first code is given."""
    return OLD | {"log": str(tmp_path / "log"), "fails": str(tmp_path / "fails")}


def ran(order: dict[str, Any]) -> list[str]:
    return Path(order["log"]).read_text().splitlines()


async def answer(il: Interlock, thread_id: str, text: str) -> interlock.Run:
    [asked] = await il.aquestions(thread_id)
    return await il.aresume(thread_id, Resume(asked.id, text))


async def fail_beside(
    order: dict[str, Any], url: str, running: asyncio.Task[Any], message: str
) -> None:
    """Let one branch fail once what the other one wrote is stored."""
    async with asyncio.timeout(30), await psycopg.AsyncConnection.connect(url) as connection:
        await connection.set_autocommit(True)
        found = None
        while found is None:
            assert not running.done()
            await asyncio.sleep(0.01)
            cursor = await connection.execute(
                "select from checkpoint_writes where channel like 'join:%%+stock:gather'"
            )
            found = await cursor.fetchone()
    Path(f"{order['fails']}.now").touch()
    with pytest.raises(RuntimeError, match=message):
        await running
    Path(order["fails"]).unlink()


async def test_a_thread_goes_on_in_renamed_nodes_with_migrated_values(
    opened: Open, order: dict[str, Any]
) -> None:
    """It waits inside a subgraph whose node was renamed, then in a node that was renamed twice; none runs again."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
    async with opened("second") as il:
        asked = await answer(il, "one", "yes")
        done = await answer(il, "one", "now")

    assert (asked.status, done.status) == ("waiting", "succeeded")
    first, *beside, gathered, closed, sent = ran(order)
    assert (first, gathered, closed, sent) == ("collect", "gather", "closed yes", "sent now")
    assert sorted(beside) == ["price", "stock"]
    assert done.output == {
        "cents": 800,
        "currency": "EUR",
        "entries": [{"text": each} for each in ("for ann", "in stock", "sent")],
        "boxes": ["box", "crate"],
        "log": order["log"],
        "fails": order["fails"],
    }


async def test_a_node_waits_under_its_old_name_until_it_is_answered(
    opened: Open, order: dict[str, Any]
) -> None:
    """The question that the old code asked stays open under the new one, and its id is the same."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
        waiting = await answer(il, "one", "yes")
    async with opened("second") as il:
        assert [each.id for each in await il.aquestions("one")] == [waiting.interrupts[0].id]
        assert (await il.acheck()).broken == ()
        done = await answer(il, "one", "now")

    assert (done.status, ran(order)[-1]) == ("succeeded", "sent now")


async def test_what_a_branch_wrote_before_the_other_failed_is_migrated(
    opened: Open, order: dict[str, Any], database_url: str
) -> None:
    """The branch that had ended is not run again, the join that waits for both is found under its new name."""
    Path(order["fails"]).touch()
    async with opened("first") as il:
        running = asyncio.create_task(il.ainvoke("order", order, thread_id="one"))
        await fail_beside(order, database_url, running, "no price today")
    async with opened("second") as il:
        run = await il.aresume("one")
        values = (await il.ahistory("one"))[-1].values

    assert (run.status, ran(order)) == ("waiting", ["collect", "stock", "quote", "gather"])
    assert (values["cents"], values["entries"]) == (
        701,
        [{"text": "for ann"}, {"text": "in stock"}],
    )


async def test_what_newer_code_wrote_at_an_old_checkpoint_is_not_migrated_again(
    opened: Open, order: dict[str, Any], database_url: str
) -> None:
    """A branch ends under the new code and the other one fails there; the next resume takes both as they are."""
    Path(order["fails"]).touch()
    Path(f"{order['fails']}.stock").touch()
    Path(f"{order['fails']}.now").touch()
    async with opened("first") as il:
        with pytest.raises(RuntimeError):
            await il.ainvoke("order", order, thread_id="one")
    Path(f"{order['fails']}.stock").unlink()
    Path(f"{order['fails']}.now").unlink()
    async with opened("second") as il:
        running = asyncio.create_task(il.aresume("one"))
        await fail_beside(order, database_url, running, "no quote today")
    async with opened("second") as il:
        run = await il.aresume("one")
        values = (await il.ahistory("one"))[-1].values

    assert (run.status, ran(order)) == ("waiting", ["collect", "stock", "quote", "gather"])
    assert (values["cents"], values["entries"]) == (701, [{"text": "for ann"}, {"text": "stocked"}])


async def test_the_next_checkpoint_is_stored_in_the_new_version(
    opened: Open, order: dict[str, Any], database_url: str
) -> None:
    """What was migrated is written back with it, whole, and nothing of the older ones is changed."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
    before = stored(database_url)
    async with opened("second") as il:
        await answer(il, "one", "yes")
    after = stored(database_url)
    async with opened("unmigrated") as il:  # which could not read an old one
        run = await il.arun("one")
        assert run.status == "waiting"
        done = await answer(il, "one", "now")

    assert {each: after[each] for each in before} == before
    assert {after[each][0] for each in after.keys() - before.keys()} == {"2", "3"}
    assert (done.output["cents"], done.output["entries"][0]) == (800, {"text": "for ann"})


async def test_the_input_of_a_run_that_never_began_is_migrated(
    opened: Open, order: dict[str, Any]
) -> None:
    """It was accepted by the old code, and the new one begins it."""
    async with opened("first") as il:
        await il.asubmit("order", order, thread_id="one")
    async with opened("second") as il:
        run = await il.aresume("one")
        values = (await il.ahistory("one"))[-1].values

    assert (run.status, values["cents"]) == ("waiting", 701)
    assert "customer" not in values


async def test_an_old_thread_is_read_forked_and_replayed(
    opened: Open, order: dict[str, Any]
) -> None:
    """Each step of the history is of the new version; a fork changes a key that the old code did not know."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
    async with opened("second") as il:
        steps = await il.ahistory("one")
        fork = await il.afork("one", at=2, values={"cents": 5, "entries": [{"text": "more"}]})
        again = await il.afork("one", at=-1, values={"cents": 10})
        replay = await il.areplay("one")
        values = (await il.ahistory(fork.thread_id))[-1].values
        anew = (await il.ahistory(again.thread_id))[-1].values

    assert [each.values.get("cents") for each in steps] == [None, 700, 700, 800, 800]
    assert steps[3].values["entries"] == [{"text": "for ann"}, {"text": "in stock"}]
    assert (values["cents"], anew["cents"]) == (5, 11)
    assert values["entries"] == [{"text": each} for each in ("for ann", "in stock", "more")]
    assert replay.divergence is None


async def test_a_migration_that_raises_refuses_the_resume_and_changes_nothing(
    opened: Open, order: dict[str, Any], database_url: str
) -> None:
    """The check lists the thread in the same words; once the migration is mended the thread goes on."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
    Path(f"{order['fails']}.migration").touch()
    before, rows = stored(database_url), run_rows(database_url)
    async with opened("second") as il:
        [asked] = await il.aquestions("one")
        with pytest.raises(ResumeRefused) as refused:
            await il.aresume("one", Resume(asked.id, "yes"))
        [broken] = (await il.acheck()).broken
        with pytest.raises(ResumeRefused, match="raised ValueError: an amount cannot be read"):
            await il.ahistory("one")
        assert (stored(database_url), run_rows(database_url)) == (before, rows)

        Path(f"{order['fails']}.migration").unlink()
        assert (await answer(il, "one", "yes")).status == "waiting"

    assert broken.problems[0].kind == "version"
    assert str(refused.value.args[0]) == f"Thread one cannot go on: {broken.problems[0].text}."


async def test_a_version_that_is_newer_than_the_code_is_refused(
    opened: Open, order: dict[str, Any]
) -> None:
    """A deployment that is rolled back leaves alone what the newer one has stored."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
    async with opened("second") as il:
        await answer(il, "one", "yes")
    async with opened("first") as il:
        [asked] = await il.aquestions("one")
        with pytest.raises(ResumeRefused, match=r"stored in version 3 .* this code has version 1"):
            await il.aresume("one", Resume(asked.id, "now"))
        assert [each.status for each in await il.aquestions("one")] == ["open"]


async def test_a_missing_migration_and_an_undeclared_name_are_refused(
    opened: Open, order: dict[str, Any]
) -> None:
    """Each is told with what to declare."""
    async with opened("first") as il:
        await il.ainvoke("order", order, thread_id="one")
        await answer(il, "one", "yes")
    async with opened("unmigrated") as il:
        [without_way] = (await il.acheck()).broken
    async with opened("renamed") as il:
        [without_name] = (await il.acheck()).broken

    assert [each.text for each in without_way.problems] == [
        "it is stored in version 1 of the state's schema, and the graph declares no migration from version 1, 2"
    ]
    assert [each.text for each in without_name.problems] == [
        "it waits in the node 'ship', which the graph no longer has"
    ]


def stored(url: str) -> dict[str, tuple[str, str, bytes]]:
    """Return what stands in each checkpoint: version, values, and what its channels refer to."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select checkpoint_id, coalesce(metadata ->> 'schema_version', '1'), checkpoint::text from checkpoints"
        ).fetchall()
    return {row[0]: (row[1], row[2], b"") for row in rows}


def run_rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select * from interlock.runs order by number").fetchall()
