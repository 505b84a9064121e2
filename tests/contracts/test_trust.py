"""What every trust does, on the one in memory and on the one in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from interlock.core.policy import FixedPolicy, Policy
from interlock.core.policy_rules import Rule, When
from interlock.core.trust import Earning, MemoryTrust, Standing, Trust, TrustRules
from interlock.postgres.pool import open_pool
from interlock.postgres.trust import PostgresTrust

RULES = TrustRules(
    earnings=(
        Earning(agent=("support",), action=("refund", "mail"), start="ask"),
        Earning(agent=("trainee",), action=("*",), start="shadow"),
    ),
    leave_shadow=0.5,
    leave_ask=0.7,
)
POLICIES = FixedPolicy(
    Policy(
        name="test",
        rules=[],
        otherwise=Rule(name="otherwise", when=When(), then="allow"),
        trust=RULES,
    )
)


@pytest.fixture(params=["memory", "postgres"])
async def trust(request: pytest.FixtureRequest) -> AsyncIterator[Trust]:
    """A fresh trust of each kind."""
    if request.param == "memory":
        yield MemoryTrust(POLICIES)
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield PostgresTrust(pool, POLICIES)


@pytest.fixture(params=["memory", "postgres"])
async def no_trust(request: pytest.FixtureRequest) -> AsyncIterator[Trust]:
    """A fresh trust of each kind under a policy that says nothing of it."""
    if request.param == "memory":
        yield MemoryTrust()
        return
    async with open_pool(request.getfixturevalue("database_url"), size=2) as pool:
        yield PostgresTrust(pool)


async def judge_right(trust: Trust, agent: str, action: str, times: int) -> Standing:
    for number in range(times):
        standing = await trust.judge(
            agent, action, right=True, about=f"{agent} {action} {number}", reversible=True
        )
    return standing


async def test_it_begins_where_the_file_says(trust: Trust) -> None:
    """Who was never judged stands at the start of the first entry that covers the pair."""
    assert await trust.standing("support", "refund") == Standing(
        agent="support", action="refund", stage="ask"
    )
    assert (await trust.standing("trainee", "refund")).stage == "shadow"
    assert (await trust.standing("support", "wire")).stage == "ask"


async def test_it_is_earned(trust: Trust) -> None:
    """Six right judgements have a lower bound of 0.69, and seven one of 0.72: the seventh moves up."""
    assert (await judge_right(trust, "support", "refund", 6)).stage == "ask"

    seventh = await trust.judge("support", "refund", right=True, about="seventh", reversible=True)

    assert (seventh.stage, seventh.right, seventh.wrong) == ("act", 0, 0)
    assert seventh.since is not None
    assert await trust.standing("support", "refund") == seventh


async def test_it_is_lost_at_once(trust: Trust) -> None:
    """The first wrong outcome leads one stage down, where the count starts anew."""
    await judge_right(trust, "support", "refund", 8)

    fallen = await trust.judge("support", "refund", right=False, about="a wrong one")

    assert (fallen.stage, fallen.right, fallen.wrong) == ("ask", 0, 0)


async def test_pairs_are_apart(trust: Trust) -> None:
    """What an agent earns with one action says nothing of another one."""
    await judge_right(trust, "support", "refund", 7)

    assert (await trust.standing("support", "mail")).stage == "ask"
    assert (await trust.standing("trainee", "refund")).stage == "shadow"


async def test_one_judgement_about_one_thing(trust: Trust) -> None:
    """The second judgement about the same effect counts for nothing, whatever it says and of whom."""
    first = await trust.judge("support", "refund", right=True, about="e1", reversible=True)

    assert await trust.judge("support", "refund", right=True, about="e1") == first
    assert await trust.judge("support", "refund", right=False, about="e1") == first
    other = await trust.judge("support", "mail", right=False, about="e1")
    assert (other.right, other.wrong) == (0, 0)
    assert await trust.standing("support", "refund") == first


async def test_the_floor_holds(trust: Trust) -> None:
    """However often it was right, an irreversible action stays at the stage that the file names."""
    for number in range(40):
        standing = await trust.judge("support", "refund", right=True, about=str(number))

    assert (standing.stage, standing.right) == ("ask", 40)


async def test_judged_at_the_same_time(trust: Trust) -> None:
    """Of many judgements at once each is counted, and of those about the same thing one."""
    about = [f"effect {number // 2}" for number in range(12)]
    await asyncio.gather(
        *(trust.judge("support", "refund", right=False, about=each) for each in about)
    )

    assert (await trust.standing("support", "refund")).wrong == 6


async def test_odd_names(trust: Trust) -> None:
    """A reason and a name that Postgres cannot hold as they are cost no judgement."""
    standing = await trust.judge(
        "trainee", "wi\0re", right=False, about="e\0", reason="half a \ud83d character"
    )

    assert standing.wrong == 1


async def test_nobody_earns_where_the_policy_is_silent(no_trust: Trust) -> None:
    """Without rules of trust a judgement changes nothing."""
    standing = await judge_right(no_trust, "support", "refund", 30)

    assert standing == Standing(agent="support", action="refund", stage="ask")


async def test_two_processes_see_one_standing(database_url: str) -> None:
    """Judgements over two pools, as two processes make them, add up."""
    async with open_pool(database_url, size=2) as one, open_pool(database_url, size=2) as other:
        trusts = [PostgresTrust(one, POLICIES), PostgresTrust(other, POLICIES)]
        await asyncio.gather(
            *(
                trusts[number % 2].judge("trainee", "wire", right=False, about=str(number % 10))
                for number in range(20)
            )
        )

        assert (await trusts[0].standing("trainee", "wire")).wrong == 10
        assert [each.wrong for each in await trusts[1].standings()] == [10]


async def test_a_judgement_can_be_looked_up(database_url: str) -> None:
    """Who judged twice is told what was judged before; a judgement that did not count leaves nothing."""
    async with open_pool(database_url, size=2) as pool:
        trust = PostgresTrust(pool, POLICIES)
        await trust.judge("support", "refund", right=False, about="e1", reason="paid twice")
        await trust.judge("support", "mail", right=True, about="e1")

        found = await trust.judgement("e1")
        assert found is not None
        assert (found.agent, found.action, found.right, found.reason) == (
            "support",
            "refund",
            False,
            "paid twice",
        )
        assert await trust.judgement("e2") is None
        assert [each.action for each in await trust.standings()] == ["refund"]
