"""The kill switch of one process, and in plain LangGraph: nodes, acts and model calls are stopped, and refused."""

from __future__ import annotations

import asyncio
import operator
import threading
from contextlib import suppress
from typing import Annotated, Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context, Ports
from interlock.core.kills import Kill, KillScope, Subject
from interlock.core.kills_memory import MemoryKills
from interlock.errors import Killed, NotFound, UsageError
from tests.acting import own_actions

RUN = Subject(runs=("earlier", "r"), thread_id="t", graph="g", tenant="acme")
PATIENCE = 120


@pytest.mark.parametrize(
    ("scope", "name", "hit"),
    [
        ("run", "r", True),
        ("run", "earlier", True),
        ("run", "t", False),
        ("thread", "t", True),
        ("thread", "r", False),
        ("graph", "g", True),
        ("graph", "h", False),
        ("tenant", "acme", True),
        ("tenant", "other", False),
        ("all", "", True),
    ],
)
async def test_whom_a_switch_hits(scope: KillScope, name: str, hit: bool) -> None:
    """Only what it is thrown for, by exactly that name."""
    kills = MemoryKills()
    kill = await kills.throw(scope, name, reason="why", by="ben")

    assert (kills.over(RUN) == kill) is hit


async def test_it_is_told_once() -> None:
    """A run that is watched is stopped when the switch is thrown, or at once when it stands by then."""
    kills, told = MemoryKills(), list[Kill]()
    with kills.watching(RUN, told.append):
        kill = await kills.throw("all", reason="why")
        await kills.throw("graph", "g", reason="again")
    assert told == [kill]

    with kills.watching(RUN, told.append):
        assert told == [kill, kill]
    await kills.lift(kill.id)
    with kills.watching(Subject(), told.append):
        assert len(told) == 2


async def test_a_second_throw_is_the_same_switch() -> None:
    """What was thrown twice is lifted once; both are written down."""
    kills = MemoryKills()
    first = await kills.throw("all", reason="first", by="ben")
    assert await kills.throw("all", reason="second", by="cy") == first

    await kills.lift(first.id, by="ann")
    assert await kills.standing() == []
    assert [(e.kind, e.who, e.why) for e in await kills.events(first.id)] == [
        ("thrown", "ben", "first"),
        ("thrown", "cy", "second"),
        ("lifted", "ann", ""),
    ]
    with pytest.raises(NotFound, match="No switch 1 stands"):
        await kills.lift(first.id)


@pytest.mark.parametrize(
    ("scope", "name", "reason"),
    [("all", "x", "why"), ("run", "", "why"), ("run", "r", ""), ("some", "r", "why")],
)
async def test_what_is_no_order(scope: Any, name: str, reason: str) -> None:
    """A switch is for something, and for a reason."""
    with pytest.raises(UsageError):
        await MemoryKills().throw(scope, name, reason=reason)


async def test_the_error_says_who_when_and_why() -> None:
    """And what to do about it."""
    kill = await MemoryKills().throw("graph", "g", reason="a bad release.", by="ben")
    error = kill.error("The run was refused")

    when = f"{kill.at:%Y-%m-%d %H:%M:%S} UTC"
    assert str(error) == (
        f"The run was refused: ben killed graph g at {when}: a bad release. "
        "`interlock kill lift 1` permits it again."
    )
    assert (error.kill, error.exit_code) == (1, 5)


class State(TypedDict, total=False):
    """What was said."""

    said: Annotated[list[str], operator.add]


def plain_graph(node: Any) -> Any:  # a compiled graph with a memory
    """A node that always ends, and beside it another one."""

    async def beside(state: State) -> State:
        return {"said": ["beside"]}

    builder = StateGraph(State, context_schema=Context)
    builder.add_node("beside", beside)
    builder.add_node("work", node)
    builder.add_edge(START, "beside")
    builder.add_edge(START, "work")
    builder.add_edge("beside", END)
    builder.add_edge("work", END)
    graph = bounded(builder, Declaration(steps=5), name="plain")
    return graph.copy({"checkpointer": InMemorySaver()})


THREAD: Any = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize(
    ("scope", "name"), [("graph", "plain"), ("thread", "t"), ("tenant", "acme")]
)
async def test_a_node_of_plain_langgraph_is_stopped(scope: KillScope, name: str) -> None:
    """What it awaits is cancelled; what had finished is kept, and the thread goes on when the switch is lifted."""
    kills, at_work, go = MemoryKills(), asyncio.Event(), asyncio.Event()
    context = Context(ports=Ports(kills=kills), tenant="acme")

    async def work(state: State) -> State:
        at_work.set()
        await go.wait()
        return {"said": ["work"]}

    graph = plain_graph(work)
    running = asyncio.ensure_future(graph.ainvoke({}, THREAD, context=context))
    await at_work.wait()
    kill = await kills.throw(scope, name, reason="why")
    with pytest.raises(Killed, match="Node 'work' was stopped"):
        await asyncio.wait_for(running, PATIENCE)
    with pytest.raises(Killed, match="Node 'work' was refused"):
        await graph.ainvoke(None, THREAD, context=context)

    await kills.lift(kill.id)
    go.set()
    assert (await graph.ainvoke(None, THREAD, context=context))["said"] == ["beside", "work"]


def test_a_synchronous_invoke_is_stopped() -> None:
    """The switch is thrown in another thread than the one that waits for `graph.invoke`."""
    kills, at_work = MemoryKills(), threading.Event()

    async def work(state: State) -> State:
        at_work.set()
        await asyncio.Event().wait()
        return {}

    def kill() -> None:
        at_work.wait(PATIENCE)
        asyncio.run(kills.throw("all", reason="why"))

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Killed):
        plain_graph(work).invoke({}, THREAD, context=Context(ports=Ports(kills=kills)))
    thread.join()


async def test_model_calls_and_acts_of_a_node_are_refused() -> None:
    """A node that does not let itself be stopped asks no model any more, in a thread neither, and begins no act."""
    kills, refused, at_work = MemoryKills(), list[str](), asyncio.Event()

    with own_actions():

        @action(name="unit_ping", touches="nothing", reversible=True)
        async def ping() -> str:
            """Ping."""
            return "pong"

        def asked() -> None:
            try:
                FakeListChatModel(responses=["hi"]).invoke("Hello?")
            except Killed as killed:
                refused.append(str(killed))

        async def work(state: State, runtime: Runtime[Context]) -> State:
            at_work.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.to_thread(asked)
            try:
                await act(runtime, ping)
            except Killed as killed:
                refused.append(str(killed))
            return {}

        context = Context(ports=Ports(kills=kills))
        running = asyncio.ensure_future(plain_graph(work).ainvoke({}, THREAD, context=context))
        await at_work.wait()
        await kills.throw("all", reason="why")
        await running

    assert [each.partition(":")[0] for each in refused] == [
        "A model call was refused",
        "unit_ping was not done",
    ]
