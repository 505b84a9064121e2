"""How long threads are kept that say nothing of it: as langgraph.json's `checkpointer.ttl` has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

import interlock
from interlock import Interlock
from interlock.postgres.thread_cards import Ttl, Wanted
from interlock.threads import Expired

SAMPLE = Path(__file__).parents[1] / "server" / "sample" / "graphs.py"

DAY = 24 * 60


def config_in(folder: Path, **ttl: Any) -> Path:
    """Write an application that says how long threads are kept."""
    (folder / "graphs.py").write_text(SAMPLE.read_text())
    graphs = {name: f"./graphs.py:{name}" for name in ("echo", "steps", "asks")}
    path = folder / "langgraph.json"
    path.write_text(json.dumps({"graphs": graphs, "checkpointer": {"ttl": ttl}}))
    return path


def age(database: str, thread_id: str, minutes: float) -> None:
    """Let all that happened on a thread have happened some minutes earlier."""
    with psycopg.connect(database) as connection:
        for table in ("threads set updated_at = updated_at", "runs set finished_at = finished_at"):
            connection.execute(
                f"update interlock.{table} - %s * interval '1 minute' where thread_id = %s",
                (minutes, thread_id),
            )
        connection.execute(
            "update interlock.runs set created_at = created_at - %s * interval '1 minute'"
            " where thread_id = %s",
            (minutes, thread_id),
        )


async def kept(il: Interlock, *threads: str) -> list[str]:
    """Return those of some threads that are there."""
    found = {each.thread_id for each in await il.asearch_threads(Wanted(ids=threads))}
    return [each for each in threads if each in found]


async def test_threads_are_deleted(database_url: str, tmp_path: Path) -> None:
    """A client's thread goes once nothing happened on it for so long; others have another time, or none."""
    config = config_in(tmp_path, default_ttl=DAY)
    async with interlock.aopen(database_url, config=config) as il:
        for name in ("old", "used", "waits", "own"):
            ttl = Ttl(minutes=10 * DAY) if name == "own" else None
            await il.acreate_thread(name, metadata={"by": "a client"}, ttl=ttl, graph="echo")
            age(database_url, name, 2 * DAY)
        await il.ainvoke("echo", {"said": "x"}, thread_id="used")
        await il.ainvoke("asks", {"topic": "x"}, thread_id="waits")
        age(database_url, "waits", 2 * DAY)
        await il.ainvoke("echo", {"said": "x"}, thread_id="elsewhere")
        age(database_url, "elsewhere", 2 * DAY)

        done = await il.aexpire_threads()

        assert done == Expired(deleted=1)
        names = ("old", "used", "waits", "own", "elsewhere")
        assert await kept(il, *names) == ["used", "waits", "own", "elsewhere"]


async def test_it_looks_once_in_a_while(database_url: str, tmp_path: Path) -> None:
    """It looks again after the interval, and at no more threads than the limit."""
    config = config_in(tmp_path, default_ttl=DAY, sweep_interval_minutes=60, sweep_limit=2)
    async with interlock.aopen(database_url, config=config) as il:
        for number in range(3):
            await il.acreate_thread(f"t{number}", metadata={"by": "a client"})
            age(database_url, f"t{number}", 2 * DAY)

        done = [await il.aexpire_threads(), await il.aexpire_threads()]

        assert done == [Expired(deleted=2), Expired()]


async def test_threads_are_folded(database_url: str, tmp_path: Path) -> None:
    """`keep_latest` folds a thread to what it is now, and again when so much time has passed."""
    config = config_in(tmp_path, default_ttl=DAY, strategy="keep_latest")
    async with interlock.aopen(database_url, config=config) as il:
        await il.acreate_thread("t", metadata={"by": "a client"})
        await il.ainvoke("steps", {"count": 5}, thread_id="t")
        age(database_url, "t", 2 * DAY)

        done = await il.aexpire_threads()

        assert done == Expired(pruned=1)
        assert [each.values["done"] for each in await il.astates("t")][:1] == [[0, 1, 2, 3, 4]]
        assert len(await il.astates("t")) == 2  # of seven: where it began, and the latest
        card = await il.athread("t")
        assert card.ttl == Ttl(minutes=DAY, strategy="keep_latest")
