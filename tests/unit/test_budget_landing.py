"""The way to the landing, in plain LangGraph: what is spent delivers what there is, and nothing else runs."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, Send
from typing_extensions import TypedDict

from interlock.core.allowance import landing_here
from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.errors import BudgetSpent, UsageError
from tests.spending import Priced


class Said(TypedDict, total=False):
    """What was said, in any order."""

    said: Annotated[list[str], operator.add]
    to: str


class Graph:
    """A graph of nodes that say their names; those in `calls` call a model that often."""

    def __init__(self, **calls: int) -> None:
        self.model = Priced()
        self.calls = calls
        self.builder: StateGraph[Said, None, Said, Said] = StateGraph(Said)

    def node(self, name: str, **options: Any) -> Graph:
        async def say(state: Said) -> Said:
            word = name + state.get("to", "")
            for turn in range(self.calls.get(name, 0)):
                await self.model.ainvoke(f"{word} {turn}")
            landed = landing_here()
            return {"said": [f"{word}!{landed.unit}" if landed else word]}

        self.builder.add_node(name, say, **options)
        return self

    def edges(self, *pairs: str) -> Graph:
        for pair in pairs:
            start, _, end = pair.partition(">")
            self.builder.add_edge(start or START, end or END)
        return self

    def bounded(self, limits: Limits, land: str = "land", **more: Any) -> Any:  # a compiled graph
        declaration = Declaration(steps=25, limits=limits, land=land, **more)
        return bounded(self.builder, declaration, name="graph")


def two_in_a_row(**calls: int) -> Graph:
    """First, then second; and a landing with an epilogue."""
    graph = Graph(**calls)
    for name in ("first", "second", "land", "epilogue"):
        graph.node(name)
    return graph.edges(">first", "first>second", "second>", "land>epilogue", "epilogue>")


# --- steering ---


@pytest.mark.parametrize("synchronous", [False, True])
async def test_spent_budget_lands_and_nothing_else_runs(synchronous: bool) -> None:
    """The refused node is gone with its edges; the landing's own edges are followed."""
    graph = two_in_a_row(first=1, second=2).bounded(Limits(model_calls=2))
    given: Said = {"said": []}
    after = graph.invoke(given) if synchronous else await graph.ainvoke(given)

    assert after["said"] == ["first", "land!model_calls", "epilogue!model_calls"]


async def test_enough_budget_never_lands() -> None:
    """The landing is a node that nothing leads to."""
    graph = two_in_a_row(first=1, second=1).bounded(Limits(model_calls=2, steps=3))

    assert (await graph.ainvoke({"said": []}))["said"] == ["first", "second"]


async def test_landing_and_what_follows_may_use_the_kept_share() -> None:
    """And nobody before."""
    made = two_in_a_row(first=9, land=1, epilogue=1)
    graph = made.bounded(Limits(model_calls=8, landing=0.25))
    after = await graph.ainvoke({"said": []})

    assert after["said"] == ["land!model_calls", "epilogue!model_calls"]
    assert len(made.model.asked) == 8


async def test_landing_that_takes_more_than_was_kept_fails() -> None:
    """It does not land again."""
    graph = two_in_a_row(first=9, land=3).bounded(Limits(model_calls=8, landing=0.25))

    with pytest.raises(BudgetSpent, match="0 of 8 model calls are left"):
        await graph.ainvoke({"said": []})


async def test_without_a_landing_the_run_fails() -> None:
    """The error goes through, as any other."""
    graph = two_in_a_row(first=2).bounded(Limits(model_calls=1), land="")

    with pytest.raises(BudgetSpent):
        await graph.ainvoke({"said": []})


@pytest.mark.parametrize(
    ("steps", "said"),
    [(1, ["land!steps"]), (2, ["first", "land!steps"]), (3, ["first", "second"])],
)
async def test_steps_are_refused_in_time_to_land(steps: int, said: list[str]) -> None:
    """One is kept for that, also where nothing else is."""
    graph = Graph().node("first").node("second").node("land")
    graph.edges(">first", "first>second", "second>", "land>")

    assert (await graph.bounded(Limits(steps=steps)).ainvoke({"said": []}))["said"] == said


async def test_declared_landing_must_be_a_node() -> None:
    """Told when the graph is made, and not when it is spent."""
    with pytest.raises(UsageError, match="lands at 'nowhere', which is no node of it"):
        Graph().node("first").edges(">first").bounded(Limits(), land="nowhere")


@pytest.mark.parametrize("steps", [0, -1])
def test_declared_steps_are_a_limit(steps: int) -> None:
    """LangGraph would take zero for no limit at all."""
    with pytest.raises(UsageError, match="is no limit"):
        Declaration(steps=steps)


# --- branches ---


def fan_out(*, wide: int, **calls: int) -> Graph:
    """Branches by `Send`, joined behind them."""
    graph = Graph(**calls)
    for name in ("plan", "branch", "join", "land"):
        graph.node(name)
    graph.builder.add_conditional_edges(
        "plan",
        lambda state: [Send("branch", {"to": f".{n}", "said": []}) for n in range(wide)],
        ["branch"],
    )
    return graph.edges(">plan", "branch>join", "join>", "land>")


async def test_branches_that_ended_keep_what_they_brought() -> None:
    """But what they would have sent for does not run beside the landing, which runs once."""
    made = fan_out(wide=4, branch=1)
    after = await made.bounded(Limits(model_calls=2)).ainvoke({"said": []})

    assert after["said"][0] == "plan"
    assert len([each for each in after["said"] if each.startswith("branch")]) == 2
    assert after["said"][3:] == ["land!model_calls"]


@pytest.mark.parametrize("first", ["other", "refused"])
async def test_branch_beside_a_refused_one_sends_for_nothing_more(first: str) -> None:
    """Whichever of them ends first: its state is kept, its successors do not run."""
    graph, turns = Graph(), {"other": asyncio.Event(), "refused": asyncio.Event()}
    turns[first].set()

    async def ended(name: str) -> None:
        asyncio.get_running_loop().call_later(0.05, turns[name].set)

    async def other(state: Said) -> Said:
        await asyncio.wait_for(turns["other"].wait(), 10)
        await ended("refused")
        return {"said": ["other"]}

    async def refused(state: Said) -> Said:
        await asyncio.wait_for(turns["refused"].wait(), 10)
        await ended("other")
        await graph.model.ainvoke("a")
        return {"said": ["refused"]}

    graph.builder.add_node("other", other)
    graph.builder.add_node("refused", refused)
    graph.node("after").node("land")
    graph.edges(">other", ">refused", "other>after", "refused>after", "after>", "land>")
    after = await graph.bounded(Limits(model_calls=0)).ainvoke({"said": []})

    assert after["said"] == ["other", "land!model_calls"]


async def test_join_of_branches_is_not_left_waiting_for_the_landing() -> None:
    """An edge from several nodes to one does not fire beside the landing."""
    graph = Graph(left=2, right=0)
    for name in ("left", "right", "both", "land"):
        graph.node(name)
    graph.builder.add_edge(["left", "right"], "both")
    graph.edges(">left", ">right", "both>", "land>")
    after = await graph.bounded(Limits(model_calls=1)).ainvoke({"said": []})

    assert after["said"] == ["right", "land!model_calls"]


async def test_node_that_says_where_it_goes_lands_too() -> None:
    """A `Command`'s goto is a way like others."""
    graph = Graph()

    async def hub(state: Said) -> Command[str]:
        await graph.model.ainvoke("a")
        return Command(goto="hub", update={"said": ["hub"]})

    graph.builder.add_node("hub", hub, destinations=("hub",))
    graph.node("land").edges(">hub", "land>")
    after = await graph.bounded(Limits(model_calls=2)).ainvoke({"said": []})

    assert after["said"] == ["hub", "hub", "land!model_calls"]


# --- what stands around a node ---


async def test_retry_policy_does_not_repeat_what_is_spent() -> None:
    """Not LangGraph's own, nor without a landing."""
    graph = Graph(first=2).node("first", retry_policy=RetryPolicy(initial_interval=60.0))
    graph.edges(">first", "first>")

    with pytest.raises(BudgetSpent):
        await graph.bounded(Limits(model_calls=1), land="").ainvoke({"said": []})
    assert graph.model.asked == ["first 0"]


async def test_own_error_handler_is_not_asked_about_it() -> None:
    """It handles what its author had in mind; the landing is declared for the whole graph."""
    seen: list[str] = []

    async def mend(state: Said, error: NodeError) -> Command[str]:
        seen.append(type(error.error).__name__)
        return Command(goto="second")

    graph = Graph(first=2)
    graph.node("first", error_handler=mend).node("second").node("land")
    graph.edges(">first", "first>second", "second>", "land>")
    after = await graph.bounded(Limits(model_calls=1)).ainvoke({"said": []})

    assert after["said"] == ["land!model_calls"]
    assert seen == []


async def test_node_that_failed_of_something_else_runs_again_as_ever() -> None:
    """The landing changes nothing about resuming after a failure."""
    failures: list[Exception] = [ConnectionError("a moment")]

    async def fragile(state: Said) -> Said:
        if failures:
            raise failures.pop()
        return {"said": ["fragile"]}

    graph = Graph()
    graph.builder.add_node("fragile", fragile)
    graph.node("land").edges(">fragile", "fragile>", "land>")
    compiled = graph.bounded(Limits(model_calls=1)).copy({"checkpointer": InMemorySaver()})
    config = {"configurable": {"thread_id": "t"}}
    with pytest.raises(ConnectionError):
        await compiled.ainvoke({"said": []}, config)
    after = await compiled.ainvoke(None, config)

    assert after["said"] == ["fragile"]


async def test_with_a_checkpointer_each_invocation_has_its_own_budget() -> None:
    """And a thread that landed goes on with its next input."""
    made = two_in_a_row(first=1)
    compiled = made.bounded(Limits(model_calls=0)).copy({"checkpointer": InMemorySaver()})
    config = {"configurable": {"thread_id": "t"}}
    for _ in range(2):
        after = await compiled.ainvoke({"said": []}, config)

    assert after["said"].count("land!model_calls") == 2
    assert (await compiled.aget_state(config)).next == ()


# --- graphs inside graphs ---


def nested(inner: Limits, outer: Limits, *, land: str = "land") -> tuple[Graph, Any]:
    """A graph with three calls, inside one whose last node makes one more."""
    within = Graph(deep=3).node("deep").node("land").edges(">deep", "deep>", "land>")
    around = Graph(last=1)
    around.model = within.model
    around.builder.add_node("inner", within.bounded(inner, land=land))
    around.node("last").node("land").edges(">inner", "inner>last", "last>", "land>")
    return within, around.bounded(outer)


async def test_spent_outside_lands_outside() -> None:
    """What the graph inside would do with it is not asked: it has budget enough."""
    _, graph = nested(Limits(), Limits(model_calls=2), land="")

    assert (await graph.ainvoke({"said": []}))["said"] == ["land!model_calls"]


async def test_spent_inside_lands_inside_and_the_outer_graph_goes_on() -> None:
    """Each has limits of its own, and a call is charged to both."""
    made, graph = nested(Limits(model_calls=1), Limits(model_calls=2))
    after = await graph.ainvoke({"said": []})

    assert after["said"] == ["land!model_calls", "last"]
    assert made.model.asked == ["deep 0", "last 0"]


async def test_spent_inside_without_a_landing_lands_outside() -> None:
    """Somebody must deliver."""
    _, graph = nested(Limits(model_calls=1), Limits(), land="")

    assert (await graph.ainvoke({"said": []}))["said"] == ["land!model_calls"]


async def test_graph_called_by_a_node_is_charged_to_both() -> None:
    """Where LangGraph sees no subgraph."""
    within = Graph(deep=3).node("deep").edges(">deep", "deep>")
    inner = within.bounded(Limits(model_calls=9), land="")

    async def calls(state: Said) -> Said:
        return {"said": (await inner.ainvoke({"said": []}))["said"]}

    around = Graph()
    around.builder.add_node("calls", calls)
    around.node("land").edges(">calls", "calls>", "land>")
    after = await around.bounded(Limits(model_calls=2)).ainvoke({"said": []})

    assert after["said"] == ["land!model_calls"]
    assert len(within.model.asked) == 2


async def test_graphs_that_one_node_calls_have_a_budget_each() -> None:
    """One lands after the other; none is refused what another one took."""
    within = Graph(deep=2).node("start").node("deep").node("land")
    inner = within.edges(">start", "start>deep", "deep>", "land>").bounded(Limits(model_calls=1))

    async def calls(state: Said) -> Said:
        first = await inner.ainvoke({"said": []})
        more = await asyncio.gather(*(inner.ainvoke({"said": []}) for _ in range(2)))
        return {"said": [word for each in (first, *more) for word in each["said"]]}

    around = Graph()
    around.builder.add_node("calls", calls)
    around.edges(">calls", "calls>")
    after = await around.bounded(Limits(model_calls=9), land="").ainvoke({"said": []})

    assert after["said"] == ["start", "land!model_calls"] * 3
    assert len(within.model.asked) == 3


async def test_graph_that_is_called_again_by_a_retried_node_goes_on_with_its_budget() -> None:
    """A retry is no way to a new one."""
    within = Graph(deep=2).node("deep").edges(">deep", "deep>")
    inner = within.bounded(Limits(model_calls=3), land="")

    async def calls(state: Said) -> Said:
        await inner.ainvoke({"said": []})
        raise ConnectionError("the line broke")

    around = Graph()
    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False)
    around.builder.add_node("calls", calls, retry_policy=retry)
    around.edges(">calls", "calls>")
    graph = around.bounded(Limits(model_calls=99), land="")

    with pytest.raises(BudgetSpent):
        await graph.ainvoke({"said": []})
    assert len(within.model.asked) == 3


@pytest.mark.parametrize("synchronous", [False, True])
async def test_call_with_callbacks_of_its_own_is_charged(synchronous: bool) -> None:
    """LangChain forgets those of the run then."""
    model = Priced()

    async def waiting(state: Said) -> Said:
        for turn in range(3):
            await model.ainvoke(f"{turn}", {"callbacks": []})
        return {"said": ["all"]}

    def blocking(state: Said) -> Said:
        for turn in range(3):
            model.with_config(callbacks=[BaseCallbackHandler()]).invoke(f"{turn}")
        return {"said": ["all"]}

    made = Graph().node("land").edges(">call", "land>")
    made.builder.add_node("call", blocking if synchronous else waiting)
    after = await made.bounded(Limits(model_calls=2)).ainvoke({"said": []})

    assert after["said"] == ["land!model_calls"]
    assert model.asked == ["0", "1"]


async def test_way_to_the_landing_is_not_cached() -> None:
    """A run with budget enough does what an earlier one could not."""
    made = Graph(first=1).node("first", cache_policy=CachePolicy()).node("land")
    made.edges(">first", "first>", "land>")
    cache: InMemoryCache[Any] = InMemoryCache()

    said = [
        (await each.ainvoke({"said": []}))["said"]
        for calls in (0, 1)
        for each in [made.bounded(Limits(model_calls=calls)).copy({"cache": cache})]
    ]

    assert said == [["land!model_calls"], ["first"]]


async def test_runs_side_by_side_do_not_share_a_budget() -> None:
    """Each invocation is a run of its own."""
    made = two_in_a_row(first=2)
    graph = made.bounded(Limits(model_calls=2))
    after = await asyncio.gather(*(graph.ainvoke({"said": []}) for _ in range(5)))

    assert [each["said"] for each in after] == [["first", "second"]] * 5
