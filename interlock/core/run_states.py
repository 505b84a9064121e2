"""How a run stands, and how that may change: one table, which the database enforces too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

RunStatus = Literal[
    "queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled", "killed"
]
"""`queued`: accepted and not being worked on: new, drained, or handed back. `waiting`: for a person, or asleep.
`failed`: whoever called it was told. `dead`: nobody was there to be told, so it is a dead letter.
`killed`: stopped by the kill switch; it can be resumed once that is lifted."""

STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)

TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    "queued": frozenset({"running", "cancelled", "failed", "dead", "killed"}),
    "running": frozenset(
        {"queued", "waiting", "succeeded", "failed", "dead", "cancelled", "killed"}
    ),
    "waiting": frozenset({"cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset({"queued", "running", "dead", "cancelled"}),
    "dead": frozenset({"queued", "running", "cancelled"}),
    "cancelled": frozenset(),
    "killed": frozenset({"queued", "running", "cancelled"}),
}
"""What may follow each status. `migrations/0014_queue.sql` holds the same in the database."""

ENDED: frozenset[RunStatus] = frozenset({"succeeded", "failed", "dead", "cancelled", "killed"})
"""In these nothing more happens of its own accord."""
