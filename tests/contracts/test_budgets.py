"""What all budgets do, those in memory and those in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from interlock.core.budget import (
    ONE_STEP,
    Account,
    Amounts,
    Budgets,
    Facts,
    Landed,
    Limits,
    Scope,
)
from interlock.core.budget_memory import MemoryBudgets
from interlock.errors import BudgetSpent
from interlock.postgres.aside import Aside
from interlock.postgres.budgets import PostgresBudgets
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import open_pool


@asynccontextmanager
async def durable(url: str) -> AsyncIterator[PostgresBudgets]:
    """Budgets as one process has them."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url))
        locks, aside = ThreadLocks(url), Aside(url)
        stack.push_async_callback(locks.close)
        stack.push_async_callback(aside.close)
        yield PostgresBudgets(pool, aside, locks)


@pytest.fixture(params=["memory", "postgres"])
async def budgets(request: pytest.FixtureRequest) -> AsyncIterator[Budgets]:
    """Fresh budgets of each kind."""
    if request.param == "memory":
        yield MemoryBudgets()
        return
    async with durable(request.getfixturevalue("database_url")) as opened:
        yield opened


def run(limits: Limits | None = None, *, keep: float = 0.0, name: str = "r") -> Scope:
    """A run whose caller knows its limits."""
    return Scope(kind="run", name=name, default=limits or Limits(), keep=keep)


def tokens(count: int) -> Amounts:
    """A prompt of so many tokens."""
    return Amounts(input_tokens=count)


async def stands(budgets: Budgets, scope: Scope) -> Account:
    """How the budget of a scope stands."""
    return await budgets.account(scope.kind, scope.name)


# --- taking ---


async def test_what_is_reserved_is_held_until_it_is_settled(budgets: Budgets) -> None:
    """Then the part that was taken is spent, and the rest is free."""
    scope = run(Limits(tokens=100))
    assert await budgets.reserve([scope], tokens(70), key="a")
    held = await stands(budgets, scope)
    await budgets.settle([scope], tokens(20), key="a")
    after = await stands(budgets, scope)

    assert (held.held.tokens, held.spent.tokens) == (70, 0)
    assert (after.held.tokens, after.spent.tokens) == (0, 20)
    assert await budgets.left([scope]) == {"tokens": 80}


async def test_what_does_not_fit_is_refused_and_nothing_is_held(budgets: Budgets) -> None:
    """The error says whose budget, of what, and how much is left."""
    scope = run(Limits(tokens=100))
    await budgets.reserve([scope], tokens(70), key="a")
    with pytest.raises(BudgetSpent, match=r"run r .*31 tokens .* 30 of 100 tokens are left") as (
        told
    ):
        await budgets.reserve([scope], tokens(31), key="b")
    assert await budgets.reserve([scope], tokens(30), key="c")

    assert (told.value.scope, told.value.unit) == ("run r", "tokens")
    assert (await stands(budgets, scope)).held.tokens == 100


async def test_all_scopes_are_charged_or_none(budgets: Budgets) -> None:
    """The tenant refuses, so the run keeps what it has."""
    inner = run(Limits(tokens=100))
    tenant = Scope(kind="tenant", name="acme", ceiling=Limits(usd=0.5))
    with pytest.raises(BudgetSpent, match="tenant acme"):
        await budgets.reserve([inner, tenant], Amounts(input_tokens=9, usd=0.6), key="a")
    assert await budgets.left([inner]) == {"tokens": 100}

    await budgets.reserve([inner, tenant], Amounts(input_tokens=9, usd=0.5), key="b")
    assert await budgets.left([inner, tenant]) == {"tokens": 91, "usd": 0}


@pytest.mark.parametrize(
    ("limits", "fits", "too_much", "unit"),
    [
        (Limits(input_tokens=3), Amounts(input_tokens=3), Amounts(input_tokens=1), "input_tokens"),
        (
            Limits(output_tokens=3),
            Amounts(output_tokens=3),
            Amounts(output_tokens=1),
            "output_tokens",
        ),
        (
            Limits(tokens=3),
            Amounts(input_tokens=2, output_tokens=1),
            Amounts(output_tokens=1),
            "tokens",
        ),
        (Limits(usd=0.3), Amounts(usd=0.3), Amounts(usd=0.000000001), "usd"),
        (Limits(steps=2), Amounts(steps=2), Amounts(steps=1), "steps"),
        (Limits(seconds=1.5), Amounts(seconds=1.5), Amounts(seconds=0.001), "seconds"),
        (Limits(model_calls=1), Amounts(model_calls=1), Amounts(model_calls=1), "model_calls"),
        (Limits(actions=1), Amounts(actions=1), Amounts(actions=1), "actions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_unit_is_limited_to_its_last(
    budgets: Budgets, limits: Limits, fits: Amounts, too_much: Amounts, unit: str
) -> None:
    """All of it may be taken, and not the least more; what is not limited does not matter."""
    scope = run(limits)
    await budgets.reserve([scope], fits, key="a")
    with pytest.raises(BudgetSpent) as told:
        await budgets.reserve([scope], too_much, key="b")
    other = Amounts(input_tokens=9) if unit == "actions" else Amounts(actions=9)
    await budgets.reserve([scope], other, key="c")

    assert told.value.unit == unit


async def test_small_sums_of_money_add_up(budgets: Budgets) -> None:
    """Ten times ten cents is a dollar, however computers write them."""
    scope = run(Limits(usd=1.0))
    for number in range(10):
        await budgets.reserve([scope], Amounts(usd=0.1), key=f"k{number}")
        await budgets.settle([scope], Amounts(usd=0.1), key=f"k{number}")

    assert (await stands(budgets, scope)).spent.usd == 1.0
    with pytest.raises(BudgetSpent):
        await budgets.reserve([scope], Amounts(usd=0.000001), key="more")


async def test_what_takes_nothing_fits_always(budgets: Budgets) -> None:
    """A recorded answer, say."""
    scope = run(Limits(tokens=0, usd=0.0, actions=0))

    assert await budgets.reserve([scope], Amounts(), key="a")


async def test_without_scopes_nothing_is_limited(budgets: Budgets) -> None:
    """Nobody is charged."""
    assert await budgets.reserve([], tokens(5), key="a")
    await budgets.settle([], tokens(5), key="a")
    await budgets.release("a")
    assert await budgets.left([]) == {}


# --- keys ---


async def test_key_is_taken_once(budgets: Budgets) -> None:
    """Also when it would not fit a second time."""
    scope = run(Limits(tokens=100))
    first = await budgets.reserve([scope], tokens(60), key="a")
    second = await budgets.reserve([scope], tokens(60), key="a")
    await budgets.settle([scope], tokens(50), key="a")
    third = await budgets.reserve([scope], tokens(60), key="a")

    assert (first, second, third) == (True, False, False)
    assert await budgets.left([scope]) == {"tokens": 50}


async def test_settling_and_releasing_happen_once(budgets: Budgets) -> None:
    """Whoever repeats them changes nothing."""
    scope = run(Limits(tokens=100))
    for key in ("a", "b"):
        await budgets.reserve([scope], tokens(30), key=key)
    for _ in range(2):
        await budgets.settle([scope], tokens(10), key="a")
        await budgets.release("b")
    await budgets.settle([scope], tokens(99), key="b")

    stood = await stands(budgets, scope)
    assert (stood.held.tokens, stood.spent.tokens) == (0, 10)


async def test_what_was_released_can_be_taken_again(budgets: Budgets) -> None:
    """An act that did nothing is tried again under its key."""
    scope = run(Limits(actions=1))
    await budgets.reserve([scope], Amounts(actions=1), key="a", at_once=True)
    await budgets.release("a")
    again = await budgets.reserve([scope], Amounts(actions=1), key="a", at_once=True)

    assert again
    assert (await stands(budgets, scope)).spent.actions == 1


async def test_what_is_taken_at_once_needs_no_settling(budgets: Budgets) -> None:
    """It is spent, and once more does not count; releasing it gives it back."""
    scope = run(Limits(steps=2))
    for _ in range(3):
        await budgets.reserve([scope], Amounts(steps=1), key="step 1", at_once=True)
    spent = (await stands(budgets, scope)).spent
    await budgets.release("step 1")

    assert spent.steps == 1
    assert await budgets.left([scope]) == {"steps": 2}


async def test_supersteps_are_charged_once_with_the_time(budgets: Budgets) -> None:
    """Those that were charged before, also before they began, are not charged again; the time is."""
    scope = run(Limits())
    await budgets.reserve([scope], Amounts(steps=1), key="step 1", at_once=True)
    await budgets.charge(
        [scope], Amounts(seconds=2), steps=["step 1", "step 2", "step 2", "step 3"]
    )
    await budgets.charge([scope], Amounts(seconds=1), steps=["step 3", "step 4"])

    assert (await stands(budgets, scope)).spent == Amounts(steps=4, seconds=3)


async def test_one_key_is_taken_and_given_back_by_many_at_once(budgets: Budgets) -> None:
    """Nobody waits in a circle, whatever the order of the budgets they name, and nothing is left."""
    scopes = [run(), Scope(kind="graph", name="g"), Scope(kind="tenant", name="a")]

    async def take(number: int) -> None:
        named = scopes if number % 2 else scopes[::-1]
        for key in ("act", f"own {number}"):
            if await budgets.reserve(named, tokens(5), key=key, at_once=number % 3 == 0):
                await budgets.release(key)
            await budgets.settle(named, tokens(0), key=key)

    await asyncio.gather(*map(take, range(60)))

    for scope in scopes:
        account = await stands(budgets, scope)
        assert (account.spent, account.held) == (Amounts(), Amounts())


async def test_of_a_sum_under_a_key_only_what_it_grew_by_is_charged(budgets: Budgets) -> None:
    """Who does not know whether a charge arrived says it again, with what came since; another key is another sum."""
    scope = run()

    await budgets.charge([scope], Amounts(seconds=2), key="clock a")
    await budgets.charge([scope], Amounts(seconds=2), key="clock a")
    await budgets.charge([scope], Amounts(seconds=5), key="clock a", steps=["step 1"])
    await budgets.charge([scope], Amounts(seconds=1), key="clock b", steps=["step 1"])

    assert (await stands(budgets, scope)).spent == Amounts(seconds=6, steps=1)


async def test_unknown_key_is_charged_and_not_released(budgets: Budgets) -> None:
    """What nobody reserved was taken all the same; what nobody took cannot be given back."""
    scope = run(Limits(tokens=100))
    await budgets.release("a")
    await budgets.settle([scope], tokens(40), key="a")

    assert (await stands(budgets, scope)).spent.tokens == 40


# --- what was taken ---


async def test_more_than_was_reserved_is_charged_in_full_and_seen(budgets: Budgets) -> None:
    """The budget is overdrawn, and says by how much."""
    scope = run(Limits(tokens=100))
    await budgets.reserve([scope], tokens(90), key="a")
    await budgets.settle([scope], Amounts(input_tokens=80, output_tokens=50), key="a")
    stood = await stands(budgets, scope)

    assert stood.spent.tokens == 130
    assert (stood.over.output_tokens, stood.over.input_tokens) == (50, 0)
    assert await budgets.left([scope]) == {"tokens": 0}


async def test_what_was_counted_by_us_is_told(budgets: Budgets) -> None:
    """As a number of calls."""
    scope = run()
    for key, estimated in (("a", True), ("b", False), ("c", True)):
        await budgets.settle([scope], tokens(1), key=key, facts=Facts(estimated=estimated))

    assert (await stands(budgets, scope)).estimated == 2


async def test_what_was_taken_already_is_charged_whatever_the_limit(budgets: Budgets) -> None:
    """Time passes, and the next reservation is refused."""
    scope = run(Limits(seconds=1.0))
    await budgets.charge([scope], Amounts(seconds=0.7))
    await budgets.charge([scope], Amounts(seconds=0.7))

    assert (await stands(budgets, scope)).spent.seconds == 1.4
    assert await budgets.left([scope]) == {"seconds": 0}
    with pytest.raises(BudgetSpent):
        await budgets.reserve([scope], Amounts(seconds=0.1), key="a")


# --- limits ---


async def test_stored_limit_stands_over_the_callers_default(budgets: Budgets) -> None:
    """Unit by unit; the default holds where nothing is stored."""
    scope = run(Limits(tokens=100, actions=1))
    await budgets.limit("run", "r", Limits(tokens=200))

    assert await budgets.left([scope]) == {"tokens": 200, "actions": 1}


async def test_ceiling_holds_whatever_is_stored(budgets: Budgets) -> None:
    """The tightest counts."""
    scope = Scope(kind="run", name="r", ceiling=Limits(tokens=100))
    await budgets.limit("run", "r", Limits(tokens=200, usd=1.0))
    with pytest.raises(BudgetSpent, match="100 tokens"):
        await budgets.reserve([scope], tokens(101), key="a")

    assert await budgets.left([scope]) == {"tokens": 100, "usd": 1}


async def test_raised_limit_holds_at_once(budgets: Budgets) -> None:
    """What is spent stays spent."""
    await budgets.limit("tenant", "acme", Limits(tokens=10))
    scope = Scope(kind="tenant", name="acme")
    await budgets.reserve([scope], tokens(10), key="a")
    with pytest.raises(BudgetSpent):
        await budgets.reserve([scope], tokens(1), key="b")
    await budgets.limit("tenant", "acme", Limits(tokens=11, landing=0.5))
    await budgets.reserve([scope], tokens(1), key="b")

    assert (await stands(budgets, scope)).limits == Limits(tokens=11, landing=0.5)
    await budgets.limit("tenant", "acme", Limits())
    assert await budgets.left([scope]) == {}


@pytest.mark.parametrize(
    ("limits", "keep", "usable"),
    [
        (Limits(tokens=1000), 0.2, {"tokens": 800}),
        (Limits(usd=2.0), 0.25, {"usd": 1.5}),
        (Limits(model_calls=10), 0.15, {"model_calls": 8}),
        (Limits(actions=30), 0.1, {"actions": 27}),
        (Limits(steps=10), 0.01, {"steps": 9}),
        (Limits(steps=10), ONE_STEP, {"steps": 9}),
        (Limits(tokens=10), ONE_STEP, {"tokens": 10}),
        (Limits(tokens=10), 0.0, {"tokens": 10}),
    ],
    ids=["tokens", "money", "calls", "no dust", "steps", "a step alone", "no tokens", "none"],
)
async def test_kept_share_is_for_landing_only(
    budgets: Budgets, limits: Limits, keep: float, usable: dict[str, float]
) -> None:
    """Who does not land cannot take it; who lands can."""
    (unit, most), (limit,) = *usable.items(), limits.given().values()
    assert await budgets.left([run(limits, keep=keep)]) == usable
    wanted = {
        "tokens": Amounts(input_tokens=int(most)),
        "usd": Amounts(usd=most),
        "model_calls": Amounts(model_calls=int(most)),
        "actions": Amounts(actions=int(most)),
        "steps": Amounts(steps=int(most)),
    }[unit]
    await budgets.reserve([run(limits, keep=keep)], wanted, key="a")
    one = Amounts(input_tokens=1, usd=0.01, steps=1, model_calls=1, actions=1)
    if usable != limits.given():
        with pytest.raises(BudgetSpent, match="are left"):
            await budgets.reserve([run(limits, keep=keep)], one, key="b")
        await budgets.reserve([run(limits)], one, key="c")

    rest = limit - most - (1 if unit != "usd" else 0.01) * (usable != limits.given())
    assert await budgets.left([run(limits)]) == {unit: pytest.approx(rest)}


async def test_landing_is_noted_once(budgets: Budgets) -> None:
    """The first reason stays."""
    first = Landed(step=3, reason="the tokens are spent", unit="tokens", scope="run r")
    second = Landed(step=5, reason="the money is spent", unit="usd", scope="run r")
    noted = [await budgets.land("r", each) for each in (first, second)]

    assert noted == [first, first]
    assert (await stands(budgets, run())).landed == first


# --- side by side ---


@pytest.mark.parametrize("limit", [0, 1, 7, 24, 25, 63, 64])
async def test_many_at_once_never_take_more_than_there_is(budgets: Budgets, limit: int) -> None:
    """Each wants one; as many get it as there are, in whatever order they come."""
    scopes = [
        run(Limits(model_calls=limit)),
        Scope(kind="thread", name="t"),
        Scope(kind="tenant", name="acme"),
    ]

    async def call(number: int) -> bool:
        mixed = scopes if number % 2 else scopes[::-1]
        try:
            await budgets.reserve(mixed, Amounts(model_calls=1), key=f"k{number}")
        except BudgetSpent:
            return False
        await budgets.settle(mixed, Amounts(model_calls=1), key=f"k{number}")
        return True

    got = await asyncio.gather(*map(call, range(64)))

    assert sum(got) == limit
    for scope in scopes:
        stood = await stands(budgets, scope)
        assert (stood.spent.model_calls, stood.held.model_calls) == (limit, 0)


async def test_other_loops_and_synchronous_code_take_from_the_same(budgets: Budgets) -> None:
    """A thread with a loop of its own, and one that blocks this loop."""
    scope = run(Limits(tokens=100))
    await budgets.reserve([scope], tokens(10), key="here")

    async def elsewhere() -> None:
        async def work(own: Budgets) -> None:
            await own.reserve([scope], tokens(20), key="elsewhere")

        await budgets.run(work)

    async def waiting(own: Budgets) -> bool:
        return await own.reserve([scope], tokens(30), key="waiting")

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert budgets.wait(waiting)
    assert await budgets.left([scope]) == {"tokens": 40}


# --- budgets that refuse again and again ---


async def test_a_spent_budget_that_is_asked_again_is_not_written_to(database_url: str) -> None:
    """Once it has refused: no version of a row is left behind, until there is something left; a known key is known."""
    scopes = [Scope(kind="thread", name="t"), run(Limits(tokens=100))]
    rows = "select ctid::text, xmin::text from interlock.budgets order by kind"
    entries = "select key, ctid::text from interlock.budget_entries"
    async with durable(database_url) as budgets, open_pool(database_url) as pool:
        assert await budgets.reserve(scopes, tokens(60), key="a")
        told = []
        for number in range(10):
            with pytest.raises(BudgetSpent) as refused:
                await budgets.reserve(scopes, tokens(80), key=f"b{number}")
            told.append(str(refused.value))
            if number in {0, 9}:
                async with pool.connection() as connection:
                    found = [
                        await (await connection.execute(each)).fetchall()
                        for each in (rows, entries)
                    ]
                told.append(str(found))
        known = await budgets.reserve(scopes, tokens(80), key="a")
        await budgets.settle(scopes, tokens(10), key="a")
        taken = await budgets.reserve(scopes, tokens(80), key="b")

        assert len(set(told)) == 2  # one refusal, and the same rows after the first and the last
        assert (known, taken) == (False, True)
        assert await budgets.left(scopes) == {"tokens": 10}


# --- processes that die ---


async def test_what_a_dead_process_held_is_given_back(database_url: str) -> None:
    """When somebody would be refused otherwise; what it settled stays spent."""
    scope = run(Limits(tokens=100))
    async with durable(database_url) as living:
        async with durable(database_url) as dying:
            await dying.reserve([scope], tokens(60), key="lost")
            await dying.settle([scope], tokens(10), key="other")
            with pytest.raises(BudgetSpent):
                await living.reserve([scope], tokens(80), key="a")
        await living.reserve([scope], tokens(80), key="a")

        assert await living.left([scope]) == {"tokens": 10}
        assert await living.sweep() == 0


async def test_who_was_taken_for_dead_is_charged_all_the_same(database_url: str) -> None:
    """It lost its connection only, and its call went on."""
    scope = run(Limits(tokens=100))
    async with durable(database_url) as living:
        async with durable(database_url) as other:
            await other.reserve([scope], tokens(60), key="a")
        assert await living.sweep() == 1
        assert await living.left([scope]) == {"tokens": 100}
        await living.settle([scope], tokens(50), key="a")

        assert await living.left([scope]) == {"tokens": 50}
