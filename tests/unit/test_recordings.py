"""What a model call asks for, LangChain's cache as the place of its record, and the report of a divergence."""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import Annotated, Any

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.context import KEY, Around, Ports
from interlock.core.divergence import differences
from interlock.core.lineage import Lineage, Source
from interlock.core.model_requests import request_here
from interlock.core.recorded_calls import CALLS, RecordedCalls
from interlock.core.recordings import (
    Asked,
    MemoryRecordings,
    ModelRequest,
    SeenMessage,
    Unrecorded,
    finished,
)
from interlock.core.replaying import RecordingGuard, calling_model
from interlock.errors import ReplayDiverged


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


class Parsed(BaseModel):
    city: str


@pytest.fixture(autouse=True)
def application_cache() -> Iterator[None]:
    """Whatever a test does to LangChain's cache is undone."""
    before = get_llm_cache()
    yield
    set_llm_cache(before)


async def in_node(node: Any, config: RunnableConfig | None = None) -> Any:
    """Run one node of a graph and return what it said."""
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node").add_edge("node", END)
    graph: Any = builder.compile(checkpointer=InMemorySaver())
    return await graph.ainvoke({"said": []}, config or configured(Unrecorded()))


def configured(
    recordings: Unrecorded, thread: str = "t", lineage: Lineage | None = None
) -> RunnableConfig:
    """The configuration that our runtime gives to a graph."""
    around = Around(ports=Ports(recordings=recordings), lineage=lineage or Lineage())
    return {
        "configurable": {"thread_id": thread, KEY: around},
        "callbacks": [RecordingGuard(around)],
    }


REPLAY = Lineage(sources=(Source(thread_id="t"),), recorded_only=True)


async def requested(*calls: tuple[list[Any], str]) -> list[ModelRequest]:
    """What a node requests with these messages and this text of a model."""
    found = list[ModelRequest]()

    async def node(state: State) -> State:
        found.extend(request_here(dumps(messages), llm) for messages, llm in calls)
        return {"said": []}

    await in_node(node)
    return found


async def same(a: tuple[list[Any], str], b: tuple[list[Any], str]) -> bool:
    first, second = await requested(a, b)
    return first.digest == second.digest


# --- what is asked for ---


async def test_equal_requests_are_numbered() -> None:
    """The second equal request of a node has a key of its own; a different one counts from nought."""
    hello, bye = ([HumanMessage("hello")], "gpt"), ([HumanMessage("bye")], "gpt")
    requests = await requested(hello, hello, bye)

    assert [each.number for each in requests] == [0, 1, 0]
    assert len({each.key for each in requests}) == 3
    assert len({each.digest for each in requests}) == 2


async def test_what_an_earlier_answer_cost_is_not_part_of_a_request() -> None:
    """Nor is an object that was made from its text: a record has only its fields."""
    bare = AIMessage("Bern")
    full = AIMessage(
        "Bern",
        usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        additional_kwargs={"parsed": Parsed(city="Bern")},
    )

    assert await same(([bare], "gpt"), ([full], "gpt"))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("<function f at 0x7f01>", "<function f at 0x7f02>", True),
        ("wallet 0x7f01", "wallet 0x7f02", False),
        ("('model', 'a')", "('model', 'b')", False),
        (
            json.dumps({"kwargs": {"model": "a", "max_retries": 2}}) + "---[]",
            json.dumps({"kwargs": {"model": "a", "max_retries": 4}}) + "---[]",
            True,
        ),
        (
            json.dumps({"kwargs": {"model": "a", "temperature": 0}}) + "---[]",
            json.dumps({"kwargs": {"model": "a", "temperature": 1}}) + "---[]",
            False,
        ),
    ],
)
async def test_only_what_reaches_the_model_is_part_of_a_request(
    a: str, b: str, equal: bool
) -> None:
    """Addresses of objects and the client's patience differ between processes, and do not count."""
    assert await same(([HumanMessage("x")], a), ([HumanMessage("x")], b)) is equal


async def test_addresses_in_messages_count() -> None:
    """What looks like an address may be one that money is sent to."""
    a, b = HumanMessage("pay <at 0x01>"), HumanMessage("pay <at 0x02>")

    assert not await same(([a], "gpt"), ([b], "gpt"))


async def test_a_request_can_be_told_in_a_line() -> None:
    """Model, number of messages, and how the last begins; calls of tools are told too."""
    call = {"name": "add", "args": {"a": 1}, "id": "c"}
    messages = [HumanMessage("x" * 300), AIMessage("", tool_calls=[call])]
    request = (await requested((messages, "[('model_name', 'gpt-5')]")))[0]

    assert request.asked.line == "gpt-5, 2 messages, the last ai: \"add({'a': 1})\""
    assert request.asked.messages[0].chars == 300
    assert len(request.asked.messages[0].start) == 200
    assert Asked.from_json(json.loads(json.dumps(request.asked.to_json()))) == request.asked


# --- how requests differ ---


def asked(*messages: tuple[str, str], model: str = "gpt", parameters: str = "cold") -> Asked:
    seen = tuple(
        SeenMessage(role=role, sha256=text, chars=len(text), start=text[:9])
        for role, text in messages
    )
    return Asked(node="n", model=model, parameters=parameters, messages=seen)


HELLO = asked(("system", "Be kind."), ("human", "hello"))


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        (HELLO, []),
        (replace(HELLO, model="claude"), ["the model was gpt, now claude"]),
        (replace(HELLO, parameters="hot"), ["parameters: was 'cold', now 'hot'"]),
        (
            asked(("system", "Be kind."), ("human", "bye")),
            ["message 2 (human): was 'hello', now 'bye'"],
        ),
        (
            asked(("system", "Be kind."), ("ai", "hi")),
            ["message 2 was of role human, now ai"],
        ),
        (asked(("system", "Be kind.")), ["it had 2 messages, now 1"]),
    ],
)
def test_what_differs_is_told(now: Asked, lines: list[str]) -> None:
    """A line for the model or its parameters, for the number of messages, and for each message."""
    assert list(differences(HELLO, now)) == lines


def test_a_difference_behind_what_is_kept_is_told() -> None:
    """Only the first characters of a message are kept."""
    was, now = asked(("human", "a long message")), asked(("human", "a long melody"))

    assert list(differences(was, now)) == [
        "message 1 (human): it begins alike ('a long me') and differs further on"
    ]


# --- LangChain's cache ---


def test_the_cache_is_installed_while_somebody_needs_it() -> None:
    """The application's own cache comes back when the last runtime is closed."""
    own, calls = InMemoryCache(), RecordedCalls()
    set_llm_cache(own)
    with calls.installed():
        with calls.installed():
            assert get_llm_cache() is calls
        assert get_llm_cache() is calls
    assert get_llm_cache() is own


def test_a_cache_that_the_application_sets_later_goes_beneath_and_comes_back() -> None:
    """A runtime goes on recording, and leaves behind what the application wanted."""
    own, calls = InMemoryCache(), RecordedCalls()
    set_llm_cache(None)
    with calls.installed():
        set_llm_cache(own)
        calls.take_place()
        assert get_llm_cache() is calls
    assert get_llm_cache() is own


def test_a_closed_runtime_does_not_take_the_place() -> None:
    """A handler that outlives its runtime leaves LangChain alone."""
    calls = RecordedCalls()
    set_llm_cache(None)
    calls.take_place()

    assert get_llm_cache() is None


async def test_outside_of_a_run_only_the_applications_cache_is_asked() -> None:
    """Model calls that are not ours behave as without us."""
    own = InMemoryCache()
    set_llm_cache(own)
    with CALLS.installed():
        model = FakeListChatModel(responses=["one", "two"])
        said = [(await model.ainvoke("hi")).text, model.invoke("hi").text, model.invoke("ho").text]
        again = (await model.ainvoke("ho")).text

    assert said == ["one", "one", "two"]
    assert again == "two"


@pytest.mark.parametrize("blocking", [True, False])
async def test_what_the_applications_cache_knows_is_recorded(blocking: bool) -> None:
    """A replay does not depend on that cache: it may have been cleared."""
    own, store = InMemoryCache(), MemoryRecordings()
    set_llm_cache(own)

    def sync_node(state: State) -> State:
        return {"said": [model.invoke("hi").text]}

    async def async_node(state: State) -> State:
        return {"said": [(await model.ainvoke("hi")).text]}

    node = sync_node if blocking else async_node
    model = FakeListChatModel(responses=["one", "two"])
    with CALLS.installed():
        await model.ainvoke("hi")
        live = await in_node(node, configured(store))
        CALLS.clear()
        replayed = await in_node(node, configured(store, "fork", REPLAY))

    assert live == replayed == {"said": ["one"]}


async def test_a_cache_set_while_a_run_goes_on_does_not_end_its_recording() -> None:
    """The next model call puts ours back first."""
    store = MemoryRecordings()
    model = FakeListChatModel(responses=["one", "two"])

    async def node(state: State) -> State:
        set_llm_cache(None)
        return {"said": [(await model.ainvoke("hi")).text]}

    with CALLS.installed():
        await in_node(node, configured(store))
        replayed = await in_node(node, configured(store, "fork", REPLAY))

    assert replayed == {"said": ["one"]}


async def test_models_of_text_are_recorded() -> None:
    """LangChain's older models, which take and give plain text, are answered from records too."""
    store = MemoryRecordings()
    model = FakeListLLM(responses=["one", "two", "three"])

    async def node(state: State) -> State:
        return {"said": [await model.ainvoke("hi"), model.invoke("hi")]}

    async def more(state: State) -> State:
        return {"said": [await model.ainvoke("another")]}

    with CALLS.installed():
        live = await in_node(node, configured(store))
        replayed = await in_node(node, configured(store, "fork", REPLAY))
        with pytest.raises(ReplayDiverged, match="'another'"):
            await in_node(more, configured(store, "other", REPLAY))

    assert live == replayed == {"said": ["one", "two"]}


async def test_nothing_is_answered_after_a_replay_has_stopped() -> None:
    """An application that caught the divergence is told of it again, also where it asks for what was recorded."""
    store, model = MemoryRecordings(), FakeListLLM(responses=["one"])

    async def node(state: State) -> State:
        return {"said": [await model.ainvoke("hi")]}

    async def careless(state: State) -> State:
        with suppress(ReplayDiverged):
            await model.ainvoke("another")
        return await node(state)

    with CALLS.installed():
        await in_node(node, configured(store))
        with pytest.raises(ReplayDiverged, match="'another'"):
            await in_node(careless, configured(store, "fork", REPLAY))


async def test_structured_output_is_recorded_as_its_fields() -> None:
    """OpenAI's client leaves an object of the application in the message; the record holds plain data."""
    store, message = (
        MemoryRecordings(),
        AIMessage("", additional_kwargs={"parsed": Parsed(city="B")}),
    )

    async def node(state: State) -> State:
        assert await CALLS.alookup("p", "llm") is None
        await CALLS.aupdate("p", "llm", [ChatGeneration(message=message)])
        return {"said": []}

    async def again(state: State) -> State:
        found = await CALLS.alookup("p", "llm")
        assert found is not None
        assert isinstance(found[0], ChatGeneration)
        return {"said": [str(found[0].message.additional_kwargs)]}

    await in_node(node, configured(store))
    replayed = await in_node(again, configured(store, "fork", REPLAY))

    assert replayed == {"said": ["{'parsed': {'city': 'B'}}"]}
    assert message.additional_kwargs == {"parsed": Parsed(city="B")}


class Broken(BaseCache):
    """A cache that fails."""

    def lookup(self, prompt: str, llm_string: str) -> None:
        raise OSError("the cache is gone")

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        raise OSError("the cache is gone")

    def clear(self, **kwargs: Any) -> None:
        """Nothing to clear."""


async def test_a_cache_of_the_models_own_stops_a_replay() -> None:
    """It would be asked instead of the records, and may not know."""
    model = FakeListChatModel(responses=["one"], cache=InMemoryCache())

    async def node(state: State) -> State:
        return {"said": [(await model.ainvoke("hi")).text]}

    with CALLS.installed(), pytest.raises(ReplayDiverged, match="one of its own"):
        await in_node(node, configured(MemoryRecordings(), "fork", REPLAY))


async def test_an_error_of_the_applications_cache_is_the_applications() -> None:
    """It is raised as without us."""
    set_llm_cache(Broken())
    with CALLS.installed(), pytest.raises(OSError, match="cache is gone"):
        await FakeListChatModel(responses=["one"]).ainvoke("hi")


# --- LangChain's inside ---


class Frames(RecordingGuard):
    """Notes which of LangChain's functions calls each model."""

    def __init__(self) -> None:
        super().__init__(Around(ports=Ports()))
        self.seen = list[tuple[str, bool]]()

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        frame: FrameType = sys._getframe()
        function, model = calling_model(frame)
        self.seen.append((function, model is not None))


async def test_langchain_tells_how_a_model_is_called() -> None:
    """The functions of LangChain's chat models are where we look for them."""
    frames, model = Frames(), FakeListChatModel(responses=["a"])
    config: RunnableConfig = {"callbacks": [frames]}
    await model.ainvoke("x", config)
    model.invoke("x", config)
    [_ async for _ in model.astream("x", config)]
    list(model.stream("x", config))
    await model.abatch(["x"], config)

    assert frames.seen == [
        ("agenerate", True),
        ("generate", True),
        ("astream", True),
        ("stream", True),
        ("agenerate", True),
    ]
    assert calling_model(sys._getframe()) == ("", None)


def test_only_a_coroutine_that_waits_for_nothing_is_finished_at_once() -> None:
    """One that waits is refused, not left hanging."""

    class Waits:
        def __await__(self) -> Generator[None]:
            yield

    async def waits() -> None:
        await Waits()

    with pytest.raises(RuntimeError, match="waits for something"):
        finished(waits())
