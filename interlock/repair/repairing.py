"""Repairing dead runs, as the runtime offers it."""

from __future__ import annotations

from interlock.core.repairs import GRAPH
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import UsageError
from interlock.forks import Forks
from interlock.letters import Letters
from interlock.runtime import Runtime


class Repairing(Runtime, Letters):
    """The part of the runtime that repairs runs that died."""

    @property
    def forks(self) -> Forks:
        """What makes forks and trials."""
        return self._forks

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
