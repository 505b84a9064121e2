"""What a client of the server said of a run, beside what Interlock needs to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

OnCompletion = Literal["keep", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A run as its client sees it; it is written in the transaction that accepts the run.

    Attributes:
        assistant_id: the assistant that it was asked of.
        metadata: the client's own, with the names of the assistant and the graph.
        kwargs: how it was asked for, as JSON; without the input, which stands with the run.
        webhook: who is told when it ends; empty for nobody.
        on_completion: what becomes of its thread when it has ended.
    """

    assistant_id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    webhook: str = ""
    on_completion: OnCompletion = "keep"

    def document(self) -> dict[str, Any]:
        """Return all of it by its names."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
