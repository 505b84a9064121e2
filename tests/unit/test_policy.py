"""What a policy says of an action: the first rule that matches, and what trust makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.policy import (
    BUILT_IN,
    Escalation,
    Facts,
    FixedPolicy,
    Policy,
    PolicySource,
    Ruling,
    Stage,
    Terms,
    Verdict,
    sampled,
)
from interlock.core.policy_rules import Range, Rule, When
from interlock.core.trust import Earning, TrustRules

REFUND = Facts(action="refund", risk="medium", reversible=True, amount=20.0, agent="support")
TWO = Terms(who=("ana", "ben"), needed=2, within=3600.0)
LOOKER = Terms(who=("lea",))


def policy(*rules: Rule, otherwise: Ruling = "allow", trust: TrustRules | None = None) -> Policy:
    last = Rule(name="otherwise", when=When(), then=otherwise)
    return Policy(name="test", rules=rules, otherwise=last, trust=trust)


def rule(then: Ruling, *, name: str = "the rule", **when: Any) -> Rule:  # any condition
    return Rule(name=name, when=When(**when), then=then)


def trusting(*, start: Stage = "act", spot_check: float = 0.0) -> TrustRules:
    return TrustRules(
        earnings=(Earning(agent=("support",), action=("refund",), start=start),),
        spot_check=spot_check,
        terms=LOOKER,
    )


def test_without_a_file() -> None:
    """What cannot be undone is asked about, one person, without a deadline; all else is allowed."""
    asked = BUILT_IN.decide(Facts(action="wire", risk="low", reversible=False))
    allowed = BUILT_IN.decide(Facts(action="note", risk="critical", reversible=True))

    assert (asked.ruling, asked.rule, asked.terms) == ("ask", "irreversible", Terms())
    assert asked.reason == "What cannot be undone is asked about."
    assert (allowed.ruling, allowed.rule) == ("allow", "otherwise")
    assert not BUILT_IN.uses_trust


def test_the_first_match_decides() -> None:
    """A later rule that matches too says nothing."""
    found = policy(
        rule("deny", name="first", action=("refund",)), rule("allow", name="second", agent=("*",))
    ).decide(REFUND)

    assert (found.ruling, found.rule) == ("deny", "first")


def test_no_match() -> None:
    """What no rule is about follows the last word."""
    found = policy(rule("deny", action=("wire",)), otherwise="ask").decide(REFUND)

    assert (found.ruling, found.rule, found.reason) == ("ask", "otherwise", "No rule matches.")


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({"action": ("refund",)}, True),
        ({"action": ("Refund",)}, False),
        ({"action": ("wire", "re*")}, True),
        ({"action": ("refun?",)}, True),
        ({"action": ("refund?",)}, False),
        ({"action": ("ref",)}, False),
        ({"action": ("[r]efund",)}, False),
        ({"action": ("*",), "agent": ("other",)}, False),
        ({"tenant": ("*",)}, True),
        ({"tenant": ("?*",)}, False),
        ({"graph": ("shop",)}, False),
        ({"risk": ("low", "medium")}, True),
        ({"risk": ("high",)}, False),
        ({"reversible": True}, True),
        ({"reversible": False}, False),
        ({"trust": ("act",)}, False),
        ({"amount": Range(over=20)}, False),
        ({"amount": Range(at_least=20)}, True),
        ({"amount": Range(under=20)}, False),
        ({"amount": Range(at_most=20)}, True),
        ({"amount": Range(over=19.5, under=20.5)}, True),
        ({"cost": Range(at_most=0)}, True),
    ],
)
def test_conditions(when: dict[str, Any], matches: bool) -> None:  # any condition
    """Names are compared exactly, with `*` and `?` as the only wildcards; bounds are what their words say."""
    assert (policy(rule("deny", **when)).decide(REFUND).ruling == "deny") is matches


@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf"), -float("inf"), 10**400])
def test_an_unknown_amount_gets_nobody_further(unknown: float | None) -> None:
    """A rule that allows needs to know the amount; one that asks or denies does not."""
    facts = replace(REFUND, amount=unknown)
    small, large = Range(under=50), Range(over=500)

    assert policy(rule("allow", amount=small), otherwise="ask").decide(facts).ruling == "ask"
    assert policy(rule("ask", amount=large)).decide(facts).ruling == "ask"
    assert policy(rule("deny", amount=large)).decide(facts).ruling == "deny"
    assert policy(rule("deny", confidence=Range(under=0.5))).decide(REFUND).ruling == "deny"


def test_the_unknown_is_told() -> None:
    """Verdict and explanation say that a number was not known, and what that led to."""
    both = policy(
        rule("allow", name="small", amount=Range(under=50)),
        rule("ask", name="large", amount=Range(over=500)),
    )
    explanation = both.explain(replace(REFUND, amount=None))

    small, large = explanation.looked
    assert small.unmet == ("amount is not known, so not known to be under 50",)
    assert (large.unmet, large.unknown) == ((), ("amount",))
    assert explanation.verdict.reason == "Amount is over 500 (amount not known)."


def test_explained_up_to_the_rule_that_decides() -> None:
    """Each rule before it names every condition that does not hold; those behind it are not looked at."""
    explanation = policy(
        rule("deny", name="a", action=("wire", "pay*"), risk=("high",), reversible=False),
        rule("deny", name="b", amount=Range(over=20, at_most=50), trust=("shadow",)),
        rule("ask", name="c", agent=("support",)),
        rule("deny", name="d"),
    ).explain(REFUND)

    assert [(each.rule, each.unmet) for each in explanation.looked] == [
        (
            "a",
            (
                "action is refund, not wire or pay*",
                "risk is medium, not high",
                "it is reversible",
            ),
        ),
        ("b", ("trust is not earned here, not shadow", "amount is 20, not over 20 and at most 50")),
        ("c", ()),
    ]
    assert explanation.verdict.rule == "c"
    assert json.loads(json.dumps(explanation.to_json()))["looked"][2]["rule"] == "c"


def test_a_verdict_carries_its_terms() -> None:
    """Who is asked, and how, comes from the rule, and survives being stored."""
    asking = Rule(name="large", when=When(), then="ask", terms=TWO, because="It is much.")
    verdict = policy(asking).decide(REFUND)

    assert (verdict.terms, verdict.reason) == (TWO, "It is much.")
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_terms_are_stored_as_agreed() -> None:
    """The stored form is the one that questions are asked with; what is missing has its default."""
    terms = Terms(
        who=("ana",),
        within=14400.0,
        remind=3600.0,
        chain=(Escalation(after=7200.0, who=("cfo",)),),
        default="approve",
    )

    assert terms.to_json() == {
        "who": ["ana"],
        "needed": 1,
        "within": 14400.0,
        "remind": 3600.0,
        "chain": [{"after": 7200.0, "who": ["cfo"]}],
        "default": "approve",
    }
    assert Terms.from_json(json.loads(json.dumps(terms.to_json()))) == terms
    assert Terms.from_json({}) == Terms()


def test_the_digest_names_what_decides() -> None:
    """It changes with a rule, its place, the last word and trust, and not with the policy's name."""
    one, two = rule("deny", name="one", action=("a",)), rule("ask", name="two", action=("b",))
    digests = [
        policy(one, two).digest,
        policy(two, one).digest,
        policy(one).digest,
        policy(one, replace(two, terms=TWO)).digest,
        policy(one, two, otherwise="deny").digest,
        policy(one, two, trust=trusting()).digest,
    ]
    last = Rule(name="otherwise", when=When(), then="allow")

    assert len(set(digests)) == 6
    assert Policy(name="other", rules=[one, two], otherwise=last).digest == digests[0]
    assert policy(one, two).decide(REFUND).policy == digests[0]


def test_a_source() -> None:
    """A policy that stays as it is fits the port."""
    assert isinstance(FixedPolicy(), PolicySource)
    assert FixedPolicy().current() is BUILT_IN


# --- trust ---


@pytest.mark.parametrize(
    ("ruling", "stage", "decided", "shadow"),
    [
        ("allow", "shadow", "deny", True),
        ("ask", "shadow", "deny", True),
        ("deny", "shadow", "deny", False),
        ("allow", "ask", "ask", False),
        ("ask", "ask", "ask", False),
        ("deny", "ask", "deny", False),
        ("allow", "act", "allow", False),
        ("ask", "act", "ask", False),
        ("deny", "act", "deny", False),
    ],
)
def test_trust_only_tightens(ruling: Ruling, stage: Stage, decided: Ruling, shadow: bool) -> None:
    """In shadow nothing is done, at ask nothing is done unasked, and to act opens nothing that a rule closes."""
    found = policy(rule(ruling), trust=trusting()).decide(replace(REFUND, trust=stage))

    assert (found.ruling, found.shadow, found.rule) == (decided, shadow, "the rule")


def test_who_looks_when_only_trust_asks() -> None:
    """A rule that allows says nothing of whom to ask; the section on trust does."""
    found = policy(rule("allow"), trust=trusting()).decide(replace(REFUND, trust="ask"))

    assert found.terms == LOOKER
    assert found.reason == "Trust: support with refund has to ask each time."


@pytest.mark.parametrize("agent", ["other", "Support"])
def test_no_trust_where_it_is_not_earned(agent: str) -> None:
    """For a pair that the file does not name the rules hold as they are, whatever stage somebody states."""
    found = policy(rule("allow"), trust=trusting(start="shadow"))
    facts = replace(REFUND, agent=agent, trust="shadow")

    assert found.decide(facts).ruling == "allow"
    assert not found.trusts(agent, "refund")
    assert found.trusts("support", "refund")


def test_unless_trusted() -> None:
    """A rule may say that who has earned to act is not asked."""
    large = replace(rule("ask", amount=Range(over=10)), unless_trusted=True, terms=TWO)
    found = policy(large, trust=trusting())

    assert found.decide(replace(REFUND, trust="act")).ruling == "allow"
    assert found.decide(replace(REFUND, trust="act")).terms == Terms()
    assert found.decide(replace(REFUND, trust="ask")).ruling == "ask"
    assert found.decide(replace(REFUND, trust="act", amount=None)).ruling == "ask"


def test_spot_checks() -> None:
    """About the stated share of a trusted agent's acts is asked about, and each act always has the same fate."""
    found = policy(rule("allow"), trust=trusting(spot_check=0.25))
    verdicts = [
        found.decide(replace(REFUND, trust="act", key=f"effect {number}")) for number in range(2000)
    ]
    again = found.decide(replace(REFUND, trust="act", key="effect 7"))

    assert 420 < sum(each.spot_check for each in verdicts) < 580
    assert all((each.ruling == "ask") is each.spot_check for each in verdicts)
    assert all(each.terms == LOOKER for each in verdicts if each.spot_check)
    assert again == verdicts[7]


def test_a_spot_check_of_what_a_rule_asks_about_is_asked_by_its_terms() -> None:
    """Who is trusted past a rule is looked at by the people of that rule."""
    large = replace(rule("ask"), unless_trusted=True, terms=TWO)
    found = policy(large, trust=trusting(spot_check=1.0)).decide(replace(REFUND, trust="act"))

    assert (found.ruling, found.spot_check, found.terms) == ("ask", True, TWO)


def test_sampling_ends() -> None:
    """A share of none picks nothing, and one of everything all."""
    keys = [str(number) for number in range(500)]

    assert not any(sampled(key, 0.0) for key in keys)
    assert all(sampled(key, 1.0) for key in keys)


def test_the_floor() -> None:
    """However far an agent is said to be trusted, an irreversible action stays at the file's floor."""
    found = policy(rule("allow"), trust=trusting())
    wire = replace(REFUND, reversible=False, trust="act")

    assert found.decide(wire).ruling == "ask"
    assert found.explain(wire).stage == "ask"


def test_at_most() -> None:
    """A stage that was earned under another file counts as far as this one lets it."""
    trust = TrustRules(
        earnings=(Earning(agent=("support",), action=("refund",), at_most="ask"),), spot_check=0
    )

    assert policy(rule("allow"), trust=trust).decide(replace(REFUND, trust="act")).ruling == "ask"


def test_nobody_looked() -> None:
    """Where trust matters and nobody looked the standing up, it is where the file lets it begin."""
    assert policy(rule("allow"), trust=trusting(start="shadow")).decide(REFUND).shadow


def test_rules_on_trust() -> None:
    """A condition on trust sees the stage that holds, with the floor."""
    found = policy(rule("deny", trust=("act",)), trust=trusting())

    assert found.decide(replace(REFUND, trust="act")).ruling == "deny"
    assert found.decide(replace(REFUND, trust="act", reversible=False)).ruling == "ask"
    assert found.decide(replace(REFUND, trust="act", agent="other")).ruling == "allow"
