"""What a failed attempt at a model call says: about the call, its model and its provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from interlock.core.failures import classify
from interlock.core.models import redacted
from interlock.core.rates import LONGEST_TOLD, Outcome, Pushed
from interlock.core.targets import breakers_of
from interlock.core.transient import retry_after, status
from interlock.errors import InterlockError, ModelFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a failed attempt says.

    Attributes:
        later: the same call may well succeed later.
        limited: because too much was asked of the provider.
        after: seconds that the provider wants to be left alone; None where it did not say.
        status: of its answer; None where there was none.
        pushes: seconds for which everybody leaves the model alone.
    """

    later: bool
    limited: bool = False
    after: float | None = None
    status: int | None = None
    told: str = ""
    pushes: float = 0.0

    def outcomes(self, model: str, *, probes: bool) -> tuple[Outcome, ...]:
        """Return what the failure counts for: no answer speaks against the provider, an answer against the model."""
        provider, own = breakers_of(model)
        if not self.later:  # it answered, so a try has shown that it works
            answered = int(self.status is not None)
            return tuple(Outcome(name=n, ok=answered) for n in (provider, own)) if probes else ()
        spoke = self.status is not None
        first = Outcome(name=provider, ok=int(spoke), failed=int(not spoke), told=self.told)
        return (first, Outcome(name=own, failed=1, told=self.told))

    def pushed(self, model: str) -> tuple[Pushed, ...]:
        """Return whom everybody leaves alone."""
        if not self.pushes:
            return ()
        return (
            Pushed(name=f"model:{model}", seconds=min(self.pushes, LONGEST_TOLD), told=self.told),
        )


def fault_of(error: Exception) -> Fault:
    """Return what a failed attempt says."""
    if isinstance(error, InterlockError) and not isinstance(error, ModelFailed):
        return Fault(later=False)  # ours: a budget, the kill switch, the database
    kind = classify(error)
    after = retry_after(error, datetime.now(UTC))
    later = kind in ("transient", "rate_limit")
    return Fault(
        later=later,
        limited=kind == "rate_limit",
        after=after if later else None,
        status=status(error),
        told=redacted(" ".join(str(error).split()))[:200],
        pushes=after or 0.0 if later else 0.0,
    )
