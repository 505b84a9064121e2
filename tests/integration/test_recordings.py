"""Model calls under the durable runtime: paid for once, answered from records in resumes, forks and replays."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt
from pydantic import PrivateAttr
from typing_extensions import TypedDict

import interlock
from interlock import Interlock, Resume, Run
from interlock.application import Application
from interlock.core.context import Around
from interlock.core.lineage import Lineage, Source
from interlock.errors import DatabaseUnavailable, ReplayDiverged
from interlock.postgres.aside import Aside
from interlock.postgres.recordings import PostgresRecordings
from interlock.postgres.stored_runs import StoredRun

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"


class Counting(BaseChatModel):
    """Answers each call with its number and the question, and counts what was paid for."""

    temperature: float = 0.0
    _asked: list[str] = PrivateAttr(default_factory=list)
    _tool_calls: list[list[dict[str, Any]]] = PrivateAttr(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return self._asked

    @property
    def _llm_type(self) -> str:
        return "counting"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[each.name for each in tools])

    def calling(self, *calls: list[dict[str, Any]]) -> Counting:
        """Call these tools, turn by turn, before answering."""
        self._tool_calls += calls
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._said(messages))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(0)
        return self._generate(messages)

    async def _astream(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> Any:
        said = self._said(messages)
        yield ChatGenerationChunk(message=AIMessageChunk(content=said.text))

    def _said(self, messages: list[BaseMessage]) -> AIMessage:
        self._asked.append(messages[-1].text)
        calls = self._tool_calls.pop(0) if self._tool_calls else []
        return AIMessage(
            f"{len(self._asked)}: {messages[-1].text}",
            tool_calls=calls,
            usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        )


class State(TypedDict, total=False):
    """A topic, and what was said of it."""

    topic: str
    said: Annotated[list[str], operator.add]
    messages: list[BaseMessage]


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def serve(il: Interlock, graph: Any) -> None:
    """Let the runtime's application be one graph."""
    il.application = Application(
        folder=CONFIG.parent, targets={"g": "a:graph"}, _loaded={"g": graph}
    )
    il._graphs.clear()  # compiled with the graph before


def line(**nodes: Any) -> Any:
    """A graph of nodes one after the other."""
    builder = StateGraph(State)
    last = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(last, name)
        last = name
    builder.add_edge(last, END)
    return builder.compile(name="g")


def asking(model: BaseChatModel, *questions: str) -> Any:
    """A node that asks a model about the topic."""

    async def node(state: State) -> State:
        asked = questions or ("{topic}",)
        answers = [await model.ainvoke(each.format(**state)) for each in asked]
        return {"said": [answer.text for answer in answers]}

    return node


async def branch(
    il: Interlock,
    parent: Run,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at: int = -1,
    recorded_only: bool = False,
    live_tools: tuple[str, ...] = (),
    **values: Any,
) -> Run:
    """Fork a thread, or replay it, with the lineage that a fork is given."""
    step = await il.astep(parent.thread_id, at)
    source = Source(thread_id=parent.thread_id, since=step.checkpoint_id)
    lineage = Lineage(sources=(source,), recorded_only=recorded_only)
    ordinary = il._around

    def around(stored: StoredRun) -> Around:
        return replace(ordinary(stored), lineage=lineage, live_tools=live_tools)

    with monkeypatch.context() as patched:
        patched.setattr(il, "_around", around)
        return await il.afork(parent.thread_id, at=at, values=values)


async def replay(
    il: Interlock, parent: Run, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Run:
    return await branch(il, parent, monkeypatch, recorded_only=True, **options)


async def paid(il: Interlock, run: Run) -> int:
    """How many model calls a thread paid for."""
    return (await il.store.spent(run.thread_id)).calls


def recordings(il: Interlock) -> PostgresRecordings:
    found = il._ports.recordings
    assert isinstance(found, PostgresRecordings)
    return found


# --- the thread itself ---


async def test_a_node_that_asked_a_person_does_not_pay_again(il: Interlock) -> None:
    """A node runs from its first line when its question is answered; its model calls do not."""
    model = Counting()

    async def node(state: State) -> State:
        plan = (await model.ainvoke("plan")).text
        return {"said": [plan, interrupt("Good?"), (await model.ainvoke("act")).text]}

    serve(il, line(node=node))
    waiting = await il.ainvoke("g", {"topic": "x"})
    run = await il.aresume(waiting.thread_id, Resume(waiting.interrupts[0].id, "yes"))

    assert run.output["said"] == ["1: plan", "yes", "2: act"]
    assert model.asked == ["plan", "act"]
    assert await paid(il, run) == 2
    by_task = await recordings(il).recorded_by_task(run.thread_id)
    assert list(by_task.values()) == [1]


async def test_a_node_that_was_cut_off_does_not_pay_again(il: Interlock) -> None:
    """What was answered before the process stopped is not asked again, also of equal questions in one node."""
    model, cut = Counting(), asyncio.Event()
    hang = True

    async def node(state: State) -> State:
        said = [(await model.ainvoke("same")).text, (await model.ainvoke("same")).text]
        if hang:
            cut.set()
            await asyncio.Event().wait()
        return {"said": [*said, (await model.ainvoke("same")).text]}

    serve(il, line(node=node))
    running = asyncio.create_task(il.ainvoke("g", {"topic": "x"}, thread_id="t"))
    await cut.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    hang = False
    run = await il.aresume("t")

    assert run.output["said"] == ["1: same", "2: same", "3: same"]
    assert await paid(il, run) == 3


async def test_a_retry_policy_gets_another_answer(il: Interlock) -> None:
    """A node that could not use an answer, and is run again for it, asks again."""
    model = Counting()

    async def node(state: State) -> State:
        said = (await model.ainvoke("guess")).text
        if said.startswith("1"):
            raise ValueError("not that one")
        return {"said": [said]}

    builder = StateGraph(State)
    policy = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    builder.add_node("node", node, retry_policy=policy)
    builder.add_edge(START, "node")
    serve(il, builder.compile(name="g"))
    run = await il.ainvoke("g", {"topic": "x"})

    assert run.output["said"] == ["2: guess"]
    assert await paid(il, run) == 2


async def test_a_retry_of_a_subgraph_gets_another_answer(il: Interlock) -> None:
    """The policy may be that of the node which the subgraph is."""
    model = Counting()

    async def node(state: State) -> State:
        said = (await model.ainvoke("guess")).text
        if said.startswith("1"):
            raise ValueError("not that one")
        return {"said": [said]}

    builder = StateGraph(State)
    policy = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    builder.add_node("team", line(node=node), retry_policy=policy)
    builder.add_edge(START, "team")
    serve(il, builder.compile(name="g"))
    run = await il.ainvoke("g", {"topic": "x"})

    assert run.output["said"] == ["2: guess"]


async def test_a_resume_after_a_failure_asks_again(il: Interlock) -> None:
    """The answer may have been why the run failed."""
    model = Counting()

    async def node(state: State) -> State:
        said = (await model.ainvoke("guess")).text
        if said.startswith("1"):
            raise ValueError("not that one")
        return {"said": [said]}

    serve(il, line(node=node))
    with pytest.raises(ValueError, match="not that one"):
        await il.ainvoke("g", {"topic": "x"}, thread_id="t")
    run = await il.aresume("t")

    assert run.output["said"] == ["2: guess"]
    assert await paid(il, run) == 2


async def test_parallel_equal_questions_are_recorded_apart(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of several equal questions asked at once keeps an answer of its own."""
    model = Counting()

    async def node(state: State) -> State:
        answers = await asyncio.gather(*(model.ainvoke("same") for _ in range(5)))
        return {"said": sorted(each.text for each in answers)}

    serve(il, line(node=node))
    run = await il.ainvoke("g", {"topic": "x"})
    again = await replay(il, run, monkeypatch)

    assert run.output["said"] == [f"{each}: same" for each in range(1, 6)]
    assert again.output == run.output
    assert len(model.asked) == 5


async def test_a_recorded_message_is_the_message(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells an answer from its record: not the id, not the usage, not what it cost."""
    model = Counting()
    seen = list[BaseMessage]()

    async def node(state: State) -> State:
        seen.append(await model.ainvoke("hello"))
        return {"said": ["done"]}

    serve(il, line(node=node))
    await replay(il, await il.ainvoke("g", {"topic": "x"}), monkeypatch)

    assert len(model.asked) == 1
    assert seen[0] == seen[1]
    assert type(seen[0]) is type(seen[1])
    assert seen[1].model_dump() == seen[0].model_dump()


async def test_an_answer_that_cannot_be_recorded_fails_the_call(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes unrecorded."""

    async def lost(*_: Any) -> None:
        raise DatabaseUnavailable("The database is gone.")

    monkeypatch.setattr(recordings(il), "keep", lost)
    serve(il, line(node=asking(Counting())))

    with pytest.raises(DatabaseUnavailable, match="is gone"):
        await il.ainvoke("g", {"topic": "x"})


# --- synchronous code ---


async def test_synchronous_nodes_are_recorded_and_counted(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain function's calls, alone and in a batch, are paid for once and replayed."""
    model = Counting()

    def node(state: State) -> State:
        alone = model.invoke("alone")
        return {"said": [alone.text, *sorted(each.text[3:] for each in model.batch(["a", "b"]))]}

    serve(il, line(node=node))
    run = await il.ainvoke("g", {"topic": "x"})
    again = await replay(il, run, monkeypatch)

    assert run.output["said"] == ["1: alone", "a", "b"]
    assert again.output == run.output
    assert len(model.asked) == 3
    usage = await il.store.spent(run.thread_id)
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (3, 15, 21)
    assert await paid(il, again) == 0


async def test_a_node_that_holds_up_the_loop_is_recorded_and_counted(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synchronous calls inside of an asynchronous node, and threads that it waits for, do not wait for its loop."""
    model = Counting()

    async def node(state: State) -> State:
        return {"said": [model.invoke("alone").text, *(m.text[3:] for m in model.batch(["a"] * 2))]}

    serve(il, line(node=node))
    run = await il.ainvoke("g", {"topic": "x"})
    again = await replay(il, run, monkeypatch)

    assert again.output == run.output
    assert len(model.asked) == 3
    assert await paid(il, run) == 3


async def test_a_loop_of_its_own_in_a_synchronous_node_is_recorded(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function may run asynchronous code on another event loop."""
    model = Counting()

    def node(state: State) -> State:
        return {"said": [asyncio.run(model.ainvoke("hello")).text]}

    serve(il, line(node=node))
    untouched = recordings(il)._aside._loop
    run = await il.ainvoke("g", {"topic": "x"})

    assert untouched is None
    assert recordings(il)._aside._loop is not None  # the runtime's connections belong to its loop
    again = await replay(il, run, monkeypatch)

    assert again.output == run.output
    assert len(model.asked) == 1
    assert await paid(il, run) == 1


async def test_a_failure_to_count_a_synchronous_call_fails_its_node(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes uncounted."""

    async def lost(*_: Any) -> None:
        raise DatabaseUnavailable("The book is gone.")

    monkeypatch.setattr(il.store, "add_model_call", lost)

    def node(state: State) -> State:
        return {"said": [Counting().invoke("hello").text]}

    serve(il, line(node=node))

    with pytest.raises(DatabaseUnavailable, match="book is gone"):
        await il.ainvoke("g", {"topic": "x"})


# --- forks ---


async def test_only_what_is_downstream_of_a_change_is_live(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork with another topic asks anew what is about the topic, and takes the rest from its parent."""
    model = Counting()
    plan, research, report = (
        asking(model, "how do you plan?", "what is a plan?"),
        asking(model, "tell me of {topic}", "what is a fact?"),
        asking(model, "what is a report?"),
    )
    serve(il, line(plan=plan, research=research, report=report))
    run = await il.ainvoke("g", {"topic": "tides"})
    before = len(model.asked)
    fork = await branch(il, run, monkeypatch, topic="moons")

    assert before == 5
    assert model.asked[before:] == ["tell me of moons"]
    assert fork.output["said"] == [
        "1: how do you plan?",
        "2: what is a plan?",
        "6: tell me of moons",
        "4: what is a fact?",
        "5: what is a report?",
    ]
    assert await paid(il, fork) == 1
    assert sum((await recordings(il).recorded_by_task(fork.thread_id)).values()) == 4


async def test_a_fork_uses_each_answer_once(il: Interlock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that the fork asks more often than its parent did is asked."""
    model = Counting()
    serve(il, line(node=asking(model, "same", "same")))
    run = await il.ainvoke("g", {"topic": "x"})
    serve(il, line(node=asking(model, "same", "same", "same")))
    fork = await branch(il, run, monkeypatch)

    assert fork.output["said"] == ["1: same", "2: same", "3: same"]


async def test_a_fork_of_a_later_step_leaves_earlier_answers_alone(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the parent was told before the step that is forked is not behind the fork."""
    model = Counting()
    serve(il, line(first=asking(model, "same"), second=asking(model, "same")))
    run = await il.ainvoke("g", {"topic": "x"})
    fork = await branch(il, run, monkeypatch, at=1)

    assert fork.output["said"] == ["1: same", "2: same"]
    assert len(model.asked) == 2


# --- replays ---


@pytest.mark.parametrize("change", ["prompt", "parameter", "length"])
async def test_a_replay_that_asks_for_something_else_says_what(
    il: Interlock, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The report names the node and what differs; nothing was asked."""
    model = Counting()

    def asks(node_model: Counting, *messages: BaseMessage) -> Any:
        async def node(state: State) -> State:
            return {"said": [(await node_model.ainvoke(list(messages))).text]}

        return node

    serve(il, line(plan=asking(model, "hello"), write=asks(model, HumanMessage("write of tides"))))
    run = await il.ainvoke("g", {"topic": "x"})
    other = {
        "prompt": asks(model, HumanMessage("write of moons")),
        "parameter": asks(Counting(temperature=0.5), HumanMessage("write of tides")),
        "length": asks(model, HumanMessage("write of tides"), AIMessage("no"), HumanMessage("do")),
    }[change]
    serve(il, line(plan=asking(model, "hello"), write=other))
    with pytest.raises(ReplayDiverged) as raised:
        await replay(il, run, monkeypatch)

    assert (raised.value.node, raised.value.kind) == ("write", "model")
    assert raised.value.recorded == "counting, 1 message, the last human: 'write of tides'"
    differs = {
        "prompt": "message 1 (human): was 'write of tides', now 'write of moons'",
        "parameter": "('temperature', 0.5)",
        "length": "it had 1 messages, now 3",
    }[change]
    assert differs in raised.value.differs[0]
    assert len(model.asked) == 2


async def stream(model: Counting) -> str:
    return "".join([chunk.text async for chunk in model.astream("hello")])


async def uncached(model: Counting) -> str:
    bare = model.model_copy(update={"cache": False})
    bare._asked = model._asked
    return (await bare.ainvoke("hello")).text


async def elsewhere(model: Counting, config: RunnableConfig) -> str:
    with ThreadPoolExecutor(1) as threads:  # a bare one, to which the node's context does not come
        return threads.submit(model.invoke, "hello", config).result().text


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("stream", "streams"),
        ("uncached", "has the cache turned off"),
        ("elsewhere", "outside of its node's context"),
    ],
)
async def test_a_replay_stops_a_call_that_cannot_be_recorded(
    il: Interlock, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    """A live run may stream, turn the cache off, or leave the node's context; a replay stops there before it pays."""
    model = Counting()

    async def node(state: State, config: RunnableConfig) -> State:
        if way == "elsewhere":
            return {"said": [await elsewhere(model, config)]}
        return {"said": [await (stream if way == "stream" else uncached)(model)]}

    serve(il, line(node=node))
    run = await il.ainvoke("g", {"topic": "x"})
    asked = len(model.asked)
    with pytest.raises(ReplayDiverged, match=reason):
        await replay(il, run, monkeypatch)

    assert asked == 1
    assert len(model.asked) == 1


async def test_a_caught_divergence_still_stops_the_replay(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that falls back on something else cannot turn a replay into another run."""
    model = Counting()

    async def node(state: State) -> State:
        for question in (state["topic"], "instead"):
            try:
                return {"said": [(await model.ainvoke(question)).text]}
            except Exception:  # noqa: S112  # as careless applications do
                continue
        return {"said": ["nothing"]}

    serve(il, line(node=node))
    run = await il.ainvoke("g", {"topic": "tides"})
    with pytest.raises(ReplayDiverged, match="'moons'"):
        await replay(il, run, monkeypatch, topic="moons")

    assert model.asked == ["tides"]


# --- agents and tools ---


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_a_tool_calling_agent_is_replayed(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangChain's agent asks nobody in a replay; its tool runs only if that was said to be harmless."""
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}
    model = Counting().calling([call])
    agent = create_agent(model, [add], name="g")
    serve(il, agent)
    run = await il.ainvoke("g", {"messages": [HumanMessage("what is 1 + 2?")]})
    again = await replay(il, run, monkeypatch, live_tools=("add",))
    with pytest.raises(ReplayDiverged, match="the tool add") as raised:
        await replay(il, run, monkeypatch)

    texts = [message.text for message in run.output["messages"]]
    assert texts == ["what is 1 + 2?", "1: what is 1 + 2?", "3", "2: 3"]
    assert [each.text for each in again.output["messages"]] == texts
    assert len(model.asked) == 2
    assert raised.value.kind == "tool"


async def test_closing_the_second_door_ends_its_thread(database_url: str) -> None:
    """Connections of synchronous code are given back with the runtime."""
    aside = Aside(database_url)

    async def count(pool: Any) -> int:
        return int(pool.max_size)

    assert await asyncio.to_thread(aside.wait, count) == 2
    await aside.close()
    assert aside._loop is None
