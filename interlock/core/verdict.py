"""What a policy decides on, and what it says: plain values, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Ruling = Literal["allow", "ask", "deny"]
Risk = Literal["low", "medium", "high", "critical"]
Stage = Literal["shadow", "ask", "act"]
Default = Literal["reject", "approve"]

RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")
STAGES: tuple[Stage, ...] = ("shadow", "ask", "act")
"""From the least trust to the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a policy decides on.

    Attributes:
        action: the action's name.
        risk: its declared risk class.
        reversible: whether it can be undone.
        amount: how much it is about, in the action's own unit; None when it is not known.
        cost: the declared estimate, in US dollars.
        confidence: how sure the agent is, from 0 to 1; None when it did not say.
        tenant: for whom the run works; empty without tenants.
        graph: the graph that runs.
        agent: who asks: the node of the thread's own graph.
        trust: how far the agent is trusted with the action; None when nobody looked.
        key: the effect's key: the same in each attempt, so that a spot check is the same too.
    """

    action: str
    risk: Risk
    reversible: bool
    amount: float | None = None
    cost: float = 0.0
    confidence: float | None = None
    tenant: str = ""
    graph: str = ""
    agent: str = ""
    trust: Stage | None = None
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Whom to ask too when nobody has answered.

    Attributes:
        after: seconds since the question was asked.
        who: those who may answer from then on.
    """

    after: float
    who: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a person is asked.

    Attributes:
        who: those who may answer; empty: anybody.
        needed: how many different people must agree.
        within: seconds until the default holds; None: the question waits for ever.
        remind: seconds until those who may answer are reminded.
        chain: who is asked too, later.
        default: the answer when the time is over.
    """

    who: tuple[str, ...] = ()
    needed: int = 1
    within: float | None = None
    remind: float | None = None
    chain: tuple[Escalation, ...] = ()
    default: Default = "reject"

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what is stored beside a question."""
        return {
            "who": list(self.who),
            "needed": self.needed,
            "within": self.within,
            "remind": self.remind,
            "chain": [{"after": each.after, "who": list(each.who)} for each in self.chain],
            "default": self.default,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Terms:  # JSON
        """Return what `to_json` gave; what is missing has its default."""
        chain = (
            Escalation(after=each["after"], who=tuple(each["who"]))
            for each in stored.get("chain", ())
        )
        return cls(
            who=tuple(stored.get("who", ())),
            needed=stored.get("needed", 1),
            within=stored.get("within"),
            remind=stored.get("remind"),
            chain=tuple(chain),
            default=stored.get("default", "reject"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy says.

    Attributes:
        ruling: what happens now.
        rule: name of the rule that decided.
        reason: one sentence for a person.
        policy: digest of the policy that said it.
        terms: how a person is asked, when the ruling is `ask`.
        spot_check: a trusted agent's act that is looked at by chance.
        shadow: the act is denied because the agent only proposes; the proposal is to be judged.
    """

    ruling: Ruling
    rule: str
    reason: str
    policy: str
    terms: Terms = Terms()
    spot_check: bool = False
    shadow: bool = False

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what is stored beside an effect or a question."""
        return {
            "ruling": self.ruling,
            "rule": self.rule,
            "reason": self.reason,
            "policy": self.policy,
            "terms": self.terms.to_json(),
            "spot_check": self.spot_check,
            "shadow": self.shadow,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Verdict:  # JSON
        """Return what `to_json` gave."""
        return cls(
            ruling=stored["ruling"],
            rule=stored["rule"],
            reason=stored["reason"],
            policy=stored["policy"],
            terms=Terms.from_json(stored.get("terms", {})),
            spot_check=stored.get("spot_check", False),
            shadow=stored.get("shadow", False),
        )
