"""What the policy is told about an act, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from interlock.core.actions import Action, find
from interlock.core.context import Around
from interlock.core.policy import Policy
from interlock.core.site import Site
from interlock.core.verdict import Facts, Verdict

READS = Verdict(ruling="allow", rule="reads", reason="It changes nothing.", policy="")


async def judge(
    around: Around,
    declared: Action[Any],
    arguments: Mapping[str, Any],  # JSON
    site: Site,
    *,
    key: str = "",
    confidence: float | None = None,
) -> tuple[Facts, Verdict]:
    """Return what the policy says of an act now, and the facts that it decided on."""
    policy = around.policy()
    stage = None
    if not declared.reads and policy.trusts(site.agent, declared.name):
        stage = (await around.ports.trust.standing(site.agent, declared.name)).stage
    facts = Facts(
        action=declared.name,
        risk=declared.risk,
        reversible=declared.reversible,
        amount=declared.amount(arguments),
        cost=declared.cost(arguments),
        confidence=confidence,
        tenant=around.tenant,
        graph=around.graph,
        agent=site.agent,
        trust=stage,
        key=key,
    )
    return facts, READS if declared.reads else policy.decide(facts)


def with_arguments(
    facts: Mapping[str, Any], declared: Action[Any], arguments: Mapping[str, Any]
) -> Facts:  # JSON
    """Return the facts that a question was asked on, with other arguments."""
    changed = {"amount": declared.amount(arguments), "cost": declared.cost(arguments)}
    return Facts(**{**facts, **changed})


def edited_verdict(
    policy: Policy, payload: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Verdict | None:
    """Return what a policy says of a question's act with other arguments; None where it was not judged at all.

    Args:
        policy: as it is now.
        payload: the question's.
        arguments: all of them, as JSON.
    """
    asked = payload.get("question")
    facts = asked.get("facts") if isinstance(asked, Mapping) else None
    if not facts:
        return None
    declared = find(str(facts["action"]))
    return policy.decide(with_arguments(facts, declared, arguments))


def as_json(facts: Facts) -> dict[str, Any]:  # JSON
    """Return facts as they are stored with a question."""
    return asdict(facts)
