"""A table of cases: facts, and what a policy should say of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from interlock.core.policy import Facts, Policy, Ruling, Stage, Verdict
from interlock.core.policy_fields import Form, Name
from interlock.core.policy_text import checked, parse, read
from interlock.core.verdict import Risk


def _known(value: Any) -> Any:  # what the file says
    return None if value == "unknown" else value


Known = Annotated[float | None, BeforeValidator(_known)]


class FactsForm(Form):
    """Facts as a person writes them; what is left out is taken as in `ASSUMED`."""

    action: Name
    risk: Risk | None = None
    reversible: bool | None = None
    amount: Known | None = None
    cost: Known | None = None
    confidence: Known | None = None
    tenant: str | None = None
    graph: str | None = None
    agent: str | None = None
    trust: Stage | None = None
    key: str | None = None

    def made(self, declared: dict[str, Any] | None = None) -> Facts:  # facts by name
        """Return the facts: what is written over what the application declares over what is assumed."""
        written = self.model_dump(exclude_unset=True)
        given = {**ASSUMED, **(declared or {}), **written}
        return Facts(**given)


ASSUMED: dict[str, Any] = {"risk": "medium", "reversible": False}  # facts by name
"""As a declaration that says nothing of them."""


class CaseForm(Form):
    """One case."""

    name: Name
    facts: FactsForm
    expect: Ruling
    rule: Name | None = None


class CasesForm(Form):
    """A whole file."""

    cases: list[CaseForm] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Facts, and what a policy should say of them.

    Attributes:
        expect: the ruling.
        rule: the rule that must have decided; empty for any.
    """

    name: str
    facts: Facts
    expect: Ruling
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a policy said of a case."""

    case: Case
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether it is what was expected."""
        expected = self.case.expect, self.case.rule or self.verdict.rule
        return (self.verdict.ruling, self.verdict.rule) == expected

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what `--json` prints."""
        return {
            "name": self.case.name,
            "facts": asdict(self.case.facts),
            "expect": self.case.expect,
            "rule": self.case.rule,
            "passed": self.passed,
            "verdict": self.verdict.to_json(),
        }


def load_cases(path: Path | str) -> list[Case]:
    """Return the cases of a TOML or YAML file; raises `PolicyInvalid`."""
    file = Path(path)
    form = checked(CasesForm, parse(read(file), file), file, "cases")
    return [
        Case(name=each.name, facts=each.facts.made(), expect=each.expect, rule=each.rule or "")
        for each in form.cases
    ]


def run_cases(policy: Policy, cases: list[Case]) -> list[Outcome]:
    """Return what a policy says of each case."""
    return [Outcome(case=each, verdict=policy.decide(each.facts)) for each in cases]
