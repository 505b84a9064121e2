"""How a run is handed to workers: when, how urgently, and what if its thread is busy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from interlock.core.cards import Card
from interlock.errors import RunCancelled

MultitaskStrategy = Literal["reject", "enqueue", "interrupt", "rollback"]
"""What happens to a run on a thread that has one: it is refused; it waits for its turn; the other is cancelled and its
progress kept; the other is cancelled and everything that it did to the thread is undone."""

StopKind = Literal["cancel", "interrupt", "rollback", "deadline"]
"""Why a run is stopped from outside, the kill switch apart."""

LEASE_SECONDS = 10.0
"""How long a worker counts as alive after its last heartbeat, by the database's clock."""

BEAT_SECONDS = 2.5
LOOK_SECONDS = 0.5
"""How often a worker looks for others whose connection has ended."""

MAX_CRASHES = 3
"""How often in a row a run may lose its worker without having made a step; then it is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyOn:
    """On which threads a run is accepted; on any other there is `NotFound`.

    Attributes:
        tenant: on whose; None for anybody's.
        must_exist: on one that is there; otherwise one that is missing is made.
        metadata: on one of which clients say this, without the names of its graph and its assistant, and no more;
            `MetadataChanged` where it is another by now. None for any.
    """

    tenant: str | None = None
    must_exist: bool = True
    metadata: Mapping[str, Any] | None = None  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is submitted.

    Attributes:
        idempotency_key: two submissions of one tenant under one key are one run.
        multitask_strategy: what happens when its thread has a run that has not ended.
        priority: from -1000 to 1000; each step is worth a minute of waiting.
        start_at: not before this.
        deadline: it is cancelled unless it has ended by then; the time that it waits for people counts too.
        replaces_questions: what its thread waits for people for is withdrawn, and it takes that place.
        card: what a client of the server said of it.
        only_on: which threads it is accepted on; None for every one that it may make or go on with.
    """

    idempotency_key: str = ""
    multitask_strategy: MultitaskStrategy = "reject"
    priority: int = 0
    start_at: datetime | None = None
    deadline: datetime | None = None
    replaces_questions: bool = False
    card: Card | None = None
    only_on: OnlyOn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOrder:
    """That a run is to be stopped, as whoever runs it is told.

    Attributes:
        story: why, and who says so, in one sentence.
    """

    run_id: str
    kind: StopKind
    story: str

    @property
    def error(self) -> RunCancelled:
        """The error that stops it."""
        return RunCancelled(self.story, kind=self.kind)
