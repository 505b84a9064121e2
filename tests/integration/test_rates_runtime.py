"""Rate limits, breakers and fallback models under the runtime: a provider's own client, and a server on loopback."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import interlock
from interlock import Interlock
from interlock.core.budget import Limits
from interlock.core.models import ChatModels
from interlock.core.rates import Rate, Waiting
from interlock.core.transient import status
from interlock.errors import BudgetSpent
from interlock.settings import Settings
from tests.openai_server import Answer, Calls, Fails, OpenAIServer, Request, Says, Wire

CONFIG = Path(__file__).parents[1] / "sample" / "paced" / "langgraph.json"
Open = Callable[..., AbstractAsyncContextManager[Interlock]]
GPT, OTHER = "openai:gpt-5", "openai:gpt-4o"


def served(request: Request) -> Answer:
    """Answer with the number of the question."""
    return Says(text=f"said {request.messages[-1][1]}")


@contextmanager
def provider(
    *script: Answer, answer: Callable[[Request], Answer] | None = None
) -> Iterator[OpenAIServer]:
    """A server that follows a script, or asks a function."""
    with OpenAIServer(*script, answer=answer) as server:
        yield server


@pytest.fixture
def opened(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Interlock]]:
    """The runtime with a provider, and with what a file declares."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    def make(
        server: OpenAIServer, toml: str = "", **given: Any
    ) -> AbstractAsyncContextManager[Interlock]:
        file = tmp_path / "rates.toml"
        file.write_text(toml)
        settings = Settings(rates=file, tenant=given.get("tenant", ""))
        models = ChatModels(base_url=server.base_url, max_retries=0, max_tokens=given.get("cap"))
        return interlock.aopen(database_url, config=CONFIG, settings=settings, models=models)

    return make


def models_asked(server: OpenAIServer) -> list[str]:
    """The models that requests named, in their order."""
    return [each.body["model"] for each in server.requests]


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What stands in the database."""
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110  # it waits for another task's row
            await asyncio.sleep(0.02)


def nobody_waits(il: Interlock) -> Callable[[], Awaitable[bool]]:
    async def looked() -> bool:
        return not await il.arate_waits()

    return looked


async def somebody_waits(il: Interlock) -> Sequence[Waiting]:
    """Wait until a call waits, and return who does."""

    async def looked() -> bool:
        return bool(await il.arate_waits())

    await until(looked)
    return await il.arate_waits()


@dataclass(frozen=True)
class Slow:
    """An answer that takes a moment, and counts how many are under way."""

    going: list[int]
    most: list[int]

    def send(self, request: Request, wire: Wire) -> None:
        """Answer."""
        self.going.append(1)
        self.most.append(len(self.going))
        time.sleep(0.15)
        self.going.pop()
        served(request).send(request, wire)


# --- limits ---


@pytest.mark.parametrize("graph", ["asks", "blocks"])
async def test_calls_go_at_the_rate_of_their_limit(opened: Open, graph: str) -> None:
    """Ten a second: five calls take four tenths of a second, side by side or one after the other."""
    toml = '[limits]\n"provider:openai" = { requests_per_minute = 600, burst_seconds = 0 }'
    with provider(answer=served) as server:
        async with opened(server, toml) as il:
            run = await il.ainvoke(graph, {"calls": 5})
        pauses = server.pauses

    assert run.output["said"] == [f"said question {n}" for n in range(5)]
    assert len(pauses) == 4
    assert min(pauses) > 0.05
    assert sum(pauses) >= 0.3


async def test_a_limit_that_is_stored_holds_for_what_runs(opened: Open) -> None:
    """Set while the runtime is open; and none is left when it is removed."""
    with provider(answer=served) as server:
        async with opened(server) as il:
            await il.aset_rate("model:openai:gpt-5", Rate(requests=120, burst=0.0))
            await il.ainvoke("asks", {"calls": 4})
            slow = sum(server.pauses)
            assert await il.aremove_rate("model:openai:gpt-5")
            await il.ainvoke("asks", {"calls": 4})

    assert slow >= 1.4
    assert sum(server.pauses[4:]) < 1.4


async def test_each_tenant_has_its_own_share(opened: Open) -> None:
    """`tenant:*` is a limit of each, in a row of its own."""
    toml = '[limits]\n"tenant:*" = { requests_per_minute = 1 }'
    with provider(answer=served) as server:
        async with opened(server, toml, tenant="acme") as il:
            await il.ainvoke("asks", {"calls": 1}, thread_id="a")
            waiting = asyncio.create_task(il.ainvoke("asks", {"calls": 1}, thread_id="b"))
            waits = await somebody_waits(il)
            async with opened(server, toml, tenant="other") as others:
                await others.ainvoke("asks", {"calls": 1}, thread_id="c")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            left = await il.arate_waits()

    [told] = waits
    assert (told.name, told.why, told.caller.tenant) == ("tenant:acme", "requests", "acme")
    assert (told.caller.thread_id, told.caller.node, told.caller.model) == ("b", "ask", GPT)
    assert left == []
    assert len(server.requests) == 2


async def test_tokens_are_reserved_and_corrected(opened: Open) -> None:
    """Each call is thought to take over a thousand of 60,000 and takes 18: what is left is what they took."""
    toml = '[limits]\n"provider:openai" = { tokens_per_minute = 60_000 }'
    with provider(answer=served) as server:
        async with opened(server, toml, cap=500) as il:
            began = time.monotonic()
            await il.ainvoke("blocks", {"calls": 20})
            took = time.monotonic() - began
            [stands] = [each for each in await il.arates() if each.name == "provider:openai"]

    assert took < 8  # without the correction more than ten
    assert stands.tokens is not None
    assert stands.tokens < 1


async def test_streams_wait_for_their_turn_and_give_back_their_slot(opened: Open) -> None:
    """Asynchronous and synchronous ones, which one slot lets through one after the other."""
    toml = '[limits]\n"provider:openai" = { concurrent = 1, tokens_per_minute = 600_000 }'
    with provider(Says(text="to be or"), Says(text="not to be")) as server:
        async with opened(server, toml) as il:
            run = await il.ainvoke("streams", {})
            stands = {each.name: each for each in await il.arates()}

    assert run.output["said"] == ["to be or", "not to be"]
    assert stands["provider:openai"].calls == 0


async def test_no_more_calls_are_under_way_than_may_be(opened: Open) -> None:
    """Six calls side by side, two at a time."""
    slow = Slow([], [])
    toml = '[limits]\n"provider:openai" = { concurrent = 2 }'
    with provider(answer=lambda _: slow) as server:
        async with opened(server, toml) as il:
            await il.ainvoke("asks", {"calls": 6})

    assert (len(server.requests), max(slow.most)) == (6, 2)


# --- waiting ---


SLOW = '[limits]\n"provider:openai" = { requests_per_minute = 1 }'


@pytest.mark.parametrize("graph", ["asks", "blocks"])
async def test_a_kill_reaches_a_call_that_waits(opened: Open, graph: str) -> None:
    """At once, also in a thread; the row of who waits is gone, and nothing was asked."""
    with provider(answer=served) as server:
        async with opened(server, SLOW) as il:
            await il.ainvoke("asks", {"calls": 1})
            waiting = asyncio.create_task(il.ainvoke(graph, {"calls": 1}, thread_id="w"))
            await somebody_waits(il)
            began = time.monotonic()
            await il.akill("thread", "w", reason="enough")
            run = await waiting
            took = time.monotonic() - began
            await until(nobody_waits(il))

    assert run.status == "killed"
    assert took < 3
    assert len(server.requests) == 1


async def test_a_call_that_waits_says_so_in_the_stream(opened: Open) -> None:
    """And holds no budget meanwhile, so that nobody is refused for it."""
    with provider(answer=served) as server:
        async with opened(server, SLOW) as il:
            await il.ainvoke("asks", {"calls": 1})
            told: dict[str, Any] = {}

            async def watch() -> None:
                async for part in il.astream("asks", {"calls": 1}, thread_id="w"):
                    if part["type"] == "custom":
                        told.update(part["data"])

            watching = asyncio.create_task(watch())
            await somebody_waits(il)

            async def holds_nothing() -> bool:
                return not (await il.abudget("thread", "w")).held.model_calls

            await until(holds_nothing)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching

    assert (told["event"], told["model"], told["name"]) == (
        "interlock.waits",
        GPT,
        "provider:openai",
    )
    assert 50 < told["seconds"] <= 60


async def test_a_budget_that_does_not_suffice_is_told_before_anybody_waits(opened: Open) -> None:
    """It would have had to wait for a minute."""
    with provider(answer=served) as server:
        async with opened(server, SLOW) as il:
            await il.ainvoke("asks", {"calls": 1})
            began = time.monotonic()
            with pytest.raises(BudgetSpent):
                await il.ainvoke("asks", {"calls": 1}, limits=Limits(model_calls=0))

    assert time.monotonic() - began < 10
    assert len(server.requests) == 1


async def test_waiting_is_no_time_at_work(opened: Open) -> None:
    """A run that may work for a second and a half waits for three, and goes on."""
    toml = '[limits]\n"provider:openai" = { requests_per_minute = 20, burst_seconds = 0 }'
    with provider(answer=served) as server:
        async with opened(server, toml) as il:
            run = await il.ainvoke("asks", {"calls": 2}, limits=Limits(seconds=1.5), thread_id="t")
            account = await il.abudget("thread", "t")

    assert run.output["said"] == ["said question 0", "said question 1"]
    assert server.pauses[0] > 2.5
    assert account.spent.seconds < 1.5


# --- trying again ---


@pytest.mark.parametrize("graph", ["asks", "blocks", "streams"])
async def test_a_provider_that_says_later_is_asked_again_then(opened: Open, graph: str) -> None:
    """By the header's seconds; the run does not fail, and pays for one call."""
    busy = Fails(status=429, headers={"retry-after": "1"})
    with provider(busy, Says(text="Bern"), Says(text="Bern")) as server:
        async with opened(server) as il:
            run = await il.ainvoke(graph, {"calls": 1}, thread_id="t")
            account = await il.abudget("thread", "t")
        pauses = server.pauses

    assert set(run.output["said"]) == {"Bern"}
    assert 0.9 < pauses[0] < 3
    assert account.spent.model_calls == len(run.output["said"])
    assert account.held.model_calls == 0


async def test_others_wait_too_when_a_provider_says_later(opened: Open) -> None:
    """The second run asks only after the second that the first was told."""
    busy = Fails(status=503, headers={"retry-after": "1"})
    with provider(busy, Says(text="a"), Says(text="b")) as server:
        async with opened(server) as il:
            first = asyncio.create_task(il.ainvoke("asks", {"calls": 1}))
            await somebody_waits(il)
            await il.ainvoke("asks", {"calls": 1})
            await first

    assert server.pauses[0] > 0.9
    assert len(server.requests) == 3


async def test_what_passes_by_itself_is_tried_again_and_then_told(opened: Open) -> None:
    """Five times; the error is the client's own, for whoever classifies it."""
    with provider(*[Fails(status=500)] * 5) as server:
        async with opened(server, "[breaker]\nfailures = 20\nof = 20") as il:
            with pytest.raises(Exception, match="Error code: 500") as told:
                await il.ainvoke("asks", {"calls": 1})

    assert len(server.requests) == 5
    assert status(told.value) == 500


async def test_a_bad_request_is_not_tried_again_and_counts_for_nothing(opened: Open) -> None:
    """Also when there are many of them."""
    with provider(*[Fails(status=400)] * 12) as server:
        async with opened(server) as il:
            for _ in range(12):
                with pytest.raises(Exception, match="Error code: 400"):
                    await il.ainvoke("asks", {"calls": 1})
            stands = {each.name: each for each in await il.arates()}

    assert len(server.requests) == 12
    assert all(each.breaker == "closed" and not each.failures for each in stands.values())


async def test_a_provider_that_asks_for_too_much_patience_is_not_waited_for(opened: Open) -> None:
    """The error goes up as it is."""
    with provider(Fails(status=429, headers={"retry-after": "300"})) as server:
        async with opened(server, "patience_seconds = 60") as il:
            began = time.monotonic()
            with pytest.raises(Exception, match="Error code: 429"):
                await il.ainvoke("asks", {"calls": 1})

    assert time.monotonic() - began < 20


# --- breakers and fallbacks ---

BREAKER = f"""
[breaker]
failures = 2
of = 4
open_seconds = 60

[fallbacks]
"{GPT}" = "{OTHER}"
"""


def broken(request: Request) -> Answer:
    """One model is out of order, the other answers."""
    if request.body["model"] == "gpt-5":
        return Fails(status=500, message="out of order")
    return (
        Calls(name="City", arguments='{"name": "Bern"}')
        if request.body.get("tools")
        else served(request)
    )


async def test_another_model_answers_while_one_is_out_of_order(
    opened: Open, database_url: str
) -> None:
    """Its answer is charged at its price, recorded as its own, and noted on the run; a replay finds it."""
    with provider(answer=broken) as server:
        async with opened(server, BREAKER) as il:
            first = await il.ainvoke("asks", {"calls": 1}, thread_id="a")
            stands = {each.name: each for each in await il.arates()}
            asked = len(server.requests)
            second = await il.ainvoke("blocks", {"calls": 1}, thread_id="b")
            third = await il.ainvoke("streams", {}, thread_id="c")
            replayed = await il.areplay("b")
            account = await il.abudget("thread", "b")
        after = models_asked(server)[asked:]

    assert first.output["said"] == second.output["said"] == ["said question 0"]
    assert third.output["said"] == ["said q", "said q"]
    assert stands[f"model:{GPT}"].breaker == "open"
    assert stands["provider:openai"].breaker == "closed"
    assert models_asked(server)[:asked] == ["gpt-5", "gpt-5", "gpt-4o"]
    assert after == ["gpt-4o"] * 3
    assert account.spent.usd == pytest.approx((11 * 2.5 + 7 * 10) / 1_000_000)
    assert account.held.model_calls == 0
    assert replayed.divergence is None
    calls = rows(database_url, "select model from interlock.model_calls order by 1")
    assert {model for (model,) in calls} == {OTHER}
    events = rows(
        database_url,
        "select thread_id, detail from interlock.run_events where kind = 'fallback' order by id",
    )
    assert [thread for thread, _ in events] == ["a", "b", "c", "c"]
    assert events[1][1] == {
        "asked": GPT,
        "model": OTHER,
        "why": "its breaker is open",
        "node": "ask",
    }


async def test_another_model_answers_in_the_form_that_was_asked_for(opened: Open) -> None:
    """A schema in one provider's way becomes a tool's call in the other's, and its arguments the answer."""
    with provider(answer=broken) as server:
        async with opened(server, BREAKER) as il:
            run = await il.ainvoke("typed", {})
            again = await il.ainvoke("typed", {}, thread_id="t")
            replayed = await il.areplay("t")
        body = server.requests[-1].body

    assert run.output["said"] == again.output["said"] == ["City Bern"]
    assert replayed.divergence is None
    assert "response_format" not in body
    assert json.dumps(body["tool_choice"]) == json.dumps(
        {"type": "function", "function": {"name": "City"}}
    )


async def test_the_budget_of_a_dearer_model_must_suffice(opened: Open) -> None:
    """It is refused before it is asked."""
    with provider(answer=broken) as server:
        async with opened(
            server, BREAKER.replace(f'= "{OTHER}"', '= "openai:o9-unpriced"'), cap=50
        ) as il:
            with pytest.raises(Exception, match="what openai:o9-unpriced costs is not known"):
                await il.ainvoke("asks", {"calls": 1}, limits=Limits(usd=1.0), thread_id="t")
            account = await il.abudget("thread", "t")

    assert set(models_asked(server)) == {"gpt-5"}
    assert (account.held.usd, account.spent.usd) == (0, 0)


async def test_a_provider_that_is_not_there_is_out_of_order_as_a_whole(opened: Open) -> None:
    """No answer at all speaks against the provider, and against each of its models."""
    with OpenAIServer() as gone:
        pass
    async with opened(gone, "[breaker]\nfailures = 3\nof = 4\nopen_seconds = 60\n", cap=5) as il:
        waiting = asyncio.create_task(il.ainvoke("asks", {"calls": 1}))
        waits = await somebody_waits(il)
        stands = {each.name: each for each in await il.arates()}
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert {waits[0].why} == {"breaker"}
    assert stands["provider:openai"].breaker == "open"
    assert stands[f"model:{GPT}"].breaker == "open"


async def test_a_breaker_closes_when_a_try_succeeds(opened: Open) -> None:
    """The call that waited for it makes the try, and its run goes on."""
    toml = "[breaker]\nfailures = 1\nof = 1\nopen_seconds = 0.5\n"
    with provider(Fails(status=500), Says(text="Bern")) as server:
        async with opened(server, toml) as il:
            run = await il.ainvoke("asks", {"calls": 1})
            stands = {each.name: each for each in await il.arates()}

    assert run.output["said"] == ["Bern"]
    assert stands[f"model:{GPT}"].breaker == "closed"
    assert server.pauses[0] >= 0.45


@pytest.fixture(autouse=True)
async def nothing_is_left(database_url: str) -> AsyncIterator[None]:
    """After each test nobody waits, and no slot is held."""
    yield
    left = rows(
        database_url,
        "select key from interlock.rate_waits union all select key from interlock.rate_calls",
    )
    assert left == []
