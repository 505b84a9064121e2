"""`/policies`: the rules that decide on actions, and why they decide so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from interlock.core.policy_cases import Case, CasesForm, FactsForm, run_cases
from interlock.core.policy_text import checked
from interlock.documents.policies import declared_facts, policy_document, rule_document, sources_of
from interlock.server.ruled import policy_of
from interlock.server.scope import Reading
from interlock.server.wire import Wire

router = APIRouter(prefix="/policies", tags=["Policies"])

WHERE = Path("the request")


class Facts(BaseModel):
    """Facts of an act: action, risk, reversible, amount, cost, confidence, tenant, graph, agent, trust, key.

    What is left out is taken from the action's declaration; else its risk is medium, and it cannot be undone.
    """

    facts: Annotated[dict[str, Any], Field(min_length=1, max_length=32)]  # JSON


class Cases(BaseModel):
    """Cases: `{"name", "facts", "expect": "allow|ask|deny", "rule"}`."""

    cases: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)]  # JSON


@router.get("")
async def get(scope: Reading) -> Wire:
    """Return the policy that holds: its rules in their order, and how trust is earned."""
    policy, settings = policy_of(scope), scope.reader.settings
    rules = [rule_document(each) for each in (*policy.rules, policy.otherwise)]
    trust = asdict(policy.trust) if policy.trust else None
    problem = scope.reader.policy_problem()
    head = policy_document(policy, settings.policy)
    return Wire(head | {"rules": rules, "trust": trust, "problem": problem or None})


@router.post("/explain")
async def explain(scope: Reading, request: Facts) -> Wire:
    """Say which rule decides on an act, and why the rules before it do not."""
    policy = policy_of(scope)
    form = checked(FactsForm, request.facts, WHERE, "")
    declared = declared_facts(scope.reader.application, form.action)
    facts = form.made(declared)
    told = {
        "policy": policy_document(policy, scope.reader.settings.policy),
        "facts": asdict(facts),
        "sources": sources_of(facts, request.facts, declared),
    }
    return Wire(told | policy.explain(facts).to_json())


@router.post("/test")
async def test(scope: Reading, request: Cases) -> Wire:
    """Run a table of cases against the policy."""
    form = checked(CasesForm, {"cases": request.cases}, WHERE, "cases")
    cases = [
        Case(name=each.name, facts=each.facts.made(), expect=each.expect, rule=each.rule or "")
        for each in form.cases
    ]
    policy = policy_of(scope)
    outcomes = run_cases(policy, cases)
    failed = sum(not each.passed for each in outcomes)
    told = {
        "policy": policy_document(policy, scope.reader.settings.policy),
        "passed": len(outcomes) - failed,
        "failed": failed,
        "cases": [each.to_json() for each in outcomes],
    }
    return Wire(told)
