"""Policy: rules in order, of which the first that matches says whether an action is allowed, asked about, or denied.

Pure: the same facts under the same policy have the same verdict, in every process and in every attempt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

from interlock.core.policy_index import RuleIndex
from interlock.core.policy_rules import Rule, When
from interlock.core.trust import TrustRules, lower
from interlock.core.verdict import (
    Default,
    Escalation,
    Facts,
    Risk,
    Ruling,
    Stage,
    Terms,
    Verdict,
)

__all__ = [
    "BUILT_IN",
    "Default",
    "Escalation",
    "Explanation",
    "Facts",
    "FixedPolicy",
    "Looked",
    "Policy",
    "PolicySource",
    "Risk",
    "Rule",
    "Ruling",
    "Stage",
    "Terms",
    "Verdict",
    "When",
]

OTHERWISE = "otherwise"
"""The name of what holds when no rule matches; no rule may have it."""

SHOWN = 12
"""Characters of a digest that people are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A rule that was looked at.

    Attributes:
        unmet: each condition that does not hold; empty for the rule that decides.
        unknown: numbers that the rule asks for and that are not known.
    """

    rule: str
    then: Ruling
    unmet: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a verdict is what it is.

    Attributes:
        looked: every rule up to the one that decides.
        stage: how far the agent is trusted here; None where trust is not earned.
    """

    verdict: Verdict
    looked: tuple[Looked, ...]
    stage: Stage | None

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what `--json` prints."""
        looked = [asdict(each) for each in self.looked]
        return {"verdict": self.verdict.to_json(), "trust": self.stage, "looked": looked}


class Policy:
    """Rules in order.

    Args:
        name: how people call it; not part of the digest.
        rules: the first that matches decides.
        otherwise: what holds when none does; it has no conditions.
        trust: how trust is earned; None: there is none, and nothing is looked up.
    """

    def __init__(
        self, *, name: str, rules: Sequence[Rule], otherwise: Rule, trust: TrustRules | None = None
    ) -> None:
        self.name = name
        self.rules = tuple(rules)
        self.otherwise = otherwise
        self.trust = trust
        self.digest = _digest([self.rules, otherwise, trust])
        self._index = RuleIndex(self.rules)

    @property
    def uses_trust(self) -> bool:
        """Whether anybody can earn trust."""
        return self.trust is not None and bool(self.trust.earnings)

    def trusts(self, agent: str, action: str) -> bool:
        """Tell whether an agent can earn trust with an action; only then its standing matters."""
        return self.trust is not None and self.trust.earning(agent, action) is not None

    def decide(self, facts: Facts) -> Verdict:
        """Return what holds for an action."""
        stage = self._stage(facts)
        seen = facts if facts.trust == stage else replace(facts, trust=stage)
        first = self._index.first(seen)
        rule = self.otherwise if first is None else self.rules[first]
        verdict = self._said(rule, seen)
        return verdict if self.trust is None else _with_trust(verdict, rule, seen, self.trust)

    def explain(self, facts: Facts) -> Explanation:
        """Return the verdict with every rule up to the one that decides, and what kept the others from it."""
        stage = self._stage(facts)
        seen, looked = replace(facts, trust=stage), list[Looked]()
        for rule in (*self.rules, self.otherwise):
            unmet, unknown = rule.unmet(seen), rule.unknown(seen)
            looked.append(Looked(rule=rule.name, then=rule.then, unmet=unmet, unknown=unknown))
            if not unmet:
                break
        return Explanation(verdict=self.decide(facts), looked=tuple(looked), stage=stage)

    def _stage(self, facts: Facts) -> Stage | None:
        earning = self.trust.earning(facts.agent, facts.action) if self.trust else None
        if self.trust is None or earning is None:
            return None
        cap = self.trust.cap(earning, reversible=facts.reversible)
        return lower(facts.trust or earning.start, cap)

    def _said(self, rule: Rule, facts: Facts) -> Verdict:
        return Verdict(
            ruling=rule.then,
            rule=rule.name,
            reason=_reason(rule, facts),
            policy=self.digest,
            terms=rule.terms,
        )


@runtime_checkable
class PolicySource(Protocol):
    """The port: the policy that holds now."""

    def current(self) -> Policy:
        """Return the policy; another one when it was changed meanwhile."""
        ...


def sampled(key: str, rate: float) -> bool:
    """Tell whether an effect is among those that are looked at by chance: always the same answer for the same key."""
    drawn = int.from_bytes(hashlib.sha256(key.encode(errors="replace")).digest()[:8])
    return drawn < rate * 2**64


def _with_trust(verdict: Verdict, rule: Rule, facts: Facts, trust: TrustRules) -> Verdict:
    match facts.trust if verdict.ruling != "deny" else None:
        case "shadow":
            return _in_shadow(verdict, facts)
        case "ask" if verdict.ruling == "allow":
            reason = f"{_who(facts)} has to ask each time."
            return _asked(verdict, trust.terms, reason)
        case "act":
            return _trusted(verdict, rule, facts, trust)
        case _:
            return verdict


def _in_shadow(verdict: Verdict, facts: Facts) -> Verdict:
    reason = f"{_who(facts)} only proposes so far: nothing is done, and the proposal is judged."
    return replace(verdict, ruling="deny", shadow=True, reason=reason, terms=Terms())


def _trusted(verdict: Verdict, rule: Rule, facts: Facts, trust: TrustRules) -> Verdict:
    demanded = verdict.ruling == "ask"
    if demanded and (not rule.unless_trusted or rule.unknown(facts)):
        return verdict
    if sampled(facts.key, trust.spot_check):
        reason = f"{_who(facts)} may act, and is looked at by chance now and then."
        terms = rule.terms if demanded else trust.terms
        return replace(_asked(verdict, terms, reason), spot_check=True)
    if demanded:
        return replace(verdict, ruling="allow", reason=f"{_who(facts)} may act.", terms=Terms())
    return verdict


def _asked(verdict: Verdict, terms: Terms, reason: str) -> Verdict:
    return replace(verdict, ruling="ask", terms=terms, reason=reason)


def _who(facts: Facts) -> str:
    return f"Trust: {facts.agent or 'this agent'} with {facts.action}"


def _reason(rule: Rule, facts: Facts) -> str:
    if rule.because:
        return rule.because
    text = str(rule) if rule.name != OTHERWISE else "no rule matches"
    unknown = rule.unknown(facts)
    told = f"{text} ({' and '.join(unknown)} not known)" if unknown else text
    return f"{told[0].upper()}{told[1:]}."


def _digest(parts: Sequence[Any]) -> str:  # dataclasses
    def plain(value: Any) -> Any:  # a dataclass -> JSON
        return asdict(value)

    text = json.dumps(parts, default=plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


IRREVERSIBLE = Rule(
    name="irreversible",
    when=When(reversible=False),
    then="ask",
    because="What cannot be undone is asked about.",
)

BUILT_IN = Policy(
    name="built-in",
    rules=[IRREVERSIBLE],
    otherwise=Rule(name=OTHERWISE, when=When(), then="allow", because="It can be undone."),
)
"""What holds without a file: one person is asked about what cannot be undone, without a deadline."""


class FixedPolicy:
    """A policy that stays as it is."""

    def __init__(self, policy: Policy = BUILT_IN) -> None:
        self._policy = policy

    def current(self) -> Policy:
        """Return the policy."""
        return self._policy
