"""Repairing dead runs, as the runtime offers it."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import StateSnapshot

from interlock.core.letters import Letter
from interlock.core.repairs import GRAPH
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import UsageError
from interlock.forks import Forks
from interlock.letters import Letters
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.encryption import ring_of
from interlock.postgres.pool import translated
from interlock.postgres.repairs import RepairStore
from interlock.repair.calls import Call, calls_of
from interlock.repair.remains import Remains
from interlock.runtime import Runtime


class Repairing(Runtime, Letters):
    """The part of the runtime that repairs runs that died."""

    @property
    def forks(self) -> Forks:
        """What makes forks and trials."""
        return self._forks

    @property
    def repairs(self) -> RepairStore:
        """What writes repairs."""
        ring = ring_of(self.settings.encryption_key)
        return RepairStore(self.pool, strict_serializer(ring=ring))

    async def remains(self, letter: Letter) -> Remains:
        """Return the last checkpoint of a dead run; raises `UsageError` when there is none."""
        graph = self._past.graph(letter.graph)
        config: Any = {"configurable": {"thread_id": letter.thread_id, "checkpoint_ns": ""}}
        saver: Any = graph.checkpointer  # LangGraph's type allows a flag, too

        async def read() -> tuple[CheckpointTuple | None, StateSnapshot]:
            return await saver.aget_tuple(config), await graph.aget_state(config)

        with translated():
            found, snapshot = await self._past.steady(letter.thread_id, read)
        if found is None:
            raise UsageError(f"Thread {letter.thread_id} has no checkpoint.")
        return Remains(letter=letter, graph=graph, found=found, snapshot=snapshot)

    async def calls(self, remains: Remains) -> list[Call]:
        """Return the calls of a dead run whose arguments can be changed."""
        letter = remains.letter
        refused = await self.repairs.refused_at(letter.thread_id, letter.checkpoint_id)
        return calls_of(remains, refused)

    async def aletter_repair(
        self,
        letter_id: str,
        *,
        model: str | None = None,
        hint: str = "",
        attended: bool = False,
    ) -> Run:
        """Begin a repair of a dead run: a run of the graph `interlock.repair`, which asks a person in the end.

        Args:
            letter_id: of an open letter, or the beginning of it.
            model: who diagnoses and proposes; default: that of the settings.
            hint: what is known already.
            attended: no worker takes it on: the caller goes on with it by `resume`.

        Raises:
            NotFound: no such letter.
            UsageError: it is closed.
            ModelUnavailable: the model cannot be built.
        """
        letter = (await self.aletter(letter_id)).letter
        if letter.status != "open":
            raise UsageError(
                f"Letter {letter.id} was {letter.status} already.",
                hint="`interlock letters list` lists the open ones.",
            )
        given = {"letter": letter.id, "hint": hint}
        return await self.asubmit(GRAPH, given, model=model, attended=attended)


class RepairingNow(Repairing):
    """The synchronous twins."""

    def letter_repair(
        self, letter_id: str, *, model: str | None = None, hint: str = "", attended: bool = False
    ) -> Run:
        """Begin a repair of a dead run; see `aletter_repair`."""
        return run_sync(self.aletter_repair(letter_id, model=model, hint=hint, attended=attended))
