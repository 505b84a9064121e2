"""What is wrong with an installation now, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from interlock.core.budget import Account
from interlock.core.health import Finding, Health, Severity, Worker

WAITED_SECONDS = 300.0
"""A run that has been ready for longer is told of: there are too few workers, or none that takes it."""

UNTAKEN_SECONDS = 10.0
"""So long nobody is alarmed that no worker is there: one may be starting."""

LATE_SECONDS = 30.0
"""A timer that is later was not fired because nobody keeps time."""

OPEN_SECONDS = 60.0
"""A breaker that is open for longer does not close by itself soon."""

TRANSACTION_SECONDS = 3600.0
NEARLY = 0.8
"""The share of a budget that is nearly all of it."""


def judged(health: Health) -> Health:
    """Return the same with its findings."""
    found = [
        *_of_workers(health),
        *_of_queue(health),
        *_of_time(health),
        *_of_people(health),
        *_of_models(health),
        *_of_limits(health),
        *_of_server(health),
    ]
    return replace(health, findings=tuple(sorted(found, key=lambda each: each.severity)))


def is_nearly_spent(account: Account) -> bool:
    """Say whether four fifths of something that a budget limits are taken."""
    return _is_taken(account, NEARLY)


def _is_taken(account: Account, share: float) -> bool:
    taken = account.spent + account.held
    return any(taken.of(unit) >= share * limit for unit, limit in account.limits.given().items())


def _of_workers(health: Health) -> Iterator[Finding]:
    for each in health.workers:
        if each.lease_seconds < 0:
            yield _alarm(
                f"worker {each.process} has not been heard of for {_seconds(each.beat_seconds)}",
                "any other worker takes over what it had; see whether its process lives",
            )
    if health.queue and health.workers and all(_drains(each) for each in health.workers):
        yield _alarm("every worker is stopping, and runs are queued", "interlock worker")


def _of_queue(health: Health) -> Iterator[Finding]:
    oldest = health.oldest_seconds
    if health.ready and not health.workers and oldest > UNTAKEN_SECONDS:
        yield _alarm(f"{_many(health.ready, 'run')} queued, and no worker", "interlock worker")
        return
    for tenant, graph in sorted({(e.tenant, e.graph) for e in health.queue if e.ready}):
        if health.workers and not any(_takes(each, tenant, graph) for each in health.workers):
            whose = f" of tenant {tenant}" if tenant else ""
            yield _alarm(
                f"no worker takes graph {graph}{whose}", f"interlock worker --graphs {graph}"
            )
    if oldest > WAITED_SECONDS:
        yield _alarm(
            f"a run has been ready for {_seconds(oldest)}", "start more workers, or more at once"
        )


def _of_time(health: Health) -> Iterator[Finding]:
    late = max((each.late_seconds for each in health.timers if each.overdue), default=0.0)
    overdue = sum(each.overdue for each in health.timers)
    if late > LATE_SECONDS:
        yield _alarm(
            f"{_many(overdue, 'timer')} overdue, by up to {_seconds(late)}: nobody keeps time",
            "interlock worker",
        )
    if health.failed_timers:
        yield _alarm(
            f"{_many(health.failed_timers, 'timer')} failed", "interlock timers list --failed"
        )
    if health.questions.late_seconds > LATE_SECONDS:
        yield _alarm(
            f"{_many(health.questions.overdue, 'question')} beyond their time: nobody keeps it",
            "interlock worker, or interlock approvals watch",
        )


def _of_people(health: Health) -> Iterator[Finding]:
    if letters := sum(health.letters.values()):
        yield _alarm(f"{_many(letters, 'dead letter')} open", "interlock letters")
    if health.doubts:
        yield _alarm(f"{_many(health.doubts, 'effect')} in doubt", "interlock effects --in-doubt")
    if health.unsent:
        yield _alarm(
            f"{_many(health.unsent, 'notification')} failed",
            "interlock approvals notifications --failed",
        )
    if health.questions.questions:
        yield _note(f"{_many(health.questions.questions, 'question')} open", "interlock approvals")


def _of_models(health: Health) -> Iterator[Finding]:
    for each in health.brakes:
        if each.is_open:
            tell = _alarm if each.open_seconds > OPEN_SECONDS else _note
            said = f": {each.told}" if each.told else ""
            yield tell(
                f"{each.name} has been out of order for {_seconds(each.open_seconds)}{said}",
                "interlock limits",
            )
        elif each.oldest_seconds > WAITED_SECONDS:
            yield _note(
                f"{_many(each.waiting, 'model call')} waiting for {each.name}, "
                f"the first for {_seconds(each.oldest_seconds)}",
                "interlock limits",
            )


def _of_limits(health: Health) -> Iterator[Finding]:
    for kill in health.kills:
        yield _note(f"{kill.whose} is killed: {kill.reason}", f"interlock kill lift {kill.id}")
    for budget in health.budgets:
        nearly = "" if _is_taken(budget, 1.0) else "nearly "
        yield _note(
            f"the budget of {budget.kind} {budget.name} is {nearly}spent",
            f"interlock budget show {budget.kind} {budget.name}",
        )


def _of_server(health: Health) -> Iterator[Finding]:
    server = health.server
    if server is None:
        return
    if server.connections > 0.9 * server.most_connections:
        yield _alarm(
            f"{server.connections} of {server.most_connections} connections are taken",
            "raise max_connections, or run fewer processes",
        )
    if server.oldest_transaction_seconds > TRANSACTION_SECONDS:
        yield _note(
            f"a transaction has been open for {_seconds(server.oldest_transaction_seconds)}",
            "see pg_stat_activity: dead rows cannot be removed meanwhile",
        )


def _drains(worker: Worker) -> bool:
    return worker.state != "working"


def _takes(worker: Worker, tenant: str, graph: str) -> bool:
    return (worker.graphs is None or graph in worker.graphs) and (
        worker.tenants is None or tenant in worker.tenants
    )


def _alarm(what: str, do: str) -> Finding:
    return _finding("alarm", what, do)


def _note(what: str, do: str) -> Finding:
    return _finding("note", what, do)


def _finding(severity: Severity, what: str, do: str) -> Finding:
    return Finding(severity=severity, what=what, do=do)


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
