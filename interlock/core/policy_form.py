"""What a policy file looks like: each key with its type, and what makes no sense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from interlock.core.policy import OTHERWISE, Policy
from interlock.core.policy_fields import Form, Name, Names, Share, TermsForm, Text, listed
from interlock.core.policy_rules import CHOICES, NAMES, NUMBERS, Range, Rule, When
from interlock.core.trust import Earning, TrustRules, lower
from interlock.core.verdict import RISKS, Risk, Ruling, Stage


class RangeForm(Form):
    """Which numbers are meant."""

    over: float | None = None
    at_least: float | None = None
    under: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> RangeForm:
        low = [each for each in (self.over, self.at_least) if each is not None]
        high = [each for each in (self.under, self.at_most) if each is not None]
        if not low and not high:
            raise ValueError("the range is empty; write over, at_least, under or at_most")
        if len(low) > 1 or len(high) > 1:
            raise ValueError("the range has two lower or two upper bounds; keep one of them")
        touching = self.at_least is not None and self.at_most is not None
        if low and high and not (low < high or (touching and low == high)):
            raise ValueError(f"no number is {self.made()}")
        return self

    def made(self) -> Range:
        """Return it as the rules use it."""
        return Range(over=self.over, at_least=self.at_least, under=self.under, at_most=self.at_most)


class WhenForm(Form):
    """The conditions of a rule."""

    action: Names = ()
    graph: Names = ()
    agent: Names = ()
    tenant: Names = ()
    risk: Annotated[tuple[Risk, ...], BeforeValidator(listed)] = ()
    trust: Annotated[tuple[Stage, ...], BeforeValidator(listed)] = ()
    reversible: bool | None = None
    amount: RangeForm | None = None
    cost: RangeForm | None = None
    confidence: RangeForm | None = None

    @model_validator(mode="after")
    def _sensible(self) -> WhenForm:
        if not self.model_fields_set:
            raise ValueError(
                f"there is no condition; what holds for the rest stands in {OTHERWISE}"
            )
        confidence = self.confidence.model_dump(exclude_none=True) if self.confidence else {}
        if any(not 0 <= limit <= 1 for limit in confidence.values()):
            raise ValueError("confidence is a number from 0 to 1")
        return self

    def made(self) -> When:
        """Return it as the rules use it."""
        ranges = {name: getattr(self, name) for name in NUMBERS}
        return When(
            **{name: getattr(self, name) for name in (*NAMES, *CHOICES)},
            **{name: each.made() for name, each in ranges.items() if each is not None},
            reversible=self.reversible,
        )


class OtherwiseForm(TermsForm):
    """What holds when no rule matches."""

    then: Ruling
    because: Text = ""

    @model_validator(mode="after")
    def _asks_if_it_says_how(self) -> OtherwiseForm:
        if self.then != "ask" and self.terms_given:
            raise ValueError(f"{self.terms_given[0]} says how to ask, and then is {self.then!r}")
        return self


class RuleForm(OtherwiseForm):
    """One rule."""

    name: Name
    when: WhenForm
    unless_trusted: bool = False

    @model_validator(mode="after")
    def _trusted_only_where_asked(self) -> RuleForm:
        if self.name == OTHERWISE:
            raise ValueError(f"the name {OTHERWISE} is taken; choose another one")
        if self.unless_trusted and self.then != "ask":
            raise ValueError(f"unless_trusted goes with then = 'ask', not with {self.then!r}")
        return self

    def made(self) -> Rule:
        """Return it as the policy uses it."""
        return Rule(
            name=self.name,
            when=self.when.made(),
            then=self.then,
            terms=self.terms(),
            because=self.because,
            unless_trusted=self.unless_trusted,
        )


class EarningForm(Form):
    """Who can earn trust, with what."""

    agent: Names
    action: Names
    start: Stage = "shadow"
    at_most: Stage = "act"

    @model_validator(mode="after")
    def _in_order(self) -> EarningForm:
        if lower(self.start, self.at_most) != self.start:
            raise ValueError(f"start is {self.start}, which is past at_most, {self.at_most}")
        return self

    def made(self) -> Earning:
        """Return it as trust uses it."""
        return Earning(agent=self.agent, action=self.action, start=self.start, at_most=self.at_most)


Reachable = Annotated[float, Field(gt=0, lt=1)]


class TrustForm(TermsForm):
    """How trust is earned and lost."""

    earned_by: Annotated[list[EarningForm], Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    leave_shadow: Reachable = 0.8
    leave_ask: Reachable = 0.95
    falls_to: Stage = "ask"
    irreversible_at_most: Stage = "ask"
    spot_check: Share = 0.05

    @model_validator(mode="after")
    def _all_reachable(self) -> TrustForm:
        for number, each in enumerate(self.earned_by[:-1]):
            if _anything(each.agent) and _anything(each.action):
                raise ValueError(
                    f"entry {number + 1} of earned_by holds for everybody; move it to the end"
                )
        return self

    def made(self) -> TrustRules:
        """Return it as the policy uses it."""
        plain = self.model_dump(exclude={"earned_by", *TermsForm.model_fields})
        earnings = tuple(each.made() for each in self.earned_by)
        return TrustRules(earnings=earnings, terms=self.terms(), **plain)


class PolicyForm(Form):
    """A whole file."""

    version: Literal[1]
    name: Name | None = None
    rules: list[RuleForm] = Field(default_factory=list)
    otherwise: OtherwiseForm
    trust: TrustForm | None = None

    @model_validator(mode="after")
    def _rules_make_sense_together(self) -> PolicyForm:
        _check_names([each.name for each in self.rules])
        _check_reachable([each.made() for each in self.rules])
        for each in self.rules:
            if self.trust is None and (each.unless_trusted or each.when.trust):
                raise ValueError(f'rule "{each.name}" speaks of trust; add a [trust] section')
        return self

    def made(self, name: str) -> Policy:
        """Return the policy; its name is the file's own, or else the given one."""
        otherwise = Rule(
            name=OTHERWISE,
            when=When(),
            then=self.otherwise.then,
            terms=self.otherwise.terms(),
            because=self.otherwise.because,
        )
        return Policy(
            name=self.name or name,
            rules=[each.made() for each in self.rules],
            otherwise=otherwise,
            trust=self.trust.made() if self.trust else None,
        )


def _check_names(names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f'two rules have the name "{name}"; a verdict names its rule')


def _check_reachable(rules: Sequence[Rule]) -> None:
    seen: dict[When, Rule] = {}
    for rule in rules:
        before = seen.get(rule.when)
        if everything := next((each for when, each in seen.items() if _holds_always(when)), None):
            before = everything
        if before is not None and not _leaves_unknown(before, rule):
            raise ValueError(
                f'rule "{rule.name}" can never be reached: "{before.name}" matches before it; '
                "put the narrower rule first"
            )
        seen.setdefault(rule.when, rule)


def _leaves_unknown(before: Rule, rule: Rule) -> bool:
    """Tell whether numbers that are not known pass one rule and come to another with the same conditions."""
    return bool(before.when.ranges) and before.then == "allow" and rule.then != "allow"


def _holds_always(when: When) -> bool:
    names = all(not when.names(name) or _anything(when.names(name)) for name in NAMES)
    risks = not when.risk or set(when.risk) == set(RISKS)
    return names and risks and not when.trust and when.reversible is None and not when.ranges


def _anything(patterns: Iterable[str]) -> bool:
    return any(not each.strip("*") for each in patterns)
