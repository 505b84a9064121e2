"""How an installation stands, as a document. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from interlock.core.health import Health
from interlock.documents.bounds import kill_facts, of_limits
from interlock.documents.runs import plain

ENDINGS = ("succeeded", "waiting", "dead", "cancelled", "killed", "failed")


def health_document(health: Health) -> dict[str, Any]:  # a JSON object
    """Return all that is known, with the sums that a program would make first."""
    sums = {
        "ready": health.ready,
        "behind": health.behind,
        "claimed": health.claimed,
        "oldest_seconds": health.oldest_seconds,
        "asleep": health.asleep,
        "ended_per_second": health.pace.rate(*ENDINGS),
    }
    found: dict[str, Any] = plain(asdict(health))  # JSON
    found["kills"] = [kill_facts(each) for each in health.kills]
    found["budgets"] = [
        {"kind": each.kind, "name": each.name, "taken": of_limits(each, each.limits)}
        for each in health.budgets
    ]
    return {"ok": not health.needs_a_person, "sums": sums} | found
