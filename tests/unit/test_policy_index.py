"""The index finds the rule that a plain loop finds, for any rules and any facts."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.policy import Facts, Policy
from interlock.core.policy_rules import Range, Rule, When
from interlock.core.trust import Earning, TrustRules

WORDS = ["a", "b", "ab", "ba", "A", "", "a*b"]
PATTERNS = ["a", "b", "ab", "a*", "*b", "?", "*", "A"]
NUMBERS = [-1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 1e300]
EVERYBODY = TrustRules(earnings=(Earning(start="act"),), irreversible_at_most="act", spot_check=0)


def seldom(strategy: st.SearchStrategy[Any], otherwise: object) -> st.SearchStrategy[Any]:
    """Most conditions are left out, or hardly a rule would match."""
    return st.one_of(*[st.just(otherwise)] * 4, strategy)


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


bound = st.one_of(st.none(), st.sampled_from(NUMBERS))
ranges = st.builds(Range, over=bound, at_least=bound, under=bound, at_most=bound)
whens = st.builds(
    When,
    action=seldom(some(PATTERNS), ()),
    graph=seldom(some(PATTERNS), ()),
    agent=seldom(some(PATTERNS), ()),
    tenant=seldom(some(PATTERNS), ()),
    risk=seldom(some(["low", "medium", "high", "critical"]), ()),
    trust=seldom(some(["shadow", "ask", "act"]), ()),
    reversible=seldom(st.booleans(), None),
    amount=seldom(ranges, None),
    cost=seldom(ranges, None),
    confidence=seldom(ranges, None),
)
rules = st.lists(st.tuples(whens, st.sampled_from(["allow", "ask", "deny"])), max_size=12)
numbers = st.sampled_from([*NUMBERS, 0.3, -7.0, 3e300, math.nan, math.inf, -math.inf])
facts = st.builds(
    Facts,
    action=st.sampled_from(WORDS),
    graph=st.sampled_from(WORDS),
    agent=st.sampled_from(WORDS),
    tenant=st.sampled_from(WORDS),
    risk=st.sampled_from(["low", "medium", "high", "critical"]),
    reversible=st.booleans(),
    trust=st.sampled_from(["shadow", "ask", "act"]),
    amount=st.one_of(st.none(), numbers, st.floats()),
    cost=numbers,
    confidence=st.one_of(st.none(), numbers),
)


def matches(when: When, then: str, given: Facts) -> bool:
    """Every condition, one after the other, written down anew."""
    for name in ("action", "graph", "agent", "tenant"):
        wanted, value = getattr(when, name), getattr(given, name)
        if wanted and not any(fnmatchcase(value, each) for each in wanted):
            return False
    if when.risk and given.risk not in when.risk:
        return False
    if when.trust and given.trust not in when.trust:
        return False
    if when.reversible is not None and when.reversible != given.reversible:
        return False
    pairs = [
        (getattr(when, name), getattr(given, name)) for name in ("amount", "cost", "confidence")
    ]
    return all(meant is None or in_range(meant, value, then) for meant, value in pairs)


def in_range(meant: Range, value: float | None, then: str) -> bool:
    if value is None or not math.isfinite(value):
        return then != "allow"
    checks = [
        meant.over is None or value > meant.over,
        meant.at_least is None or value >= meant.at_least,
        meant.under is None or value < meant.under,
        meant.at_most is None or value <= meant.at_most,
    ]
    return all(checks)


@given(rules, st.lists(facts, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_index_finds_what_a_loop_finds(
    drawn: list[tuple[When, Any]], asked: list[Facts]
) -> None:
    """The first rule that matches decides, with the index and in the explanation too."""
    made = [
        Rule(name=f"rule {number}", when=when, then=then)
        for number, (when, then) in enumerate(drawn)
    ]
    last = Rule(name="otherwise", when=When(), then="ask")
    policy = Policy(name="drawn", rules=made, otherwise=last, trust=EVERYBODY)
    for each in asked:
        expected = next((r.name for r in made if matches(r.when, r.then, each)), "otherwise")

        assert policy.decide(each).rule == expected
        assert policy.explain(each).looked[-1].rule == expected
