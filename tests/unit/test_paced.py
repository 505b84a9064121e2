"""Model calls that wait, in plain LangGraph, and what is asked of a model that answers in another's place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any, TypedDict

import httpx
import pytest
from langchain_core.language_models import LLM, LangSmithParams
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, GenerationChunk, LLMResult
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, Field

from interlock.core.context import Context, Ports
from interlock.core.fallbacks import as_asked, asked_of
from interlock.core.faults import fault_of
from interlock.core.paced_models import pace
from interlock.core.rates import Ask, BreakerRule, Rate, RatePlan
from interlock.core.rates_memory import MemoryRates
from interlock.core.targets import bounds_of
from interlock.errors import DatabaseUnavailable, ModelFailed, ModelUnavailable, UsageError
from interlock.testing import ScriptedModel
from tests.spending import Priced

pace()
pace()  # again: a call waits once all the same


class State(TypedDict, total=False):
    """Nothing."""

    said: str


class Models:
    """Models by name."""

    def __init__(self, **models: Priced) -> None:
        self.models = models

    def model(self, name: str) -> Any:
        if (provider := name.partition(":")[0]) not in self.models:
            raise ModelUnavailable(f"{name} has no key.")
        return self.models[provider]


def graph(model: Priced, *, synchronous: bool = False) -> Any:
    """A graph that asks a model once."""

    async def ask(state: State) -> State:
        return {"said": (await model.ainvoke("q")).text}

    def block(state: State) -> State:
        return {"said": model.invoke("q").text}

    builder = StateGraph(State, context_schema=Context)
    builder.add_node("ask", block if synchronous else ask)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile()


def context(plan: RatePlan, **models: Priced) -> Context:
    """What a graph in plain LangGraph is given."""
    return Context(ports=Ports(rates=MemoryRates(plan), models=Models(**models)))


def busy(seconds: str = "0.3") -> Exception:
    """What a provider's client raises for a 429."""
    response = httpx.Response(
        429, headers={"retry-after": seconds}, request=httpx.Request("POST", "http://x")
    )
    return httpx.HTTPStatusError("slow down", request=response.request, response=response)


@pytest.mark.parametrize("synchronous", [False, True])
async def test_calls_wait_in_plain_langgraph_too(synchronous: bool) -> None:
    """Ten a second: the third waits for two tenths of a second."""
    own = context(RatePlan(limits={"provider:openai": Rate(requests=600, burst=0.0)}))
    compiled = graph(Priced(), synchronous=synchronous)
    began = time.monotonic()
    for _ in range(3):
        await compiled.ainvoke({}, context=own)

    assert 0.19 < time.monotonic() - began < 2


async def test_nobody_waits_where_nothing_is_declared() -> None:
    """A failure goes up at once, as the model raised it."""
    model = Priced().failing(busy())
    with pytest.raises(httpx.HTTPStatusError):
        await graph(model).ainvoke({}, context=context(RatePlan()))

    assert len(model.asked) == 1


async def test_who_waits_learns_that_a_limit_was_changed() -> None:
    """It would have waited for a minute."""
    own = context(RatePlan(limits={"provider:openai": Rate(requests=1)}))
    model = Priced()
    await graph(model).ainvoke({}, context=own)
    waiting = asyncio.create_task(graph(model).ainvoke({}, context=own))
    async with asyncio.timeout(10):
        while not await own.ports.rates.waiting():  # noqa: ASYNC110  # it waits for a row
            await asyncio.sleep(0.01)
        await own.ports.rates.store("provider:openai", Rate(requests=60_000, burst=60.0))
        await waiting

    assert len(model.asked) == 2


@pytest.mark.parametrize("synchronous", [False, True])
async def test_who_waits_for_a_slot_learns_that_there_are_more(synchronous: bool) -> None:
    """The one slot stays taken: who looked for it again and again would have looked for ever."""
    own = context(RatePlan(limits={"provider:openai": Rate(concurrent=1)}))
    rates, model = own.ports.rates, Priced()
    taken = Ask(key="k", bounds=bounds_of("openai:other", "", rates.plan.limits, {}))
    assert (await rates.take(taken)).verdict == "go"
    waiting = asyncio.create_task(graph(model, synchronous=synchronous).ainvoke({}, context=own))
    async with asyncio.timeout(10):
        while not await rates.waiting():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
        await rates.store("provider:openai", Rate(concurrent=2))
        await waiting

    assert len(model.asked) == 1


async def test_a_provider_cannot_be_left_alone_for_years() -> None:
    """A header that makes no sense holds up nobody for longer than a day."""
    own = context(RatePlan(limits={"provider:other": Rate(requests=1)}))
    with pytest.raises(httpx.HTTPStatusError):
        await graph(Priced().failing(busy("1e300"))).ainvoke({}, context=own)

    until = [each.not_before for each in await own.ports.rates.standing() if each.not_before]
    assert len(until) == 1
    assert until[0] <= datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    "numbers",
    [
        {"requests": 0},
        {"tokens": -1},
        {"requests": nan},
        {"requests": inf},
        {"tokens": 1e-300},
        {"requests": 1, "burst": nan},
        {"requests": 1, "burst": inf},
        {"concurrent": 0},
        {"concurrent": 1.5},
        {"concurrent": 2**31},
    ],
    ids=repr,
)
def test_numbers_that_limit_nothing_or_everything_are_refused(numbers: dict[str, Any]) -> None:
    """Once stored they would stop every call of every process."""
    with pytest.raises(UsageError):
        Rate(**numbers)


@pytest.mark.parametrize("synchronous", [False, True])
async def test_a_failure_that_passes_is_tried_again(synchronous: bool) -> None:
    """When the provider said so."""
    model = Priced().failing(busy())
    own = context(RatePlan(limits={"provider:other": Rate(requests=1)}))
    began = time.monotonic()
    state = await graph(model, synchronous=synchronous).ainvoke({}, context=own)

    assert state == {"said": "said q"}
    assert time.monotonic() - began > 0.29


@pytest.mark.parametrize("synchronous", [False, True])
async def test_another_model_answers_and_says_so(synchronous: bool) -> None:
    """After the first failure, which opens the breaker; one that cannot be built is left out."""
    plan = RatePlan(
        breaker=BreakerRule(failures=1, of=1, open=60.0),
        fallbacks={"openai:gpt-4o": ("mistralai:keyless", "anthropic:claude")},
    )
    first = Priced().failing(ConnectionError("gone"))
    second = Priced(provider="anthropic", name_="claude")
    own = context(plan, anthropic=second)
    compiled = graph(first, synchronous=synchronous)

    assert await compiled.ainvoke({}, context=own) == {"said": "said q"}
    assert await compiled.ainvoke({}, context=own) == {"said": "said q"}
    assert (len(first.asked), len(second.asked)) == (1, 2)


async def test_a_fallback_that_is_named_twice_is_asked_once_and_does_not_end_the_list() -> None:
    """Also where a model is named as its own: the one behind it answers."""
    plan = RatePlan(
        breaker=BreakerRule(failures=1, of=1, open=60.0),
        fallbacks={"openai:gpt-4o": ("a:x", "b:y", "openai:gpt-4o", "a:x")},
    )
    gone = ConnectionError("gone")
    first, twice = Priced().failing(gone), Priced(provider="a", name_="x").failing(*[gone] * 9)
    last = Priced(provider="b", name_="y")
    own = context(plan, a=twice, b=last)

    assert await graph(first).ainvoke({}, context=own) == {"said": "said q"}
    assert (len(first.asked), len(twice.asked), len(last.asked)) == (1, 1, 1)


async def test_a_breaker_without_a_fallback_is_told_when_patience_ends() -> None:
    """As something that passes, so that the run is tried again later."""
    plan = RatePlan(breaker=BreakerRule(failures=1, of=1, open=60.0), patience=5.0)
    own = context(plan)
    model = Priced().failing(ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await graph(model).ainvoke({}, context=own)
    with pytest.raises(ModelFailed, match="openai:gpt-4o was not asked") as told:
        await graph(model).ainvoke({}, context=own)

    assert told.value.transient
    assert len(model.asked) == 1


# --- models of text ---


class Apart(LLM):
    """Asks for each prompt by itself, as LangChain's simple class does."""

    fails: list[Exception] = Field(default_factory=list)
    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "text"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="openai", ls_model_name="instruct")

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        self.asked.append(prompt)
        if self.fails:
            raise self.fails.pop()
        return f"said {prompt}"


class Together(Apart):
    """Asks for all prompts at once, as OpenAI's client does, and streams."""

    def _generate(
        self, prompts: list[str], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        self.asked.append("+".join(prompts))
        return LLMResult(generations=[[Generation(text=f"said {each}")] for each in prompts])

    async def _agenerate(
        self, prompts: list[str], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        return self._generate(prompts, stop)

    def _stream(
        self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        self.asked.append(prompt)
        yield from (GenerationChunk(text=each) for each in ("said ", prompt))


def of_text(model: Apart, how: str) -> Any:
    """A graph that asks a model of text for three answers."""

    async def ask(state: State) -> State:
        return {"said": " ".join(await model.abatch(["a", "b", "c"]))}

    def block(state: State) -> State:
        return {"said": " ".join(model.batch(["a", "b", "c"]))}

    async def stream(state: State) -> State:
        said = ["".join([piece async for piece in model.astream(each)]) for each in ("a", "b")]
        return {"said": " ".join([*said, "".join(model.stream("c"))])}

    builder = StateGraph(State, context_schema=Context)
    builder.add_node("ask", {"ask": ask, "block": block, "stream": stream}[how])
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile()


@pytest.mark.parametrize("how", ["ask", "block", "stream"])
@pytest.mark.parametrize("kind", [Apart, Together])
async def test_models_of_text_wait_for_their_turn(kind: type[Apart], how: str) -> None:
    """Each request is a turn: three prompts are three, or one where they go together."""
    model = kind()
    own = context(RatePlan(limits={"provider:openai": Rate(requests=600, burst=0.0)}))
    began = time.monotonic()
    state = await of_text(model, how).ainvoke({}, context=own)
    took = time.monotonic() - began

    together = kind is Together and how != "stream"
    assert state == {"said": "said a said b said c"}
    assert model.asked == (["a+b+c"] if together else ["a", "b", "c"])
    assert together or took > 0.19


@pytest.mark.parametrize("how", ["ask", "block"])
async def test_a_failure_of_a_model_of_text_that_passes_is_tried_again(how: str) -> None:
    """The prompt that failed, alone."""
    model = Apart(fails=[busy("0.1")])
    own = context(RatePlan(limits={"provider:other": Rate(requests=1)}))
    state = await of_text(model, how).ainvoke({}, context=own)

    assert state == {"said": "said a said b said c"}
    assert model.asked == ["a", "a", "b", "c"]


async def test_no_other_model_answers_for_one_of_text() -> None:
    """Its own failure is told."""
    plan = RatePlan(fallbacks={"openai:instruct": ("anthropic:claude",)}, patience=0.0)
    other = Priced(provider="anthropic", name_="claude")
    model = Apart(fails=[busy("60")])

    with pytest.raises(httpx.HTTPStatusError):
        await of_text(model, "ask").ainvoke({}, context=context(plan, anthropic=other))
    assert other.asked == []


# --- what a failure says ---


def test_our_own_errors_say_nothing_about_a_provider() -> None:
    """A database that does not answer is not the model's fault."""
    assert not fault_of(DatabaseUnavailable("gone")).later
    assert not fault_of(ValueError("a bug")).later


def test_no_answer_speaks_against_the_provider_and_an_answer_against_the_model() -> None:
    """A 429 is one of the model's."""
    gone = fault_of(ConnectionError("gone")).outcomes("openai:gpt-5", probes=False)
    later = fault_of(busy("7")).outcomes("openai:gpt-5", probes=False)

    assert [(each.name, each.failed) for each in gone] == [
        ("provider:openai", 1),
        ("model:openai:gpt-5", 1),
    ]
    assert [(each.name, each.failed) for each in later] == [
        ("provider:openai", 0),
        ("model:openai:gpt-5", 1),
    ]
    assert fault_of(busy("7")).pushed("openai:gpt-5")[0].seconds == 7


# --- what another model is asked ---

TOOL = {
    "name": "pay",
    "description": "Pay.",
    "input_schema": {"type": "object", "properties": {"sum": {"type": "integer"}}},
}


class Bill(BaseModel):
    """A bill."""

    sum: int


class Bound(ScriptedModel):
    """Keeps what it was bound to."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)


@pytest.mark.parametrize(
    ("choice", "bound"),
    [
        ({"type": "tool", "name": "pay"}, "pay"),
        ({"type": "function", "function": {"name": "pay"}}, "pay"),
        ({"type": "any"}, "any"),
        ("required", "any"),
        ("auto", "auto"),
        (None, None),
    ],
)
def test_tools_of_one_provider_are_bound_for_another(choice: object, bound: str | None) -> None:
    """And which of them must be called."""
    asked = asked_of(Bound(), {"tools": [TOOL], "tool_choice": choice, "top_p": 0.5, "other": 1})

    assert asked["tools"][0]["function"]["name"] == "pay"
    assert asked["tools"][0]["function"]["parameters"] == TOOL["input_schema"]
    assert (asked["top_p"], asked.get("tool_choice"), "other" in asked) == (0.5, bound, False)


@pytest.mark.parametrize(
    "wanted",
    [
        Bill,
        {
            "type": "json_schema",
            "json_schema": {"name": "Bill", "schema": Bill.model_json_schema()},
        },
    ],
)
def test_a_schema_is_asked_for_as_a_tool_and_comes_back_as_text(wanted: Any) -> None:
    """With the object beside it where a class was asked for."""
    asked = asked_of(Bound(), {"response_format": wanted})
    called = AIMessage("", tool_calls=[{"name": "Bill", "args": {"sum": 3}, "id": "1"}])
    generation = ChatGeneration(message=called)
    as_asked([generation], {"response_format": wanted})
    message = generation.message

    assert (asked["tools"][0]["function"]["name"], asked["tool_choice"]) == ("Bill", "Bill")
    assert isinstance(message, AIMessage)
    assert (message.text, generation.text, message.tool_calls) == ('{"sum": 3}', '{"sum": 3}', [])
    assert message.additional_kwargs.get("parsed") == (Bill(sum=3) if wanted is Bill else None)
