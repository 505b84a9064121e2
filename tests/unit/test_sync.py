"""The synchronous face of asynchronous code."""

from __future__ import annotations

import asyncio
import contextvars
import operator
import subprocess
import sys
import textwrap
import threading
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from interlock.core.sync import background_loop, blocking, run_sync, sync_too
from interlock.errors import UsageError

LANGUAGE: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="none")


class State(TypedDict):
    """Threads that nodes ran on."""

    ran_on: Annotated[list[str], operator.add]


async def where() -> str:
    return threading.current_thread().name


async def node(state: State) -> State:
    return {"ran_on": [await where()]}


def plain(state: State) -> State:
    return {"ran_on": ["plain"]}


def build() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("first", node)
    builder.add_node("second", plain)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder


def test_calls_share_one_loop() -> None:
    """Each call runs on the same loop: a client that one opened works in the next."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert [run_sync(loop()), run_sync(loop())] == [background_loop()] * 2


def test_errors_reach_the_caller() -> None:
    """What the coroutine raises is raised."""

    async def fail() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        run_sync(fail())


def test_the_callers_context_goes_along() -> None:
    """Context variables of the caller are seen inside."""

    async def language() -> str:
        return LANGUAGE.get()

    token = LANGUAGE.set("Romansh")
    try:
        seen = run_sync(language())
    finally:
        LANGUAGE.reset(token)

    assert seen == "Romansh"


def test_a_call_from_the_loop_itself_is_refused() -> None:
    """A call that would wait for itself for ever is an error that says what to do."""

    async def inside() -> None:
        run_sync(where())

    with pytest.raises(UsageError, match=r"from inside asynchronous code.*asynchronous twin"):
        run_sync(inside())


async def test_a_call_from_another_loop_works() -> None:
    """Another loop may wait, as synchronous code in a notebook does."""
    assert run_sync(where()) == "interlock-loop"


def test_a_graph_of_asynchronous_nodes_can_be_invoked() -> None:
    """Asynchronous nodes run on the background loop, synchronous ones where they are."""
    graph = sync_too(build()).compile()

    assert graph.invoke({"ran_on": []}) == {"ran_on": ["interlock-loop", "plain"]}


async def test_the_asynchronous_way_is_left_alone() -> None:
    """`ainvoke` runs asynchronous nodes on the caller's own loop."""
    graph = sync_too(build()).compile()

    assert (await graph.ainvoke({"ran_on": []}))["ran_on"] == ["MainThread", "plain"]


def test_without_it_such_a_graph_cannot_be_invoked() -> None:
    """LangGraph itself refuses: this is what the synchronous face is for."""
    with pytest.raises(TypeError, match="No synchronous function provided"):
        build().compile().invoke({"ran_on": []})


def test_a_blocking_function_keeps_its_name() -> None:
    """The synchronous twin looks like the function that it calls."""
    twin = blocking(where)

    assert (twin.__name__, twin()) == ("where", "interlock-loop")


def test_ctrl_c_lets_the_coroutine_clean_up() -> None:
    """An interrupted call cancels its coroutine, and waits until that has written what it holds."""
    program = """
        import asyncio, os, signal
        from interlock.core.sync import run_sync

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it

        async def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                print("saved", flush=True)

        try:
            run_sync(work())
        except KeyboardInterrupt:
            print("stopped", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["saved", "stopped"]
