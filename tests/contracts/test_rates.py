"""What all rate limits do, those in memory and those in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from interlock.core.rates import (
    Ask,
    Bound,
    BreakerRule,
    Caller,
    End,
    Outcome,
    Pushed,
    Rate,
    RatePlan,
    Rates,
    Slot,
)
from interlock.core.rates_memory import MemoryRates
from interlock.errors import UsageError
from interlock.postgres.aside import Aside
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool
from interlock.postgres.rates import PostgresRates

OPENAI = "provider:openai"
GPT = "model:openai:gpt-5"
PLAN = RatePlan(breaker=BreakerRule(failures=2, of=4, within=60.0, open=0.2))
_numbers = count(1)


@asynccontextmanager
async def durable(url: str, plan: RatePlan = PLAN) -> AsyncIterator[PostgresRates]:
    """Rate limits as one process has them."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url))
        locks, aside = ThreadLocks(url), Aside(url)
        stack.push_async_callback(locks.close)
        stack.push_async_callback(aside.close)
        yield PostgresRates(pool, aside, locks, plan)


@pytest.fixture(params=["memory", "postgres"])
async def rates(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    """Fresh rate limits of each kind."""
    if request.param == "memory":
        yield MemoryRates(PLAN)
        return
    async with durable(request.getfixturevalue("database_url")) as opened:
        yield opened


def ask(*rates: tuple[str, Rate], tokens: int = 0, breakers: tuple[str, ...] = ()) -> Ask:
    """A call that comes under some limits."""
    return Ask(
        key=f"call {next(_numbers)}",
        bounds=tuple(Bound(name=name, rate=rate) for name, rate in rates),
        breakers=breakers,
        tokens=tokens,
        caller=Caller(model="openai:gpt-5", run_id="r1", thread_id="t1", node="write"),
    )


def slow(requests: float = 60.0) -> tuple[str, Rate]:
    """A provider that takes a request a second, without a burst."""
    return (OPENAI, Rate(requests=requests, burst=0.0))


async def comes_again(rates: Rates, asked: Ask, slot: Slot) -> Slot:
    """Do as a call does that was told to wait: sleep, and ask again."""
    await asyncio.sleep(slot.seconds)
    return await rates.take(replace(asked, booked=slot.verdict == "wait", waited=True))


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110  # it waits for a clock
            await asyncio.sleep(0.02)


# --- rates ---


async def test_what_is_limited_goes_at_its_rate_in_the_order_in_which_it_came(rates: Rates) -> None:
    """One in two seconds: the first goes at once, and each other two seconds after the one before it."""
    slots = [await rates.take(ask(slow(30.0))) for _ in range(4)]

    assert [each.verdict for each in slots] == ["go", "wait", "wait", "wait"]
    assert [each.seconds for each in slots] == pytest.approx([0.0, 2.0, 4.0, 6.0], abs=1.0)
    assert {each.name for each in slots[1:]} == {OPENAI}
    assert {each.why for each in slots[1:]} == {"requests"}


async def test_who_waited_goes_when_it_is_its_turn(rates: Rates) -> None:
    """Although somebody came meanwhile, who stands behind it."""
    first, second = ask(slow()), ask(slow())
    await rates.take(first)
    slot = await rates.take(second)
    later = await rates.take(ask(slow()))
    again = await comes_again(rates, second, slot)

    assert (slot.verdict, again.verdict) == ("wait", "go")
    assert later.seconds > slot.seconds


async def test_a_burst_goes_at_once(rates: Rates) -> None:
    """Ten seconds of one in two seconds are five; the sixth waits."""
    limit = (OPENAI, Rate(requests=30.0, burst=10.0))
    slots = [await rates.take(ask(limit)) for _ in range(6)]

    assert [each.verdict for each in slots] == ["go"] * 5 + ["wait"]


async def test_tokens_are_taken_as_many_as_a_call_asks_for(rates: Rates) -> None:
    """1,000 a second: after a call of 2,000 the next waits for two seconds."""
    limit = (OPENAI, Rate(tokens=60_000.0))
    big = await rates.take(ask(limit, tokens=2_000))
    small = await rates.take(ask(limit, tokens=10))

    assert big.verdict == "go"
    assert small.why == "tokens"
    assert small.seconds == pytest.approx(1.01, abs=0.5)


async def test_tokens_that_a_call_did_not_take_come_back(rates: Rates) -> None:
    """It was thought to take 20,000 and took 500, so nobody waits."""
    limit = (OPENAI, Rate(tokens=60_000.0))
    await rates.store(*limit)
    big = ask(limit, tokens=20_000)
    await rates.take(big)
    held = await rates.take(ask(limit, tokens=10))
    await rates.settle(End(ask=big, tokens=500))
    [stands] = await rates.standing()

    assert held.seconds > 15
    assert stands.tokens is not None
    assert stands.tokens < 1


async def test_tokens_that_a_call_took_beyond_its_estimate_are_charged(rates: Rates) -> None:
    """It was thought to take 100 and took 30,000: the next waits for half a minute."""
    limit = (OPENAI, Rate(tokens=60_000.0))
    small = ask(limit, tokens=100)
    await rates.take(small)
    await rates.settle(End(ask=small, tokens=30_000))

    assert (await rates.take(ask(limit, tokens=10))).seconds == pytest.approx(29, abs=0.5)


async def test_all_limits_are_taken_or_none(rates: Rates) -> None:
    """A call that waits for its tenant's share takes none of the provider's."""
    provider, tenant = (OPENAI, Rate(requests=600.0, burst=0.0)), ("tenant:acme", Rate(requests=1))
    await rates.take(ask(tenant))
    held = await rates.take(ask(provider, tenant))
    stands = {each.name: each for each in await rates.standing()}

    assert (held.name, held.verdict) == ("tenant:acme", "wait")
    assert stands.keys() >= {OPENAI, "tenant:acme"}
    assert (await rates.take(ask((OPENAI, Rate(requests=600.0, burst=0.2))))).verdict == "go"


async def test_a_call_that_gives_up_leaves_the_line(rates: Rates) -> None:
    """Who comes after it does not stand behind it."""
    limit = slow(60.0)
    await rates.take(ask(limit))
    second = ask(limit)
    await rates.take(second)
    await rates.settle(End(ask=replace(second, booked=True, waited=True), made=False))
    third = await rates.take(ask(limit))

    assert third.seconds == pytest.approx(1.0, abs=0.2)
    assert [each.key for each in await rates.waiting()] != []
    assert second.key not in [each.key for each in await rates.waiting()]


# --- calls at one time ---


async def test_no_more_calls_are_made_at_one_time_than_may_be(rates: Rates) -> None:
    """The third goes when one of the first two has ended, however it ended."""
    limit = (OPENAI, Rate(concurrent=2))
    first, second, third = ask(limit), ask(limit), ask(limit)
    slots = [await rates.take(each) for each in (first, second, third)]
    await rates.settle(End(ask=first, outcomes=(Outcome(name=GPT, failed=1),)))
    again = await rates.take(replace(third, booked=True, waited=True))

    assert [each.verdict for each in slots] == ["go", "go", "wait"]
    assert (slots[2].why, again.verdict) == ("concurrent", "go")


# --- what is told ---


async def test_who_waits_is_told_of_with_what_for_and_until_when(rates: Rates) -> None:
    """And not any more when it went."""
    limit = slow()
    await rates.take(ask(limit))
    second = ask(limit)
    slot = await rates.take(second)
    [told] = await rates.waiting()
    [stands] = await rates.standing()
    await comes_again(rates, second, slot)

    assert (told.key, told.name, told.why) == (second.key, OPENAI, "requests")
    assert told.caller == second.caller
    assert 0 < (told.until - told.since).total_seconds() < 2
    assert stands.waiting == 1
    assert await rates.waiting() == []


async def test_an_idle_target_is_not_loud(rates: Rates) -> None:
    """What was only taken from needs no round trip of calls that are not limited."""
    await rates.take(ask(slow()))
    await rates.settle(End(ask=ask(slow())))

    assert (await rates.look()).loud == frozenset()


# --- limits that are stored ---


async def test_a_stored_limit_is_known_until_it_is_removed(rates: Rates) -> None:
    """It holds from the next look on."""
    await rates.store(OPENAI, Rate(requests=30, concurrent=2), by="kim")
    stored = (await rates.look()).stored
    [stands] = await rates.standing()
    gone = await rates.remove(OPENAI)

    assert stored == {OPENAI: Rate(requests=30, concurrent=2)}
    assert (stands.name, stands.rate.requests, stands.stored) == (OPENAI, 30, True)
    assert gone
    assert not await rates.remove(OPENAI)
    assert (await rates.look()).stored == {}


@pytest.mark.parametrize("removed", [False, True])
async def test_a_limit_that_was_a_mistake_is_not_paid_off(rates: Rates, removed: bool) -> None:
    """What was let through under it, and what a provider has said, is forgotten when it is changed or removed."""
    slow, right = Rate(tokens=1.0, requests=0.01), Rate(tokens=1e6, requests=1e6)
    await rates.store("tenant:*", slow)
    await rates.take(ask(("tenant:acme", slow), tokens=10_000))
    await rates.settle(End(ask=ask(), pushed=(Pushed(name="tenant:acme", seconds=60, told=""),)))
    late = await rates.take(ask(("tenant:acme", slow), tokens=10))
    if removed:
        await rates.remove("tenant:*")
    else:
        await rates.store("tenant:*", right)
    soon = await rates.take(ask(("tenant:acme", right), tokens=10, breakers=("tenant:acme",)))

    assert (late.verdict, soon.verdict) == ("wait", "go")


async def test_what_is_owed_to_a_limit_that_was_raised_is_paid_off_at_its_new_pace(
    rates: Rates,
) -> None:
    """Three in line at one a minute: under sixty a minute, as a file says by now, the next one waits for 3 seconds."""
    for _ in range(3):
        await rates.take(ask(slow(1.0)))
    before = await rates.take(ask(slow(1.0)))
    after = await rates.take(ask(slow(60.0)))

    assert before.seconds == pytest.approx(180.0, abs=1.0)
    assert after.seconds == pytest.approx(4.0, abs=0.5)


async def test_what_is_owed_to_a_limit_that_was_lowered_is_as_many_requests(rates: Rates) -> None:
    """Two were let through a moment ago, so a third waits for two times what a request takes by now."""
    limit = (OPENAI, Rate(requests=60.0, burst=2.0))
    went = [(await rates.take(ask(limit))).verdict for _ in range(2)]
    slot = await rates.take(ask(slow(6.0)))

    assert went == ["go", "go"]
    assert slot.seconds == pytest.approx(20.0, abs=8.0)


async def test_tokens_are_given_back_at_the_pace_at_which_they_are_owed(rates: Rates) -> None:
    """100 tokens were taken at one a second and 90 came back when there were ten a second: one second is left."""
    owed, now = (
        (OPENAI, Rate(tokens=60.0, burst=0.0)),
        (OPENAI, Rate(tokens=600.0, burst=0.0)),
    )
    big = ask(owed, tokens=100)
    await rates.take(big)
    held = await rates.take(ask(now, tokens=1))
    await rates.settle(End(ask=big, tokens=90))
    small = ask(now, tokens=1)
    after = await rates.take(replace(small, booked=True))

    assert held.seconds == pytest.approx(10.0, abs=0.5)
    assert after.seconds == pytest.approx(9.0, abs=0.5)


@pytest.mark.parametrize(
    "target", ["openai", "model:gpt-5", "provider:", "tenant:a/tenant:b", "x:y"]
)
async def test_what_is_no_target_is_refused(rates: Rates, target: str) -> None:
    """The error says how a target is written."""
    with pytest.raises(UsageError, match="provider:openai"):
        await rates.store(target, Rate(requests=1))


# --- providers that say when to come back ---


async def test_a_provider_that_says_later_is_left_alone_by_everybody(rates: Rates) -> None:
    """Also by calls that come under no limit."""
    failed = ask(breakers=(OPENAI, GPT))
    await rates.take(failed)
    pushed = Pushed(name=GPT, seconds=0.5, told="429")
    await rates.settle(End(ask=failed, pushed=(pushed,)))
    loud = (await rates.look()).loud
    slot = await rates.take(ask(breakers=(OPENAI, GPT)))
    other = await rates.take(ask(breakers=(OPENAI, "model:openai:gpt-4o")))
    stands = {each.name: each for each in await rates.standing()}

    assert loud == {GPT}
    assert (slot.verdict, slot.name, slot.why) == ("wait", GPT, "told")
    assert slot.seconds == pytest.approx(0.5, abs=0.2)
    assert other.verdict == "go"
    assert (stands[GPT].told, stands[GPT].not_before is not None) == ("429", True)


# --- breakers ---


async def fails(rates: Rates, times: int = 1) -> None:
    """Let calls fail."""
    for _ in range(times):
        asked = ask(breakers=(GPT,))
        assert (await rates.take(asked)).verdict == "go"
        await rates.settle(End(ask=asked, outcomes=(Outcome(name=GPT, failed=1, told="boom"),)))


async def test_a_breaker_opens_after_so_many_failures_of_the_last_calls(rates: Rates) -> None:
    """Two of four: successes between them count too."""
    await fails(rates)
    for _ in range(3):
        rates.worked([GPT])
    await fails(rates)
    closed = {each.name: each for each in await rates.standing()}[GPT]
    await fails(rates)
    opened = {each.name: each for each in await rates.standing()}[GPT]

    assert (closed.breaker, closed.failures) == ("closed", 1)
    assert (opened.breaker, opened.told) == ("open", "boom")
    assert (await rates.look()).loud == {GPT}
    assert (await rates.take(ask(breakers=(GPT,)))).verdict == "open"


async def test_one_call_finds_out_whether_a_provider_works_again(rates: Rates) -> None:
    """The others are held back until it knows; then all go."""
    await fails(rates, 2)
    probe, other = ask(breakers=(GPT,)), ask(breakers=(GPT,))
    held = await rates.take(probe)
    slot = await comes_again(rates, probe, held)
    beside = await rates.take(other)
    half = {each.name: each for each in await rates.standing()}[GPT]
    await rates.settle(End(ask=probe, outcomes=(Outcome(name=GPT, ok=1),)))

    assert (held.verdict, slot.verdict, slot.probes) == ("open", "go", True)
    assert (beside.verdict, half.breaker) == ("open", "half-open")
    assert (await rates.take(other)).verdict == "go"
    assert {each.name: each for each in await rates.standing()}[GPT].breaker == "closed"


async def test_a_breaker_stays_open_for_longer_each_time_that_a_try_fails(rates: Rates) -> None:
    """0.2 seconds, then 0.4."""
    await fails(rates, 2)
    probe = ask(breakers=(GPT,))
    slot = await comes_again(rates, probe, await rates.take(probe))
    failed = Outcome(name=GPT, failed=1, told="again")
    await rates.settle(End(ask=probe, outcomes=(failed,)))
    after = await rates.take(ask(breakers=(GPT,)))

    assert slot.probes
    assert after.verdict == "open"
    assert after.seconds == pytest.approx(0.4, abs=0.1)


async def test_a_try_that_was_broken_off_lets_the_next_one_try(rates: Rates) -> None:
    """It says nothing about the provider."""
    await fails(rates, 2)
    probe = ask(breakers=(GPT,))
    await comes_again(rates, probe, await rates.take(probe))
    await rates.settle(End(ask=probe, outcomes=(Outcome(name=GPT),)))

    assert (await rates.take(ask(breakers=(GPT,)))).probes
