"""How an installation stands: what works, what waits, what is late; and what a person should do about it.

Pure: values in, verdict out. `interlock.postgres.health` fills them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from interlock.core.budget import Account
from interlock.core.kills import Kill

Severity = Literal["alarm", "note"]
"""`alarm`: somebody has to do something. `note`: worth knowing, and nothing is lost by waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that takes runs on.

    Attributes:
        process: host and pid.
        graphs: that it takes on; None for all.
        tenants: that it takes on; None for all.
        beat_seconds: since its last heartbeat.
        lease_seconds: that are left of its lease; below zero it may be taken for dead.
        runs: how many it works on.
        threads: of the first of those.
    """

    worker_id: str
    process: str
    state: str
    concurrency: int
    graphs: tuple[str, ...] | None
    tenants: tuple[str, ...] | None
    started_at: datetime
    beat_seconds: float
    lease_seconds: float
    runs: int
    threads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The runs of one tenant, graph and priority that are due.

    Attributes:
        ready: that a worker may begin now.
        behind: that wait for another run of their thread, or for a person who was asked on it.
        claimed: that a worker works on.
        oldest_seconds: how long the first of those that are ready has waited.
    """

    tenant: str
    graph: str
    priority: int
    ready: int
    behind: int
    claimed: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What happened lately.

    Attributes:
        seconds: how long a time the counts are of: a minute, or less where more happened than is counted.
        events: how often each kind of event happened to a run.
    """

    seconds: float = 60.0
    events: Mapping[str, int] = field(default_factory=dict)

    def rate(self, *kinds: str) -> float:
        """Return how many events of some kinds there were a second."""
        return sum(self.events.get(each, 0) for each in kinds) / max(self.seconds, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """The timers of one kind that are set.

    Attributes:
        overdue: how many are due and have not been fired.
        late_seconds: how late the earliest is; below zero it is not due yet.
    """

    kind: str
    timers: int
    overdue: int
    late_seconds: float
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions that wait for people.

    Attributes:
        overdue: how many should have been reminded of, escalated, or answered by their default.
        late_seconds: how late the first of those is.
    """

    questions: int = 0
    overdue: int = 0
    late_seconds: float = 0.0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """Something that holds model calls up.

    Attributes:
        name: of the provider, model or tenant.
        waiting: how many calls wait for its limit.
        oldest_seconds: how long the first of them has waited.
        told_seconds: for how much longer the provider has asked to be left alone.
        is_open: whether its circuit breaker is.
        open_seconds: for how long.
        told: what the provider said last.
    """

    name: str
    waiting: int = 0
    oldest_seconds: float = 0.0
    told_seconds: float = 0.0
    is_open: bool = False
    open_seconds: float = 0.0
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a table takes, with its indexes."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How busy Postgres is with this database.

    Attributes:
        oldest_transaction_seconds: of the oldest that is open; dead rows cannot be removed meanwhile.
        dead_queue_rows: rows of the queue that are dead and not removed yet.
        tables: ours, the largest first.
    """

    connections: int
    most_connections: int
    oldest_transaction_seconds: float
    dead_queue_rows: int
    tables: tuple[Table, ...] = ()

    @property
    def bytes(self) -> int:
        """What all our tables take."""
        return sum(each.bytes for each in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, or worth knowing, and what to do about it."""

    severity: Severity
    what: str
    do: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an installation stands at one moment.

    Attributes:
        at: by the database's clock.
        runs: how many runs have not ended, by how they stand; also those that no worker has to do with.
        failed_timers: that were set aside.
        letters: how many dead letters are open, by kind.
        kills: the switches that stand.
        budgets: that are nearly spent; those of runs, which end, are left out.
        doubts: effects of which nobody knows whether they happened.
        unsent: notifications that were given up.
        findings: what is wrong and what to do about it, alarms first.
    """

    at: datetime
    workers: tuple[Worker, ...] = ()
    queue: tuple[Line, ...] = ()
    runs: Mapping[str, int] = field(default_factory=dict)
    pace: Pace = Pace()
    timers: tuple[Timers, ...] = ()
    failed_timers: int = 0
    questions: Questions = Questions()
    letters: Mapping[str, int] = field(default_factory=dict)
    brakes: tuple[Brake, ...] = ()
    kills: tuple[Kill, ...] = ()
    budgets: tuple[Account, ...] = ()
    doubts: int = 0
    unsent: int = 0
    server: Server | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def ready(self) -> int:
        """How many runs a worker may begin now."""
        return sum(each.ready for each in self.queue)

    @property
    def behind(self) -> int:
        """How many runs wait for another one of their thread."""
        return sum(each.behind for each in self.queue)

    @property
    def claimed(self) -> int:
        """How many runs a worker works on."""
        return sum(each.claimed for each in self.queue)

    @property
    def oldest_seconds(self) -> float:
        """How long the first run that is ready has waited."""
        return max((each.oldest_seconds for each in self.queue), default=0.0)

    @property
    def asleep(self) -> int:
        """How many threads sleep until a time."""
        return sum(each.timers for each in self.timers if each.kind == "wake")

    @property
    def uses_workers(self) -> bool:
        """Whether there is anything here that is for workers."""
        return bool(
            self.workers
            or self.queue
            or self.timers
            or self.letters
            or self.failed_timers
            or self.brakes
        )

    @property
    def needs_a_person(self) -> bool:
        """Whether there is an alarm among the findings."""
        return any(each.severity == "alarm" for each in self.findings)
