"""Whatever is submitted, claimed, ended, answered and cancelled, in any order: the line of a thread stays in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import dict_row

from interlock.core.queueing import MultitaskStrategy, Options
from interlock.core.run_states import RunStatus
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import ThreadBusy
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.pool import open_pool
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import Ending, NewRun

THREAD = "t"
ENQUEUE: MultitaskStrategy = "enqueue"
SUCCEEDED: RunStatus = "succeeded"
STRATEGIES: list[MultitaskStrategy] = [*[ENQUEUE] * 5, "reject", "interrupt", "rollback"]
ENDINGS: list[RunStatus] = [*[SUCCEEDED] * 3, "waiting", "failed", "queued", "cancelled"]
WAITS = "status = 'waiting' and run_id = interlock.last_run(thread_id)"
PRESENT = "run_id = interlock.present_run(thread_id) and status in ('queued', 'failed')"
CLAIM = """
with next as (select run_id from interlock.queue where ready and worker_id is null limit 1), begun as (
    update interlock.runs r set status = 'running', attempts = attempts + 1 from next n where r.run_id = n.run_id
    returning r.run_id
)
update interlock.queue q set worker_id = 'w' from begun b where q.run_id = b.run_id returning q.run_id
"""
"""What a worker does, without what concerns workers alone."""


class Line(RuleBasedStateMachine):
    """A thread, and what may happen to it."""

    connection: ClassVar[psycopg.Connection[dict[str, Any]]]
    runs: ClassVar[RunStore]

    @initialize()
    def begin(self) -> None:
        self.connection.execute("delete from interlock.threads")

    @rule(strategy=st.sampled_from(STRATEGIES), attended=st.sampled_from([False, False, True]))
    def submit(self, strategy: MultitaskStrategy, attended: bool) -> None:
        """Refused when something has not ended, and the strategy says so."""
        busy = bool(self.found(f"status in ('queued', 'running') or ({WAITS})"))
        try:
            options = Options(multitask_strategy=strategy)
            run_sync(self.runs.add(new_run("invoke"), options, enqueue=not attended))
        except ThreadBusy:
            assert (busy, strategy) == (True, "reject")
        else:
            assert (busy, strategy) != (True, "reject")
        if strategy in ("interrupt", "rollback") and busy:
            assert len(self.found("status = 'queued'")) == 1

    @precondition(lambda self: self.queue("ready and worker_id is null"))
    @rule()
    def claim(self) -> None:
        """The first of those who may begin: answers, then by their number."""
        line = self.queue("worker_id is null")

        [claimed] = self.rows(CLAIM)

        first = min(line, key=lambda each: (not each["resumes"], each["number"]))
        assert claimed["run_id"] == first["run_id"]

    @precondition(lambda self: self.found("status = 'running'"))
    @rule(status=st.sampled_from(ENDINGS))
    def end(self, status: RunStatus) -> None:
        """What was ordered to stop is not handed back."""
        run = self.the("status = 'running'")
        begun = replace(run, attempts=run.attempts - 1)
        requeue = status == "queued" and bool(self.queue("worker_id is not null"))
        ordered = self.rows("select kind from interlock.stop_orders")

        ending = run_sync(self.runs.end(begun, Ending(status=status, requeue=requeue)))

        stopped = ordered and (ordered[0]["kind"] == "rollback" or status in ("waiting", "queued"))
        assert ending.status == ("cancelled" if stopped else status)

    @precondition(
        lambda self: self.found(WAITS) and not self.found(BEGUN) and not self.queue("resumes")
    )
    @rule(enqueue=st.booleans())
    def answer(self, enqueue: bool) -> None:
        """It goes on before what is queued."""
        resume = replace(new_run("resume"), base_run_id=self.the(WAITS).run_id)
        run_sync(self.runs.add(resume, enqueue=enqueue))

    @precondition(lambda self: not self.queue("worker_id is not null"))
    @rule()
    def resume_here(self) -> None:
        """Somebody goes on with the thread himself."""
        present = self.found("run_id = interlock.present_run(thread_id)")
        if present and present[0]["status"] in ("queued", "failed"):
            run_sync(
                self.runs.start(self.the("run_id = interlock.present_run(thread_id)"), "here", {})
            )

    @precondition(lambda self: len(self.found("status in ('queued', 'running', 'waiting')")) > 2)
    @rule(number=st.integers(0, 30))
    def cancel(self, number: int) -> None:
        """At once, unless somebody is at work on it."""
        runs = self.found("true")
        run = runs[number % len(runs)]["run_id"]

        [row] = self.rows("select interlock.stop_run(%(run)s, 'cancel', '', '') as how", run=run)

        stands = self.found("run_id = interlock.goes_on_as(%(run)s)", run=run)[0]["status"]
        if row["how"] == "ordered":
            assert stands == "running"
        elif row["how"] == "cancelled":
            assert stands == "cancelled"

    @invariant()
    def one_at_a_time(self) -> None:
        """One run is at work, or the next one; none is the next while another is at work."""
        running = self.found("status = 'running'")
        nexts = self.queue("ready or worker_id is not null")
        assert len(running) <= 1
        assert len(nexts) <= 1
        assert not running or all(each["run_id"] == running[0]["run_id"] for each in nexts)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Where nothing is at work, is to go on, or waits, the line has somebody who is next."""
        for each in self.queue("true"):
            status = "running" if each["worker_id"] else "queued"
            assert self.found("run_id = %(run)s", run=each["run_id"])[0]["status"] == status
        resumes = self.queue("resumes")
        if self.queue("true") and not self.found(BEGUN) and (resumes or not self.found(WAITS)):
            assert self.queue("ready or worker_id is not null")

    @invariant()
    def orders_stand_for_what_runs(self) -> None:
        """And for nothing else."""
        orders = "select run_id from interlock.stop_orders"
        assert not self.found(f"status <> 'running' and run_id in ({orders})")

    def the(self, condition: str) -> Run:
        """The one run of which something is so."""
        [row] = self.found(condition)
        return run_sync(self.runs.stored(row["run_id"])).run

    def found(self, condition: str, **values: object) -> list[dict[str, Any]]:
        """The runs of which something is so."""
        return self.rows(
            f"select run_id, status from interlock.runs where {condition} order by number",
            **values,
        )

    def queue(self, condition: str) -> list[dict[str, Any]]:
        """What stands in line and of which something is so."""
        return self.rows(f"select * from interlock.queue where {condition}")

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """What a statement returns."""
        return self.connection.execute(statement.encode(), values).fetchall()


BEGUN = (
    "status = 'running' or (status = 'queued' and attempts > 0) "
    "or (status = 'queued' and kind = 'resume' and run_id not in (select run_id from interlock.queue))"
)
"""A run holds its thread that is at work, or that somebody is to go on with."""


def new_run(kind: Any) -> NewRun:
    """A run to accept."""
    return NewRun(run_id=str(uuid4()), thread_id=THREAD, graph="g", kind=kind, context={})


@pytest.fixture
def runs(database_url: str) -> Iterator[RunStore]:
    manager = open_pool(database_url, size=2)
    pool = run_sync(manager.__aenter__())
    yield RunStore(pool, strict_serializer())
    run_sync(manager.__aexit__(None, None, None))


def test_the_line_of_a_thread_stays_in_order(database_url: str, runs: RunStore) -> None:
    """One at a time, nothing forgotten, first come first served."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        Line.connection, Line.runs = connection, runs
        run_state_machine_as_test(
            Line,
            settings=settings(
                max_examples=60,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
