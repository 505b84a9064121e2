"""Where in a run something is asked for: the same in each attempt, and apart from everything else."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph._internal import _constants as langgraph_names
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send
from typing_extensions import TypedDict

from interlock.core import site
from interlock.core.langgraph_names import CHECKPOINTER, READ, RUNTIME
from interlock.core.site import Site, here, nth, state_here, this_run
from interlock.errors import UsageError

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


class Notes(TypedDict, total=False):
    """The state of a graph that looks around."""

    text: str
    number: int


def one(node: Any, *, name: str = "look", **options: Any) -> Any:  # a compiled graph
    """Return a graph of one node."""
    builder = StateGraph(Notes)
    builder.add_node(name, node, **options)
    builder.add_edge(START, name)
    return builder


def test_outside_of_a_graph_there_is_no_site() -> None:
    """The error says from where to call."""
    with pytest.raises(UsageError, match=r"called outside of a graph\. Call it from a node"):
        here()


async def test_site_names_thread_run_node_and_task() -> None:
    """All of it is what LangGraph stores too."""
    seen: list[Site] = []
    graph = one(lambda state: seen.append(here()))
    compiled = graph.compile(checkpointer=InMemorySaver())
    config: Any = {**THREAD, "metadata": {"run_id": "r1"}}
    await compiled.ainvoke({"text": "a"}, config)
    history = [each async for each in compiled.aget_state_history(THREAD)]

    (found,) = seen
    began = next(each for each in history if each.next == ("look",))
    assert (found.thread_id, found.run_id, found.node, found.agent) == ("t", "r1", "look", "look")
    assert found.task == f"look:{began.tasks[0].id}"
    assert found.checkpoint_id == began.config["configurable"]["checkpoint_id"]
    assert found.attempt == 1


async def test_site_is_the_same_when_a_failed_node_runs_again() -> None:
    """Only LangGraph's own count of attempts within one run differs."""
    seen: list[Site] = []

    async def look(state: Notes) -> Notes:
        seen.append(here())
        if len(seen) < 4:
            raise ConnectionError("a moment")
        return {}

    retry = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    graph = one(look, retry_policy=retry).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        await graph.ainvoke({"text": "a"}, THREAD)
    await graph.ainvoke(None, THREAD)

    assert [each.attempt for each in seen] == [1, 2, 1, 2]
    assert len({each.task for each in seen}) == 1
    assert len({each.checkpoint_id for each in seen}) == 1


async def test_each_turn_of_a_loop_is_another_task() -> None:
    """The same node, the same state: a later checkpoint, which sorts higher."""
    seen: list[Site] = []

    def look(state: Notes) -> Notes:
        seen.append(here())
        return {"number": len(seen)}

    builder = one(look)
    builder.add_conditional_edges("look", lambda state: "look" if len(seen) < 2 else "__end__")
    await builder.compile(checkpointer=InMemorySaver()).ainvoke({"text": "a"}, THREAD)

    first, second = seen
    assert first.task != second.task
    assert first.checkpoint_id < second.checkpoint_id


async def test_agent_of_a_subgraph_is_the_node_of_the_thread_s_own_graph() -> None:
    """However deep it works; its node is its own."""
    seen: list[Site] = []
    inner = one(lambda state: seen.append(here()), name="deep").compile()
    middle = one(inner, name="middle").compile()
    outer = one(middle, name="team").compile(checkpointer=InMemorySaver())
    await outer.ainvoke({"text": "a"}, THREAD)

    (found,) = seen
    assert (found.agent, found.node) == ("team", "deep")
    assert [each.partition(":")[0] for each in found.task.split("|")] == ["team", "middle", "deep"]


async def test_branches_of_one_node_are_tasks_of_their_own() -> None:
    """Sent side by side with the same state."""
    seen: list[Site] = []
    builder = StateGraph(Notes)
    builder.add_node("look", lambda state: seen.append(here()))
    builder.add_conditional_edges(START, lambda state: [Send("look", state), Send("look", state)])
    await builder.compile(checkpointer=InMemorySaver()).ainvoke({"text": "a"}, THREAD)

    assert len({each.task for each in seen}) == 2


async def test_equal_requests_are_counted_and_others_do_not_matter() -> None:
    """Also inside a runnable, and side by side."""
    seen: list[Any] = []

    async def look(state: Notes) -> Notes:
        seen.append([nth("a"), nth("b"), nth("a")])
        inside: RunnableLambda[str, int] = RunnableLambda(lambda request: nth(str(request)))
        seen.append([await inside.ainvoke("a"), await inside.ainvoke("b")])
        seen.append(sorted(await asyncio.gather(*(inside.ainvoke("c") for _ in range(3)))))
        return {}

    await one(look).compile().ainvoke({"text": "a"})
    assert seen == [[0, 0, 1], [2, 1], [0, 1, 2]]


async def test_each_attempt_counts_anew() -> None:
    """In a retry, in another run, and in another task."""
    seen: list[int] = []

    async def look(state: Notes) -> Notes:
        seen.append(nth("a"))
        if len(seen) < 4:
            raise ConnectionError("a moment")
        return {}

    retry = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    graph = one(look, retry_policy=retry).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        await graph.ainvoke({"text": "a"}, THREAD)
    await graph.ainvoke(None, THREAD)

    assert seen == [0, 0, 0, 0]


async def test_runs_of_a_task_are_forgotten() -> None:
    """What is counted hangs on something that LangGraph drops with the attempt."""
    runs: list[weakref.ref[object]] = []

    def look(state: Notes) -> None:
        nth("a")
        assert this_run() in site._asked
        runs.append(weakref.ref(this_run()))

    for _ in range(3):
        await one(look).compile().ainvoke({"text": "a"})
    gc.collect()

    assert [each() for each in runs] == [None, None, None]


async def test_state_is_that_of_the_node_s_graph_before_its_own_writes() -> None:
    """All channels of the graph, whatever the node is given; nothing of LangGraph's own."""
    seen: list[Any] = []

    class Little(TypedDict):
        text: str

    def look(state: Little) -> Notes:
        seen.append((dict(state), state_here()))
        return {"number": 2}

    await one(look, input_schema=Little).compile().ainvoke({"text": "a", "number": 1})
    assert seen == [({"text": "a"}, {"text": "a", "number": 1})]


async def test_langgraph_calls_its_things_as_we_do() -> None:
    """Private names: an upgrade that changes one must fail here, and not when somebody acts."""
    names: set[str] = set()
    parts: list[Any] = []

    def look(state: Notes) -> None:
        configurable = get_config()["configurable"]
        names.update(configurable)
        parts.append((configurable[READ], configurable[CHECKPOINTER]))

    saver = InMemorySaver()
    await one(look).compile(checkpointer=saver).ainvoke({"text": "a"}, THREAD)
    ((read, checkpointer),) = parts

    assert {READ, RUNTIME, site._CHECKPOINT_MAP, CHECKPOINTER} <= names
    assert checkpointer is saver
    assert {"text", "number"} <= set(read.args[1])
    assert (site._RESUME, site._NO_TASK) == (langgraph_names.RESUME, langgraph_names.NULL_TASK_ID)
