"""What a decision of the policy costs, for 10, 100 and 1,000 rules.

    python -m benchmarks.policy [--quick] [--json]

Rules are mixed: exact names, patterns, numbers, and both; some allow, some ask, some deny. Each round decides on facts
that match an early rule, a late one, and none; every tenth agent was never seen before, so that no answer about it is
kept. The peer is a plain loop over the same rules. Both take turns in each round; single decisions are timed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from statistics import mean, median, quantiles

from benchmarks import Contestant, Goal, Row, below, interleaved, options, report
from interlock.core.policy import Facts, Policy, Ruling
from interlock.core.policy_rules import Range, Rule, When, fits

SIZES = (10, 100, 1000)
DECISIONS = 300
"""Decisions in a round."""


def main() -> None:
    """Measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    rounds = 5 if given.quick else 30
    rows, goals = list[Row](), list[Goal]()
    for size in SIZES:
        policy = policy_of(size)
        seen = asyncio.run(_rounds(policy, rounds))
        rows += seen
        if size == SIZES[-1]:
            p95 = float(str(seen[0]["p95 ms"]))
            goals.append(below("a decision by 1,000 rules, p95", p95, "ms", 0.1))
    report(goals, rows, as_json=given.as_json)


async def _rounds(policy: Policy, rounds: int) -> list[Row]:
    def loop(each: Facts) -> Rule:
        return first_match(policy, each)

    size, times = len(policy.rules), dict[str, list[float]]()

    def contestant(name: str, decide: Callable[[Facts], object]) -> Contestant:
        fresh = count()
        times[name] = []

        async def decide_all() -> None:
            facts = facts_of(size, next(fresh))
            times[name] += [_milliseconds(decide, each) for each in facts]

        return decide_all

    _check_same(policy, facts_of(size, -1))
    contestants = {
        f"{size:,} rules, indexed": contestant("indexed", policy.decide),
        f"{size:,} rules, loop": contestant("loop", loop),
    }
    await interleaved(contestants, rounds=rounds, warmup=1)
    return [_row(name, each) for name, each in zip(contestants, times.values(), strict=True)]


def _row(name: str, times: Sequence[float]) -> Row:
    return {
        "name": name,
        "decisions/s": round(1000 / mean(times)),
        "median ms": round(median(times), 4),
        "p95 ms": round(quantiles(times, n=20)[-1], 4),
        "p99 ms": round(quantiles(times, n=100)[-1], 4),
    }


def _milliseconds(decide: Callable[[Facts], object], facts: Facts) -> float:
    begun = time.perf_counter()
    decide(facts)
    return (time.perf_counter() - begun) * 1000


def _check_same(policy: Policy, facts: Sequence[Facts]) -> None:
    for each in facts:
        decided, looped = policy.decide(each).rule, first_match(policy, each).name
        if decided != looped:
            raise RuntimeError(f"{each} is decided by {decided}, and by {looped} in a loop")


def first_match(policy: Policy, facts: Facts) -> Rule:
    """Return the rule that decides, found by looking at one after the other until one holds."""
    return next((each for each in policy.rules if matches(each, facts)), policy.otherwise)


def matches(rule: Rule, facts: Facts) -> bool:
    """Tell whether a rule of these matches, with no more work than that takes."""
    when = rule.when
    return (
        (not when.action or any(fits(facts.action, each) for each in when.action))
        and (not when.agent or any(fits(facts.agent, each) for each in when.agent))
        and (not when.tenant or facts.tenant in when.tenant)
        and (not when.risk or facts.risk in when.risk)
        and when.reversible in (None, facts.reversible)
        and (when.amount is None or facts.amount is None or when.amount.holds(facts.amount))
        and (when.cost is None or when.cost.holds(facts.cost))
    )


def policy_of(size: int) -> Policy:
    """Return a policy of mixed rules, the same in each process."""
    draw = random.Random(size)
    rulings: tuple[Ruling, ...] = ("allow", "ask", "deny")
    rules = [
        Rule(name=f"rule {number}", when=_when(number, draw), then=draw.choice(rulings))
        for number in range(size)
    ]
    last = Rule(name="otherwise", when=When(), then="ask")
    return Policy(name=f"{size} rules", rules=rules, otherwise=last)


def _when(number: int, draw: random.Random) -> When:
    low = draw.uniform(0, 1000)
    amount = Range(over=low, at_most=low + 50)
    match number % 5:
        case 0:
            return When(action=(f"action-{number}",))
        case 1:
            return When(action=(f"action-{number}",), amount=amount)
        case 2:
            return When(agent=(f"agent-{number}-*",), amount=amount)
        case 3:
            return When(tenant=(f"tenant-{number}",), risk=("high", "critical"))
        case _:
            return When(action=(f"kind-{number}-*",), reversible=False, cost=Range(over=low))


def facts_of(size: int, number: int) -> list[Facts]:
    """Return the facts of a round: some match an early rule, some a late one, some none."""
    draw = random.Random(size)
    late = 5 * ((size - 1) // 5)
    return [
        Facts(
            action=("action-0", f"action-{late}", "nothing")[place % 3],
            risk="medium",
            reversible=True,
            amount=draw.uniform(0, 1000),
            agent=f"agent {number} {place}" if place % 10 == 0 else "support",
            tenant="known",
        )
        for place in range(DECISIONS)
    ]


if __name__ == "__main__":
    main()
