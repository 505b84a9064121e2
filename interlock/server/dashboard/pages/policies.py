"""The policy that holds: its rules in their order, and for an act which of them decides, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request, Response

from interlock.core.policy import Explanation, Facts, Looked, Policy
from interlock.core.policy_cases import FactsForm
from interlock.core.policy_rules import Rule
from interlock.core.policy_text import checked
from interlock.core.verdict import RISKS, STAGES
from interlock.documents.policies import declared_facts, sources_of
from interlock.errors import InterlockError, UsageError
from interlock.server.dashboard.routing import pages
from interlock.server.dashboard.templates import page
from interlock.server.failures import status_of
from interlock.server.ruled import policy_of
from interlock.server.scope import Reading, Scope

NUMBERS = ("amount", "cost", "confidence")
NAMES = ("agent", "graph", "tenant")
CHOICES = {"risk": RISKS, "reversible": ("yes", "no"), "trust": STAGES}
WHERE = Path("the form")

router = pages()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the policy says of an act.

    Attributes:
        sources: of each fact: `given`, `declared` or `assumed`.
        looked: each rule that was looked at, by its name.
    """

    facts: Facts
    sources: Mapping[str, str]
    explanation: Explanation
    looked: Mapping[str, Looked]


@router.get("/ui/policies")
async def policies(request: Request, scope: Reading) -> Response:
    """Show the rules; with an act in the address also what they say of it."""
    policy = policy_of(scope)
    given = {
        key: value.strip() for key, value in request.query_params.items() if key in FIELDS and value
    }
    explained, fault, status = None, "", 200
    if given:
        try:
            explained = _explained(scope, policy, given)
        except InterlockError as error:
            fault, status = str(error), status_of(error)
    return await page(
        request,
        scope,
        "policies.html",
        status_code=status,
        policy=policy,
        rules=(*policy.rules, policy.otherwise),
        terms=_terms,
        file=scope.reader.settings.policy,
        problem=scope.reader.policy_problem(),
        given=given,
        explained=explained,
        fault=fault,
        numbers=NUMBERS,
        names=NAMES,
        choices=CHOICES,
        actions=_actions(policy),
    )


FIELDS = frozenset({"action", *NUMBERS, *NAMES, *CHOICES})


def _explained(scope: Scope, policy: Policy, given: Mapping[str, str]) -> Explained:
    written: dict[str, Any] = dict(given)  # as the form of facts takes them
    for name in NUMBERS:
        if name in written:
            written[name] = _number(name, written[name])
    if "reversible" in written:
        written["reversible"] = written["reversible"] == "yes"
    form = checked(FactsForm, written, WHERE, "")
    declared = declared_facts(scope.reader.application, form.action)
    facts = form.made(declared)
    explanation = policy.explain(facts)
    return Explained(
        facts=facts,
        sources=sources_of(facts, written, declared),
        explanation=explanation,
        looked={each.rule: each for each in explanation.looked},
    )


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise UsageError(f"{name}: {text!r} is no number.") from None


def _terms(rule: Rule) -> list[tuple[str, Any]]:  # what a filter tells
    """Return how a person is asked, as pairs of words and values."""
    terms = rule.terms
    return [
        (word, value)
        for word, value in (
            ("by", ", ".join(terms.who)),
            ("people who must agree", terms.needed if terms.needed > 1 else ""),
            ("within", terms.within),
            ("else", terms.default if terms.within else ""),
            ("reminded after", terms.remind),
            *(("then also " + ", ".join(each.who) + " after", each.after) for each in terms.chain),
        )
        if value
    ]


def _actions(policy: Policy) -> list[str]:
    """Return the actions that rules name, for whoever does not remember them."""
    named = {each for rule in policy.rules for each in rule.when.action}
    return sorted(each for each in named if "*" not in each and "?" not in each)
