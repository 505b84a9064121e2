"""Tells whoever looks on what a run does, as far as its client asked for it: into the log of streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.core.stream_events import Teller, asked_for
from interlock.core.wire import dumps
from interlock.execution import Execution
from interlock.postgres.stored_runs import StoredRun
from interlock.postgres.streams import Recorder, StreamLog

ALWAYS = "updates"
"""What a worker looks at of a run that may have ended one: after a step it is no suspect any more."""


@dataclass(slots=True)
class Telling:
    """One attempt at a run, as it is told."""

    teller: Teller
    recorder: Recorder

    @classmethod
    def of(cls, stored: StoredRun, log: StreamLog, worker: str) -> Telling | None:
        """Return what tells of a run; None when nobody asked for it."""
        driving = stored.driving
        if not driving.stream_modes:
            return None
        teller = Teller(frozenset(driving.stream_modes), driving.stream_subgraphs)
        return cls(teller, Recorder(log, stored.run, stored.run.attempts + 1, worker))

    @property
    def modes(self) -> tuple[str, ...]:
        """What LangGraph is asked for."""
        events = {"events"} & self.teller.modes
        return tuple({ALWAYS} | asked_for(self.teller.modes) | events)

    def join(self, execution: Execution) -> None:
        """Let a run's end wait until all of it can be read."""
        execution.told = self.recorder.flush
        # LangGraph tells each message once: in a subgraph, or where the node that ran it returns it.
        execution.subgraphs = self.teller.subgraphs or "messages" not in self.modes

    async def begin(self) -> None:
        """Tell that an attempt begins."""
        about = {"run_id": self.recorder.run.run_id, "attempt": self.recorder.attempt}
        await self.recorder.note("metadata", dumps(about))

    async def note(self, part: Mapping[str, Any]) -> None:
        """Tell of a part."""
        for event, data in self.teller.told(part):
            await self.recorder.note(event, dumps(data))
