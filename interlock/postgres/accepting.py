"""Accepts a run in one statement where nothing stands in its way; otherwise as `RunStore.add` does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from interlock.core.blobs import named_in
from interlock.core.lineage import Lineage
from interlock.core.queueing import Options
from interlock.core.runs import Run
from interlock.postgres.plain import clean, jsonb, plain
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.runs import OF_THE_RUN, NewRun, RunStore, StoredRun

SQL = load("accepting")


async def accept(
    pool: Pool, store: RunStore, new: NewRun, options: Options | None, *, enqueue: bool
) -> StoredRun:
    """Accept a run, and return it as it is executed; raises as `RunStore.add`."""
    if _is_plain(new, options):
        async with connected(pool) as connection:
            if (stored := await _at_once(connection, store, new, options, enqueue)) is not None:
                return stored
    return await store.stored(await store.add(new, options, enqueue=enqueue))


def _is_plain(new: NewRun, options: Options | None) -> bool:
    """Say whether a run begins anew, now, under no name of its caller's, with nothing to note beside it."""
    if new.kind != "invoke" or new.goes_on or new.parent is not None or named_in(new.input):
        return False
    return options is None or not (options.idempotency_key or options.start_at or options.deadline)


async def _at_once(
    connection: Connection, store: RunStore, new: NewRun, options: Options | None, enqueue: bool
) -> StoredRun | None:
    packed, context = store.dumped(new.input), plain(new.context)
    asked = options or Options()
    values = {
        "run_id": new.run_id,
        "thread_id": new.thread_id,
        "graph": new.graph,
        "title": "" if store.encrypts else clean(new.title[:200]),
        "thread_context": Jsonb({key: context[key] for key in context if key not in OF_THE_RUN}),
        "context": Jsonb(context),
        "input_type": packed[0],
        "input": packed[1],
        "schema_version": new.schema_version,
        "multitask_strategy": options.multitask_strategy if options else None,
        "priority": asked.priority,
        "card": jsonb(asdict(asked.card)) if asked.card else None,
        "replaces_questions": asked.replaces_questions,
        "enqueue": enqueue,
    }
    rows = await fetch(connection, SQL["accept"], values)
    return _stored(new, packed, context, rows[0]) if rows else None


def _stored(
    new: NewRun,
    packed: tuple[str, bytes],
    context: dict[str, Any],  # JSON
    row: dict[str, Any],  # SQL values
) -> StoredRun:
    run = Run(
        run_id=new.run_id,
        thread_id=new.thread_id,
        graph=new.graph,
        kind=new.kind,
        status="queued",
        model=str(context.get("model", "")),
        attempts=0,
        created_at=row["created_at"],
    )
    return StoredRun(
        run=run,
        context=context,
        packed=packed,
        lineage=Lineage.from_json(row["lineage"]),
        chain=(new.run_id,),
        schema_version=new.schema_version,
    )
