"""What must be true when all is over, whatever has befallen the workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from interlock import Interlock
from tests.chaos import client, recorder
from tests.chaos.steps import Begun, read

ACTING = (3, 5, 8, 10, 12)
EXPECTED = [
    "1: 499500",
    "2: thought about /2",
    "3: /3 no. 1",
    "4: thought about /4",
    "5: /5 no. 1",
    "6: blocked",
    "7: thought about /7",
    "8: /8 no. 1",
    "9: thought about /9",
    "10: /10 no. 1",
    "11: 60494500",
    "12: /12 no. 1",
]
"""What each run brings when nothing befalls it."""

SAVED: LiteralString = """
    select thread_id, (metadata ->> 'step')::int as step,
        extract(epoch from pg_xact_commit_timestamp(xmin))::float8 as at
    from checkpoints where checkpoint_ns = ''
    union all
    select w.thread_id, (c.metadata ->> 'step')::int + 1,
        extract(epoch from pg_xact_commit_timestamp(w.xmin))::float8
    from checkpoint_writes w join checkpoints c using (thread_id, checkpoint_ns, checkpoint_id)
    where w.checkpoint_ns = '' and w.channel = 'steps'
"""
"""When each step was saved: with its checkpoint, or before that as what its task wrote."""

FORKED: LiteralString = """
    select thread_id, parent_checkpoint_id, count(*) from checkpoints
    where checkpoint_ns = '' and parent_checkpoint_id is not null
    group by 1, 2 having count(*) > 1
"""
LEFT: Mapping[str, LiteralString] = {
    "a run that is not over": """
        select r.run_id, r.status, r.error from interlock.runs r
        where r.status <> 'succeeded' and not exists (
            select from interlock.runs l where l.thread_id = r.thread_id and l.number > r.number
        )
    """,
    "a row in the queue": "select * from interlock.queue",
    "a worker": "select * from interlock.workers",
    "an order to stop": "select * from interlock.stop_orders",
    "a lock": """
        select l.* from pg_locks l
        where l.locktype = 'advisory' and l.database = (
            select oid from pg_database where datname = current_database()
        )
    """,
    "an act in doubt": "select key, action, status from interlock.effects where status <> 'done'",
    "a run without its event": """
        select run_id from interlock.runs r where r.status = 'succeeded' and 1 <> (
            select count(*) from interlock.run_events e
            where e.run_id = r.run_id and e.kind = 'succeeded'
        )
    """,
}


HELD: LiteralString = """
    select r.thread_id, e.kind, e.worker_id, extract(epoch from e.at)::float8 as at
    from interlock.run_events e join interlock.runs r using (run_id)
    where e.kind in ('claimed', 'lost', 'released', 'retried') order by e.id
"""
"""When each run came into whose hands, and out of them."""

Claim = tuple[str, str]
"""A run's name, and the worker that had claimed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """Everything that went wrong, empty when nothing did.

    Attributes:
        strays: how many steps were begun by who had lost the run; what it does then must not count, and does not.
    """

    outcomes: Sequence[str]
    effects: Sequence[str]
    again: Sequence[str]
    writers: Sequence[str]
    left: Sequence[str]
    strays: int

    @property
    def wrong(self) -> list[str]:
        """All of it."""
        return [*self.outcomes, *self.effects, *self.again, *self.writers, *self.left]


async def outcomes(il: Interlock, names: Iterable[str]) -> list[str]:
    """Return which runs did not end as they should."""
    found = []
    for name in names:
        run = await il.arun(name)
        steps = (run.output or {}).get("steps")
        if run.status != "succeeded" or steps != EXPECTED:
            found.append(f"{name} is {run.status} ({run.error}) with {steps}")
    return found


def effects(names: Iterable[str], address: str) -> list[str]:
    """Return which effects are there too often, or not at all."""
    client.ask({"sync": True}, address)
    book = recorder.read(Path(f"{address}.book"))
    found = Counter(each.name for each in book if each.effect)
    expected = Counter(f"{name}/{step}" for name in names for step in ACTING)
    return [f"{item} too often" for item in found - expected] + [
        f"{item} too seldom" for item in expected - found
    ]


def again(begun: Sequence[Begun], saved: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which steps began although they had been saved, or although a later one had begun."""
    first: dict[tuple[str, int], float] = {}
    for row in saved:
        key = (row["thread_id"], row["step"])
        first[key] = min(row["at"], first.get(key, row["at"]))
    furthest: dict[str, int] = defaultdict(int)
    found = []
    for each in begun:
        if (at := first.get((each.name, each.step))) is not None and at < each.at:
            found.append(f"{each} {each.at - at:.3f} s after it was saved")
        if each.step < furthest[each.name]:
            found.append(f"{each} after step {furthest[each.name]} had begun")
        furthest[each.name] = max(each.step, furthest[each.name])
    return found


def went_on(strays: Mapping[Claim, Sequence[Begun]]) -> list[str]:
    """Return who went on with a run that it had lost: it may begin the step at which it stood still."""
    return [f"{begun} without a lease" for begun in strays.values() if len(begun) > 1]


def parted(
    begun: Sequence[Begun], told: Sequence[Mapping[str, Any]], pids: Mapping[str, int]
) -> tuple[list[Begun], dict[Claim, list[Begun]]]:
    """Part the steps that were begun by who had the run from those that were begun by who had lost it."""
    own: list[Begun] = []
    strays: dict[Claim, list[Begun]] = defaultdict(list)
    events: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in told:
        events[event["thread_id"]].append(event)
    for each in begun:
        before = [e for e in events[each.name] if e["at"] <= each.at]
        if before[-1]["kind"] == "claimed" and pids[before[-1]["worker_id"]] == each.pid:
            own.append(each)
        else:
            ours = [
                e for e in before if e["kind"] == "claimed" and pids[e["worker_id"]] == each.pid
            ]
            strays[each.name, ours[-1]["worker_id"]].append(each)
    return own, strays


def rows(url: str, query: LiteralString) -> list[dict[str, Any]]:
    """Ask the database."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()


def left_over(url: str) -> list[str]:
    """Return what the workers have left behind although they have ended."""
    return [f"{what}: {row}" for what, query in LEFT.items() for row in rows(url, query)]


def aftermath(
    url: str,
    folder: Path,
    address: str,
    names: Sequence[str],
    *,
    ended: Sequence[str],
    pids: Mapping[str, int],
) -> Aftermath:
    """Look at everything; `ended` says how runs ended that did not as they should, `pids` who each worker was."""
    own, strays = parted(read(folder), rows(url, HELD), pids)
    return Aftermath(
        outcomes=ended,
        effects=effects(names, address),
        again=[*again(own, rows(url, SAVED)), *went_on(strays)],
        writers=[f"two went on from one step: {row}" for row in rows(url, FORKED)],
        left=left_over(url),
        strays=sum(map(len, strays.values())),
    )
