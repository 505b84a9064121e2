"""Budgets: what a run, a thread, a graph or a tenant may take, reserved before and settled after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be taken at most; None for no limit.

    Attributes:
        input_tokens: of prompts.
        output_tokens: of answers.
        tokens: of both.
        usd: US dollars, of model calls by the price table and of actions by their estimates.
        steps: supersteps.
        seconds: wall time at work; what waits for a person takes none.
        model_calls: calls of chat models that were answered by a provider.
        actions: actions that were performed.
        landing: the share (0 to 1) that is kept back for the `land` node.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    usd: float | None = None
    steps: int | None = None
    seconds: float | None = None
    model_calls: int | None = None
    actions: int | None = None
    landing: float = 0.0
