"""What callers of the runtime see of the ledger: effects, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

EffectStatus = Literal["done", "underway", "in_doubt", "not_done"]
"""`underway`: its performer lives. `in_doubt`: an intention without a result, and nobody at work on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An act, or the intention of one.

    Attributes:
        key: names it in all attempts; actions that take one are given it as their idempotency key.
        agent: the node of the thread's own graph that it was asked for in; `node` may lie inside its subgraph.
        result: what the action returned, as JSON; None unless it is done.
        error: what the last attempt raised.
        attempt: how often somebody set out to act.
        cost: the declared estimate, in US dollars.
        verdict: what the policy said, as JSON.
        approval: the question whose answer permitted it; empty without one.
        source: on a fork: the parent's effect that it was answered from; nothing was done then.
        settled_by: who said what became of it while it was in doubt.
    """

    key: str
    thread_id: str
    run_id: str
    node: str
    agent: str
    action: str
    arguments: Mapping[str, Any]
    status: EffectStatus
    intended_at: datetime
    finished_at: datetime | None = None
    result: Any = None
    error: str = ""
    attempt: int = 1
    cost: float = 0.0
    reversible: bool = False
    verdict: Mapping[str, Any] = field(default_factory=dict)
    approval: str = ""
    source: str = ""
    settled_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An act that was not permitted: a word for why, a sentence, and the policy's rule."""

    key: str
    thread_id: str
    agent: str
    action: str
    arguments: Mapping[str, Any]
    kind: str
    reason: str
    rule: str
    refused_at: datetime
