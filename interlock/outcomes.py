"""What came of a run: its output and what it asks, at the last step that it made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from langgraph.types import Interrupt, StateSnapshot

from interlock.application import Graph
from interlock.core.sync import run_sync
from interlock.execution import output_of
from interlock.postgres.pool import translated
from interlock.standing import standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a run came.

    Attributes:
        output: the part of the state that the graph declares as its output.
        interrupts: what it waits for.
    """

    output: Any  # the graph's output schema
    interrupts: tuple[Interrupt, ...] = ()


class Outcomes(ABC):
    """The part of the runtime that tells what came of runs."""

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    async def aoutcome(self, graph: str, thread_id: str, checkpoint_id: str) -> Outcome:
        """Return what stood at a checkpoint of a thread; raises `NotFound` when the application lost its graph."""
        compiled = self._durable(graph)
        names = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
        with translated():
            snapshot = await standing(compiled, {"configurable": names})
        return Outcome(output=output_of(compiled, snapshot.values), interrupts=_open(snapshot))


class OutcomesNow(Outcomes):
    """The synchronous twin."""

    def outcome(self, graph: str, thread_id: str, checkpoint_id: str) -> Outcome:
        """Return what stood at a checkpoint of a thread; see `aoutcome`."""
        return run_sync(self.aoutcome(graph, thread_id, checkpoint_id))


def _open(snapshot: StateSnapshot) -> tuple[Interrupt, ...]:
    """Return what still waits: a state by its checkpoint's id names those that were answered since, too."""
    waiting = (task for task in snapshot.tasks if task.result is None)
    return tuple(each for task in waiting for each in task.interrupts)
