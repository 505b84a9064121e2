"""Trust: how far an agent may go with an action; earned by evidence, lost at the first wrong outcome."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from interlock.core.policy_rules import fits
from interlock.core.verdict import STAGES, Stage, Terms

if TYPE_CHECKING:
    from interlock.core.policy import PolicySource

__all__ = [
    "NOBODY",
    "Earning",
    "MemoryTrust",
    "Stage",
    "Standing",
    "Trust",
    "TrustRules",
    "after",
    "lower_bound",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an agent is trusted with an action.

    Attributes:
        stage: `shadow` only proposes, `ask` asks each time, `act` acts and is looked at by chance.
        right: right judgements at this stage.
        wrong: wrong ones at this stage.
        since: when the stage began; None when it is where the file lets it begin.
    """

    agent: str
    action: str
    stage: Stage
    right: int = 0
    wrong: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """Who can earn trust, with what.

    Attributes:
        agent: names or patterns, of which one must fit; empty: every agent. So for the action.
        start: the stage without any judgement.
        at_most: the stage that can be reached.
    """

    agent: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    start: Stage = "shadow"
    at_most: Stage = "act"

    def covers(self, agent: str, action: str) -> bool:
        """Tell whether it is about this agent with this action."""
        pairs = ((self.agent, agent), (self.action, action))
        return all(not wanted or any(fits(name, each) for each in wanted) for wanted, name in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRules:
    """How trust is earned and lost.

    Attributes:
        earnings: the first one that covers an agent and an action holds for them; without one there is no trust.
        confidence: of the lower bound, one-sided.
        leave_shadow: the bound that must be reached to go from `shadow` to `ask`.
        leave_ask: the bound that must be reached to go from `ask` to `act`.
        falls_to: the lowest stage that a wrong outcome leads to.
        irreversible_at_most: the stage that no irreversible action goes past.
        spot_check: the share of a trusted agent's acts that a person is asked about.
        terms: how a person is asked where only trust, and no rule, demands it.
    """

    earnings: tuple[Earning, ...] = ()
    confidence: float = 0.95
    leave_shadow: float = 0.8
    leave_ask: float = 0.95
    falls_to: Stage = "ask"
    irreversible_at_most: Stage = "ask"
    spot_check: float = 0.05
    terms: Terms = field(default_factory=Terms)

    def earning(self, agent: str, action: str) -> Earning | None:
        """Return what holds for an agent with an action; None when trust is not earned here."""
        return next((each for each in self.earnings if each.covers(agent, action)), None)

    def start(self, agent: str, action: str) -> Standing:
        """Return the standing of an agent that was never judged; `ask` where trust is not earned."""
        earning = self.earning(agent, action)
        return Standing(agent=agent, action=action, stage=earning.start if earning else "ask")

    def cap(self, earning: Earning, *, reversible: bool) -> Stage:
        """Return the stage that can be reached."""
        return earning.at_most if reversible else lower(earning.at_most, self.irreversible_at_most)

    def needed(self, stage: Stage) -> float:
        """Return the bound that must be reached to leave a stage upwards."""
        return self.leave_shadow if stage == "shadow" else self.leave_ask


NOBODY = TrustRules()
"""What holds where a policy says nothing of trust."""


def after(
    standing: Standing, right: bool, rules: TrustRules, *, reversible: bool, now: datetime
) -> Standing:
    """Return the standing after a judgement.

    A right one moves one stage up once the lower bound is reached, a wrong one moves one stage down at once; with each
    move the count starts anew. Where trust is not earned nothing changes.
    """
    earning = rules.earning(standing.agent, standing.action)
    if earning is None:
        return standing
    if not right:
        return _after_wrong(standing, rules, now)
    counted = replace(standing, right=standing.right + 1)
    higher = lower(_next(standing.stage), rules.cap(earning, reversible=reversible))
    enough = lower_bound(counted.right, counted.wrong, rules.confidence) >= rules.needed(
        standing.stage
    )
    if enough and _rank(higher) > _rank(standing.stage):
        return _moved(standing, higher, now)
    return counted


def lower_bound(right: int, wrong: int, confidence: float) -> float:
    """Return what the share of right outcomes is at least, with a given confidence: Wilson's score bound, one-sided.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (158), 1927, pages 209 to 212: the smaller root p of (q - p)² = z² p (1 - p) / n, where q
    is the share that was seen.
    """
    count = right + wrong
    if not count:
        return 0.0
    z = NormalDist().inv_cdf(confidence)
    seen, square = right / count, z * z / count
    margin = z * sqrt(seen * (1 - seen) / count + square / (4 * count))
    return max(0.0, (seen + square / 2 - margin) / (1 + square))


def lower(one: Stage, other: Stage) -> Stage:
    """Return the stage of less trust."""
    return min(one, other, key=_rank)


@runtime_checkable
class Trust(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.trust`."""

    async def standing(self, agent: str, action: str) -> Standing:
        """Return how far an agent is trusted with an action."""
        ...

    async def judge(
        self,
        agent: str,
        action: str,
        *,
        right: bool,
        about: str,
        reason: str = "",
        reversible: bool = False,
    ) -> Standing:
        """Count a judgement, and return the standing that follows.

        Args:
            agent: who acted, or proposed to.
            action: the action's name.
            right: whether it was right.
            about: the effect or the question that was judged; only the first judgement about it counts.
            reason: for whoever looks later.
            reversible: whether the action can be undone; if not, it stays within the file's floor.
        """
        ...


class MemoryTrust:
    """Trust that lasts as long as this object.

    Args:
        policies: where the rules of trust stand; without it nobody earns any.
    """

    def __init__(self, policies: PolicySource | None = None) -> None:
        self._policies = policies
        self._standings: dict[tuple[str, str], Standing] = {}
        self._judged: set[str] = set()

    async def standing(self, agent: str, action: str) -> Standing:
        """Return how far an agent is trusted with an action."""
        found = self._standings.get((agent, action))
        return found or rules_of(self._policies).start(agent, action)

    async def judge(
        self,
        agent: str,
        action: str,
        *,
        right: bool,
        about: str,
        reason: str = "",
        reversible: bool = False,
    ) -> Standing:
        """Count a judgement, and return the standing that follows."""
        rules, before = rules_of(self._policies), await self.standing(agent, action)
        if about in self._judged or rules.earning(agent, action) is None:
            return before
        self._judged.add(about)
        now = datetime.now(UTC)
        moved = after(before, right, rules, reversible=reversible, now=now)
        self._standings[agent, action] = moved
        return moved


def rules_of(policies: PolicySource | None) -> TrustRules:
    """Return the rules of trust that hold now."""
    return (policies.current().trust if policies else None) or NOBODY


def _after_wrong(standing: Standing, rules: TrustRules, now: datetime) -> Standing:
    below = STAGES[max(_rank(standing.stage) - 1, _rank(rules.falls_to))]
    if _rank(below) < _rank(standing.stage):
        return _moved(standing, below, now)
    return replace(standing, wrong=standing.wrong + 1)


def _moved(standing: Standing, stage: Stage, now: datetime) -> Standing:
    return replace(standing, stage=stage, right=0, wrong=0, since=now)


def _next(stage: Stage) -> Stage:
    return STAGES[min(_rank(stage) + 1, len(STAGES) - 1)]


def _rank(stage: Stage) -> int:
    return STAGES.index(stage)
