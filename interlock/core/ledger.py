"""What was done to the world: an intention before each act, its result after it, so that nothing happens twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Standing = Literal["new", "done", "in_doubt"]
"""`new`: this call wrote the intention, so act. `done`: use the recorded result. `in_doubt`: an earlier attempt
wrote the intention and no result; whether it acted is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """An act that is about to happen.

    Attributes:
        key: names this act in all attempts; derived from thread, task, action and arguments.
        thread_id: the thread it belongs to; empty without a checkpointer.
        node: the node that acts.
        action: the action's name.
        arguments: its validated arguments, as JSON.
    """

    key: str
    thread_id: str
    node: str
    action: str
    arguments: dict[str, Any]  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How an intention stands; `result` is JSON, and only there when it is done."""

    standing: Standing
    result: Any = None  # JSON


@runtime_checkable
class Ledger(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.ledger`."""

    async def begin(self, intention: Intention) -> Entry:
        """Write the intention, or tell how an earlier one with the same key stands."""
        ...

    async def finish(self, key: str, result: Any) -> None:  # JSON
        """Write the result of an act."""
        ...


class MemoryLedger:
    """A ledger for one process: it protects retries within the process, not from its death."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    async def begin(self, intention: Intention) -> Entry:
        """Write the intention, or tell how an earlier one with the same key stands."""
        found = self._entries.get(intention.key)
        if found is None:
            self._entries[intention.key] = Entry(standing="in_doubt")
            return Entry(standing="new")
        return found

    async def finish(self, key: str, result: Any) -> None:  # JSON
        """Write the result of an act."""
        self._entries[key] = Entry(standing="done", result=result)
