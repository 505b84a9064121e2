"""Model calls against a budget: what is reserved before and charged after them, in every way to call a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig

from interlock.core.allowance import Allowance
from interlock.core.budget import Account, Amounts, Limits, Scope
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.counting import tokens_of
from interlock.core.metering import Meter
from interlock.core.offline import OfflineModel, rule
from interlock.errors import BudgetSpent, RunCancelled, UsageError
from tests.spending import Priced
from tests.unit.test_structured import BERN, City, CityRequest

PROMPT = "The capital of Switzerland?"
ASKED = tokens_of([HumanMessage(PROMPT)])
FIRST = UUID(int=1)


class Spender:
    """A run with a budget, and its meter."""

    def __init__(self, **limits: Any) -> None:
        self.budgets = MemoryBudgets()
        run = Scope(kind="run", name="r", default=Limits(**limits))
        self.meter = Meter(allowance=Allowance(budgets=self.budgets, scopes=(run,)))

    @property
    def config(self) -> RunnableConfig:
        return {"callbacks": self.meter.handlers()}

    async def account(self) -> Account:
        return await self.budgets.account("run", "r")

    async def spent(self) -> tuple[int, int, int]:
        """Calls, tokens in and tokens out; nothing may be held any more."""
        account = await self.account()
        assert account.held == Amounts()
        spent = account.spent
        return spent.model_calls, spent.input_tokens, spent.output_tokens


class Watching(Priced):
    """Notes what is held while it is called."""

    spender: Any
    held: list[Amounts] = []  # noqa: RUF012  # pydantic copies it

    def _answer(self, messages: list[BaseMessage], copies: int) -> Any:
        self.held.append(self.spender.budgets.wait(_account).held)
        return super()._answer(messages, copies)


async def _account(budgets: Any) -> Account:
    found: Account = await budgets.account("run", "r")
    return found


# --- ways to call ---


async def test_call_is_held_while_it_is_under_way(spender: Spender) -> None:
    """The prompt as counted, and the whole of the answer that is allowed, at their price."""
    model = Watching(spender=spender, max_tokens=20)
    await model.ainvoke(PROMPT, spender.config)
    await asyncio.to_thread(model.invoke, PROMPT, spender.config)

    usd = round((ASKED * 2.5 + 20 * 10) / 1_000_000, 9)
    most = Amounts(input_tokens=ASKED, output_tokens=20, usd=usd, model_calls=1)
    assert model.held == [most, most]
    assert await spender.spent() == (2, 20, 10)


@pytest.fixture
def spender() -> Spender:
    return Spender()


async def test_synchronous_call_that_blocks_the_loop_is_charged(spender: Spender) -> None:
    """As a node does that calls a model the wrong way."""
    Priced().invoke(PROMPT, spender.config)

    assert await spender.spent() == (1, 10, 5)


async def test_batches_are_charged_call_by_call(spender: Spender) -> None:
    """Side by side, or one after the other."""
    await Priced().abatch([PROMPT] * 3, spender.config)
    await asyncio.to_thread(Priced().batch, [PROMPT] * 2, spender.config)

    assert await spender.spent() == (5, 50, 25)


class Streaming(Priced):
    """Streams its answer in pieces, and breaks off where it is told to."""

    breaks: bool = False

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._pieces()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for each in self._pieces():
            yield each

    def _pieces(self) -> Iterator[ChatGenerationChunk]:
        for word in ("It ", "is ", "Bern."):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        if self.breaks:
            raise ConnectionError("gone")
        usage = UsageMetadata(input_tokens=10, output_tokens=5, total_tokens=15)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))


async def test_streams_are_charged_at_their_end(spender: Spender) -> None:
    """With the usage of their last piece."""
    async for _ in Streaming().astream(PROMPT, spender.config):
        pass
    await asyncio.to_thread(lambda: list(Streaming().stream(PROMPT, spender.config)))

    assert await spender.spent() == (2, 20, 10)


async def test_broken_stream_is_charged_with_what_came(spender: Spender) -> None:
    """It was paid for; nobody told how much it was, so it is counted, and said to be."""
    with pytest.raises(ConnectionError):
        async for _ in Streaming(breaks=True).astream(PROMPT, spender.config):
            pass

    calls, asked, said = await spender.spent()
    assert (calls, asked) == (1, ASKED)
    assert 3 <= said <= 20
    assert (await spender.account()).estimated == 1


async def test_stream_that_nobody_reads_to_its_end_is_charged_in_full(spender: Spender) -> None:
    """The reader leaves; its provider may go on."""
    stream = Streaming().astream(PROMPT, spender.config)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert await spender.spent() == (1, ASKED, 20)


async def test_text_models_are_charged_too(spender: Spender) -> None:
    """They tell no usage, so it is counted."""
    model = FakeListLLM(responses=["Bern"])
    await model.ainvoke(PROMPT, spender.config)
    await asyncio.to_thread(model.invoke, PROMPT, spender.config)

    calls, asked, said = await spender.spent()
    assert (calls, asked) == (2, 2 * ASKED)
    assert said > 0


async def test_offline_model_is_free_but_counted(spender: Spender) -> None:
    """It is a call, of no tokens and no money, whatever is limited."""
    spender = Spender(usd=0.0, tokens=0)
    rule(CityRequest, City)(lambda _: BERN)
    request = CityRequest(country="Switzerland")
    answer = await OfflineModel().ainvoke("hi", spender.config, request=request, reply=City)

    assert City.model_validate_json(str(answer.content)) == BERN
    assert await spender.spent() == (1, 0, 0)


# --- what it takes ---


@pytest.mark.parametrize(
    ("parameters", "held"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_output_tokens": 9}, 9),
        ({"num_predict": 10}, 10),
        ({"options": {"num_predict": 11}}, 11),
        ({"generation_config": {"max_output_tokens": 12}}, 12),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": None}, 16_384),
        ({"max_tokens": -1}, 16_384),
        ({}, 16_384),
    ],
)
async def test_cap_on_the_answer_is_found_wherever_providers_put_it(
    spender: Spender, parameters: dict[str, Any], held: int
) -> None:
    """Where there is none, the provider's own limit holds: it stands in the price table."""
    model = Watching(spender=spender, max_tokens=None)
    await model.bind(**parameters).ainvoke(PROMPT, spender.config)

    assert [each.output_tokens for each in model.held] == [held]


async def test_usage_that_each_answer_repeats_is_charged_once(spender: Spender) -> None:
    """OpenAI tells the whole with every answer."""
    await Priced().bind(n=3).ainvoke(PROMPT, spender.config)

    assert await spender.spent() == (1, 10, 5)


async def test_cached_tokens_are_charged_at_their_price(spender: Spender) -> None:
    """As the provider tells it."""
    model = Priced(usage=(1000, 0), details={"cache_read": 800})
    await model.ainvoke(PROMPT, spender.config)

    usd = (await spender.account()).spent.usd
    assert usd == pytest.approx((200 * 2.5 + 800 * 1.25) / 1_000_000)


async def test_provider_that_tells_nothing_is_counted(spender: Spender) -> None:
    """Never more than was reserved, and said to be an estimate."""
    await Priced(usage=None).ainvoke(PROMPT, spender.config)

    calls, asked, said = await spender.spent()
    assert (calls, asked) == (1, ASKED)
    assert 0 < said <= 20
    assert (await spender.account()).estimated == 1


async def test_more_than_was_reserved_is_seen(spender: Spender) -> None:
    """A provider that does not keep its own cap."""
    await Priced(usage=(10, 25), max_tokens=20).ainvoke(PROMPT, spender.config)

    assert (await spender.account()).over == Amounts(output_tokens=5)


async def test_answer_of_an_applications_cache_is_free(spender: Spender) -> None:
    """The first call pays."""
    model = Priced(cache=InMemoryCache())
    for _ in range(3):
        await model.ainvoke(PROMPT, spender.config)

    assert await spender.spent() == (1, 10, 5)


# --- what fails ---


async def test_call_that_failed_costs_nothing(spender: Spender) -> None:
    """It had no answer."""
    with pytest.raises(ConnectionError):
        await Priced().failing(ConnectionError("gone")).ainvoke(PROMPT, spender.config)
    with pytest.raises(ConnectionError):
        Priced().failing(ConnectionError("gone")).invoke(PROMPT, spender.config)

    assert await spender.spent() == (0, 0, 0)


class CutOff(Exception):
    """What OpenAI's client raises for an answer that was cut off."""

    completion = SimpleNamespace(usage=SimpleNamespace(prompt_tokens=9, completion_tokens=4))


async def test_answer_that_its_client_threw_away_is_charged(spender: Spender) -> None:
    """It was paid for."""
    with pytest.raises(CutOff):
        await Priced().failing(CutOff()).ainvoke(PROMPT, spender.config)

    assert await spender.spent() == (1, 9, 4)


async def test_call_that_was_cancelled_is_charged_at_the_end(spender: Spender) -> None:
    """LangChain tells nobody; the run's end finds it."""
    model = Priced(waits=True)
    call = asyncio.create_task(model.ainvoke(PROMPT, spender.config))
    await asyncio.wait_for(model.begun.wait(), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await spender.meter.close()

    assert await spender.spent() == (1, ASKED, 20)
    assert (await spender.account()).estimated == 1


async def test_call_that_asks_for_its_turn_after_the_end_is_not_made(spender: Spender) -> None:
    """A thread had begun it, which no cancellation reaches, when its run ended: nobody would charge it."""
    call = replace(spender.meter.call(FIRST, [HumanMessage(PROMPT)], {}), waits=True)
    spender.meter.begun(FIRST, call)
    await spender.meter.close()

    for reserve in (spender.meter.admit, spender.meter.hold):
        with pytest.raises(RunCancelled):
            await reserve(FIRST)
    with pytest.raises(RunCancelled):
        spender.meter.admit_now(FIRST)
    assert await spender.spent() == (0, 0, 0)


async def test_call_whose_run_ends_while_it_is_reserved_is_not_made() -> None:
    """What was taken for it is given back."""
    spender, budgets = Spender(), Slow()
    spender.budgets = budgets
    spender.meter.allowance = replace(spender.meter.allowance, budgets=budgets)
    spender.meter.begun(FIRST, spender.meter.call(FIRST, [HumanMessage(PROMPT)], {}))
    asked = asyncio.create_task(spender.meter.admit(FIRST))
    await asyncio.wait_for(budgets.taken.wait(), 10)
    await spender.meter.close()
    budgets.told.set()

    with pytest.raises(RunCancelled):
        await asked
    assert await spender.spent() == (0, 0, 0)


class Slow(MemoryBudgets):
    """Takes what is asked for, and says so late."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = asyncio.Event()
        self.told = asyncio.Event()

    async def reserve(self, *args: Any, **kwargs: Any) -> bool:
        await super().reserve(*args, **kwargs)
        self.taken.set()
        await self.told.wait()
        return True


async def test_call_that_is_cancelled_while_it_is_reserved_holds_nothing() -> None:
    """The budget had been taken, and nobody was told any more; the call was never made."""
    spender, model = Spender(model_calls=1), Priced()
    budgets = Slow()
    spender.budgets = budgets
    spender.meter.allowance = replace(spender.meter.allowance, budgets=budgets)
    call = asyncio.create_task(model.ainvoke(PROMPT, spender.config))
    await asyncio.wait_for(budgets.taken.wait(), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await spender.meter.close()

    assert await spender.spent() == (0, 0, 0)
    assert model.asked == []


# --- what is refused ---


async def _called(call: Callable[[], Any]) -> Any:
    return call()


@pytest.mark.parametrize("synchronous", [False, True])
async def test_refused_call_is_not_made(synchronous: bool) -> None:
    """The error says what is missing, and the model is not asked."""
    spender, model = Spender(tokens=ASKED + 19), Priced()
    call = partial(model.invoke, PROMPT, spender.config)
    with pytest.raises(BudgetSpent, match=f"{ASKED + 20} tokens may be needed"):
        await (_called(call) if synchronous else model.ainvoke(PROMPT, spender.config))

    assert model.asked == []
    assert await spender.spent() == (0, 0, 0)


@pytest.mark.parametrize("synchronous", [False, True])
async def test_call_beside_a_refused_one_is_given_back(synchronous: bool) -> None:
    """Several prompts in one call: none is sent, and none stays reserved."""
    spender, model = Spender(model_calls=1), Priced()
    prompts: list[list[BaseMessage]] = [[HumanMessage(each)] for each in "abc"]
    handlers = spender.meter.handlers()
    call = partial(model.generate, prompts, callbacks=handlers)
    with pytest.raises(BudgetSpent):
        await (_called(call) if synchronous else model.agenerate(prompts, callbacks=handlers))

    assert model.asked == []
    assert await spender.spent() == (0, 0, 0)


async def test_refusal_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """LangChain warns of whatever a handler raises; nothing is wrong here."""
    with pytest.raises(BudgetSpent):
        await Priced().ainvoke(PROMPT, Spender(tokens=1).config)

    assert caplog.records == []


async def test_handlers_that_stand_twice_charge_once(spender: Spender) -> None:
    """A graph inside a graph may bring them again."""
    handlers = spender.meter.handlers()
    await Priced().ainvoke(PROMPT, {"callbacks": [*handlers, *handlers]})

    assert await spender.spent() == (1, 10, 5)


@pytest.mark.parametrize(
    ("model", "limits", "said"),
    [
        (Priced(name_="unheard"), {"usd": 1.0}, "what openai:unheard costs is not known"),
        (Priced(name_="unheard", max_tokens=None), {"tokens": 9}, "Tokens are limited"),
        (Priced(name_="unheard", max_tokens=None), {"output_tokens": 9}, "Output tokens are"),
    ],
    ids=["price", "cap", "cap on answers"],
)
async def test_unknown_number_is_refused_where_it_is_limited(
    model: Priced, limits: dict[str, Any], said: str
) -> None:
    """And nowhere else."""
    with pytest.raises(UsageError, match=said):
        await model.ainvoke(PROMPT, Spender(**limits).config)
    free = Spender(model_calls=1, input_tokens=10_000)
    await model.ainvoke(PROMPT, free.config)

    assert (await free.spent())[0] == 1
