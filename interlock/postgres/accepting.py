"""Runs on their way in, as the statement that accepts them takes them: several at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from interlock.core.blobs import named_in
from interlock.core.lineage import Lineage
from interlock.core.queueing import Options
from interlock.core.runs import Run
from interlock.postgres.checkpointer.arrays import TextArray
from interlock.postgres.plain import clean, plain
from interlock.postgres.runs import OF_THE_RUN, RunStore
from interlock.postgres.stored_runs import NewRun, StoredRun

MOST_BYTES = 8 << 20
"""How much one statement takes at most, or one run that is larger: the server ends a session that sends a gigabyte."""

Outcome = StoredRun | Literal["in the way", "unsure"]
"""What came of a run: it was accepted; something stands in its way; or the connection broke, and nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A run that is to be accepted, packed as it is stored.

    Attributes:
        said: all but its input, as JSON.
        outcome: what came of it.
    """

    new: NewRun
    context: Mapping[str, Any]  # JSON
    packed: tuple[str, bytes]
    said: str
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @classmethod
    def of(cls, store: RunStore, new: NewRun, options: Options | None, *, enqueue: bool) -> Asked:
        """Return a run as it is asked for; raises `UsageError` where its input cannot be stored."""
        context, packed = plain(new.context), store.dumped(new.input)
        its_own = {
            "title": "" if store.encrypts else clean(new.title[:200]),
            "context": context,
            "input_type": packed[0],
            "for_workers": enqueue,
        }
        said = json.dumps({**_named(new), **its_own, **_wished(options)})
        return cls(new=new, context=context, packed=packed, said=said)

    @property
    def size(self) -> int:
        """About how many bytes it is."""
        return len(self.said) + len(self.packed[1])

    def settle(self, outcome: Outcome) -> None:
        """Tell what came of it: what was told first counts, and who asked may be gone."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def accepted(self, row: DictRow) -> StoredRun:
        """Tell that it was accepted, and return it as it is executed."""
        stored = self.stored(row)
        self.settle(stored)
        return stored

    def stored(self, row: DictRow) -> StoredRun:
        """Return it as it is executed."""
        run = Run(
            run_id=self.new.run_id,
            thread_id=self.new.thread_id,
            graph=self.new.graph,
            kind=self.new.kind,
            status="queued",
            model=str(self.context.get("model", "")),
            attempts=0,
            created_at=row["created_at"],
        )
        return StoredRun(
            run=run,
            context=self.context,
            packed=self.packed,
            lineage=Lineage.from_json(row["lineage"]),
            chain=(self.new.run_id,),
            schema_version=self.new.schema_version,
        )


def is_plain(new: NewRun, options: Options | None) -> bool:
    """Say whether a run begins anew, now, under no name of its caller's, with nothing to note beside it."""
    if new.kind != "invoke" or new.goes_on or new.parent is not None or named_in(new.input):
        return False
    return options is None or not (options.idempotency_key or options.start_at or options.deadline)


def apart(waiting: list[Asked], most: int) -> tuple[list[Asked], list[Asked]]:
    """Part what waits into what goes with one statement, at most one run of each thread, and the rest."""
    now: list[Asked] = []
    later: list[Asked] = []
    seen: set[str] = set()  # threads
    size = 0
    for each in waiting:
        if each.outcome.done():  # who asked is gone, and nothing was sent yet
            continue
        fits = len(now) < most and (not now or size + each.size <= MOST_BYTES)
        if fits and each.new.thread_id not in seen:
            now.append(each)
            size += each.size
        else:
            later.append(each)
        seen.add(each.new.thread_id)
    return now, later


def news_of(asked: Iterable[Asked]) -> dict[str, Any]:  # SQL values
    """Return some runs as the statement takes them: as JSON, and their inputs joined."""
    news, inputs, at = [], [], 1
    for each in asked:
        blob = each.packed[1]
        news.append(f'{each.said[:-1]}, "input_at": {at}, "input_size": {len(blob)}}}')
        inputs.append(blob)
        at += len(blob)
    joined = Jsonb(f"[{', '.join(news)}]", dumps=str)  # it is JSON already
    return {"news": joined, "inputs": b"".join(inputs), "of_the_run": TextArray(OF_THE_RUN)}


def _named(new: NewRun) -> dict[str, Any]:  # JSON
    return {
        "run_id": new.run_id,
        "thread_id": new.thread_id,
        "graph": new.graph,
        "version": new.schema_version,
    }


def _wished(options: Options | None) -> dict[str, Any]:  # JSON
    wished = options or Options()
    only_on = wished.only_on
    known = {"metadata": only_on.metadata} if only_on and only_on.metadata is not None else {}
    return {
        **known,
        "strategy": options.multitask_strategy if options else None,
        "priority": wished.priority,
        "card": plain(wished.card.document()) if wished.card else None,
        "replaces": wished.replaces_questions,
        "must_exist": only_on is not None and only_on.must_exist,
        "tenant": only_on.tenant if only_on else None,
    }
