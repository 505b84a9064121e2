"""How trust is earned and lost, with figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from interlock.core.trust import (
    NOBODY,
    Earning,
    Stage,
    Standing,
    TrustRules,
    after,
    lower,
    lower_bound,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULES = TrustRules(
    earnings=(
        Earning(agent=("support",), action=("mail",), at_most="ask"),
        Earning(agent=("support", "sales*"), action=("*",), start="ask"),
    ),
)


def at(stage: Stage, right: int = 0, wrong: int = 0, *, action: str = "refund") -> Standing:
    return Standing(agent="support", action=action, stage=stage, right=right, wrong=wrong)


@pytest.mark.parametrize(
    ("right", "wrong", "bound"),
    [
        (0, 0, 0.0),
        (0, 5, 0.0),
        (1, 0, 0.2699),  # 1 / (1 + 2.7055)
        (10, 0, 0.7871),  # 10 / (10 + 2.7055)
        (11, 0, 0.8026),
        (51, 0, 0.9496),
        (52, 0, 0.9505),
        (8, 2, 0.5408),
        (90, 10, 0.8396),
    ],
)
def test_the_lower_bound(right: int, wrong: int, bound: float) -> None:
    """Wilson's bound at 95 %, one-sided: z = 1.6449, and z² = 2.7055."""
    assert lower_bound(right, wrong, 0.95) == pytest.approx(bound, abs=5e-5)


def test_the_bound_is_below_the_share() -> None:
    """What is certain is less than what was seen, the more so the less was seen or the surer one must be."""
    assert lower_bound(9, 1, 0.95) < lower_bound(90, 10, 0.95) < 0.9
    assert lower_bound(9, 1, 0.99) < lower_bound(9, 1, 0.95)


@pytest.mark.parametrize(
    ("stage", "right", "moved"),
    [("shadow", 9, "shadow"), ("shadow", 10, "ask"), ("ask", 50, "ask"), ("ask", 51, "act")],
)
def test_up_on_evidence(stage: Stage, right: int, moved: Stage) -> None:
    """The eleventh right proposal leaves shadow (0.80), the fifty-second approval leaves ask (0.95)."""
    found = after(at(stage, right), True, RULES, reversible=True, now=NOW)

    assert found.stage == moved
    assert (found.right, found.since) == ((right + 1, None) if moved == stage else (0, NOW))


def test_one_stage_at_a_time() -> None:
    """However much was right, one judgement moves one stage."""
    assert after(at("shadow", 500), True, RULES, reversible=True, now=NOW).stage == "ask"


@pytest.mark.parametrize(
    ("stage", "falls_to", "moved"),
    [
        ("act", "ask", "ask"),
        ("act", "shadow", "ask"),
        ("act", "act", "act"),
        ("ask", "ask", "ask"),
        ("ask", "shadow", "shadow"),
        ("shadow", "ask", "shadow"),
        ("shadow", "shadow", "shadow"),
    ],
)
def test_down_at_once(stage: Stage, falls_to: Stage, moved: Stage) -> None:
    """One wrong outcome leads one stage down, not below the file's lowest, whatever was right before."""
    rules = TrustRules(earnings=RULES.earnings, falls_to=falls_to)
    found = after(at(stage, 99), False, rules, reversible=True, now=NOW)

    assert found.stage == moved
    assert (found.right, found.wrong) == ((99, 1) if moved == stage else (0, 0))


@pytest.mark.parametrize(("floor", "moved"), [("shadow", "shadow"), ("ask", "ask"), ("act", "act")])
def test_the_floor_for_what_cannot_be_undone(floor: Stage, moved: Stage) -> None:
    """An irreversible action goes up to the file's stage and never past it."""
    rules = TrustRules(earnings=RULES.earnings, irreversible_at_most=floor)
    standing = at("shadow", action="wire")
    for _ in range(200):
        standing = after(standing, True, rules, reversible=False, now=NOW)

    assert standing.stage == moved


def test_a_later_floor_leads_nobody_up() -> None:
    """Who stands past a floor that was set later is not moved by being right; the policy caps the stage."""
    found = after(at("act", 5), True, RULES, reversible=False, now=NOW)

    assert (found.stage, found.right) == ("act", 6)


def test_at_most() -> None:
    """A pair goes no further than its entry says."""
    found = after(at("ask", 500, action="mail"), True, RULES, reversible=True, now=NOW)

    assert (found.stage, found.right) == ("ask", 501)


def test_the_first_entry_that_covers_a_pair_holds() -> None:
    """The order of the file decides, and a name must fit exactly or by its pattern."""
    assert RULES.start("support", "mail").stage == "shadow"
    assert RULES.start("support", "refund").stage == "ask"
    assert RULES.earning("sales-eu", "refund") is RULES.earnings[1]
    assert RULES.earning("Support", "refund") is None


@pytest.mark.parametrize("right", [True, False])
def test_where_trust_is_not_earned(right: bool) -> None:
    """A judgement changes nothing."""
    assert after(at("ask", 3), right, NOBODY, reversible=True, now=NOW) == at("ask", 3)
    assert NOBODY.start("a", "b").stage == "ask"


def test_less_trust() -> None:
    """Of two stages the earlier one is the lower."""
    assert [lower("act", "ask"), lower("shadow", "act"), lower("ask", "ask")] == [
        "ask",
        "shadow",
        "ask",
    ]
