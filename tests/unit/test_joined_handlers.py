"""A run's handlers as two: each is told what it was told alone, in its order, and stops what it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.call_handlers import AwaitingHandler, WaitingHandler, meter_of
from interlock.core.inescapable import PLACES, inescapable
from interlock.core.joined_handlers import Awaited, Inline, joined
from interlock.core.kills import KillGuard
from interlock.core.refusing import refusing
from interlock.core.replaying import RecordingGuard
from interlock.core.usage import UsageRecorder
from interlock.errors import BudgetSpent
from tests.spending import Priced
from tests.unit.test_budget_metering import PROMPT, Spender

Told = list[str]


class Noting(BaseCallbackHandler):
    """Notes what it is told of, and refuses calls if it is to."""

    raise_error = True
    run_inline = True
    ignore_chain = True

    def __init__(self, name: str, told: Told, refuses: bool = False) -> None:
        self._name, self._told, self._refuses = name, told, refuses

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self._told.append(f"{self._name} begins")
        with refusing():
            if self._refuses:
                raise BudgetSpent("No.", scope="run r", unit="tokens")

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self._told.append(f"{self._name} ends")


class Waiting(AsyncCallbackHandler):
    """Does the same where it is awaited, and is told of nodes if it wants to be."""

    raise_error = True
    run_inline = True

    def __init__(self, name: str, told: Told, nodes: bool = False) -> None:
        self._name, self._told, self._nodes = name, told, nodes

    @property
    def ignore_chain(self) -> bool:
        return not self._nodes

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self._told.append(f"{self._name} begins")

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self._told.append(f"{self._name} ends")

    async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
        self._told.append(f"{self._name} saw a node")


async def asked(handlers: list[BaseCallbackHandler], *, synchronous: bool = False) -> None:
    """Call a model with some handlers."""
    if synchronous:  # in a thread, as tools have it
        await asyncio.to_thread(lambda: Priced().invoke(PROMPT, {"callbacks": handlers}))
    else:
        await Priced().ainvoke(PROMPT, {"callbacks": handlers})


async def test_each_is_told_once_in_its_order() -> None:
    """Of the beginning of a call and of its end."""
    told: Told = []
    await asked(joined([Noting("a", told), Noting("b", told), Waiting("c", told)]))

    assert told == ["a begins", "b begins", "c begins", "a ends", "b ends", "c ends"]


@pytest.mark.parametrize("synchronous", [False, True])
async def test_what_one_refuses_is_told_to_no_other(synchronous: bool) -> None:
    """The call is not made either, and nothing is left that nobody awaits."""
    told: Told = []
    handlers = joined([Noting("a", told, refuses=True), Noting("b", told)])
    with pytest.raises(BudgetSpent):
        await asked(handlers, synchronous=synchronous)

    assert told == ["a begins"]


async def test_nodes_are_told_to_those_that_want_it() -> None:
    """Most want nothing of them; then LangChain need not tell any."""
    told: Told = []
    one, other = Waiting("one", told, nodes=True), Waiting("other", told)
    both, none = Awaited([other, one]), Awaited([other])
    await both.on_chain_end({})

    assert (both.ignore_chain, none.ignore_chain) == (False, True)
    assert told == ["one saw a node"]


@pytest.mark.parametrize("synchronous", [False, True])
async def test_a_joined_meter_charges_once(synchronous: bool) -> None:
    """Whichever of LangChain's managers calls, one face of it takes the call."""
    spender = Spender()
    handlers = joined(spender.meter.handlers())
    await asked(handlers, synchronous=synchronous)

    assert await spender.spent() == (1, 10, 5)


async def test_a_meter_is_found_in_what_was_joined() -> None:
    """By calls that wait for their turn, and lay down what was held for them."""
    meter = Spender().meter

    assert meter_of(joined(meter.handlers())) is meter
    assert meter_of(joined([])) is None


@pytest.mark.parametrize(
    ("kind", "passes_on"),
    [
        (RecordingGuard, Inline),
        (KillGuard, Inline),
        (WaitingHandler, Inline),
        (AwaitingHandler, Awaited),
        (UsageRecorder, Awaited),
    ],
)
def test_all_that_our_handlers_listen_to_is_passed_on(kind: type, passes_on: type) -> None:
    """A method that is not would never be called."""
    listens = {name for name in vars(kind) if name.startswith("on_")}

    assert listens
    assert listens <= vars(passes_on).keys()


def test_there_is_a_place_for_each_of_them() -> None:
    """Around a run, where no call escapes them."""
    handlers = joined([])

    assert len(handlers) == PLACES
    with inescapable(handlers):
        pass


class Number(TypedDict, total=False):
    """The state of a graph."""

    number: int


def asks(state: Number) -> Number:
    """Ask a person."""
    interrupt("?")
    return {}


def works(state: Number) -> Number:
    """Ask nobody."""
    return {"number": 1}


async def stops_inside(state: Number) -> None:
    """Run a graph that stops at a breakpoint of its own."""
    await graph_of(works).compile(interrupt_before=["only"]).ainvoke(state)


def graph_of(node: Callable[..., Any]) -> StateGraph[Number]:
    """Return a graph of one node."""
    return StateGraph(Number).add_node("only", node).add_edge(START, "only")


@pytest.mark.parametrize(
    ("node", "stops", "times"),
    [
        (works, {}, 0),
        (asks, {}, 1),
        (works, {"interrupt_before": ["only"]}, 1),
        (works, {"interrupt_after": ["only"]}, 1),
        (stops_inside, {}, 1),
    ],
)
async def test_an_interruption_is_told(
    node: Callable[..., Any], stops: dict[str, Any], times: int
) -> None:
    """Also one that nobody is asked anything at, wherever it is, and that no task is marked with."""
    told: Told = []
    handlers = joined([], interrupted=lambda: told.append("interrupted"))
    graph = graph_of(node).compile(InMemorySaver())
    async for _ in graph.astream(
        {}, {"configurable": {"thread_id": "t"}, "callbacks": handlers}, stream_mode=[], **stops
    ):
        pytest.fail("nothing was to be told of")

    assert told == ["interrupted"] * times
