"""When to wait a moment with what a task wrote: its checkpoint mostly follows at once, and both go in one commit."""

from __future__ import annotations

PATIENCE = 0.004
"""Seconds that a task's writes wait for the checkpoint of their step. LangGraph does not wait for them."""

PENANCE = 12
"""How many of a thread's writes go at once after one had waited in vain, as where its steps wait for them."""

MOST = 10_000


class Patience:
    """Remembers for which threads waiting was in vain."""

    def __init__(self) -> None:
        self._penance: dict[str, int] = {}

    def waits_for(self, thread: str, *, count: bool = True) -> bool:
        """Tell whether a write of this thread is to wait."""
        left = self._penance.get(thread, 0)
        if left and count:
            self._penance[thread] = left - 1
        return left == 0

    def missed(self, thread: str) -> None:
        """Note that a write had waited and no checkpoint came."""
        if len(self._penance) > MOST:
            self._penance.clear()
        self._penance[thread] = PENANCE
