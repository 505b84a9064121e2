"""The loop guard in plain LangGraph: a graph that goes round in circles is taken back, and a person is asked."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import CachePolicy, Command, Send
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded
from interlock.core.budget import Limits
from interlock.core.context import Context
from interlock.core.loops import Loops, Then
from interlock.core.trails import TRAIL
from interlock.errors import LimitReached
from tests.acting import Rules, context
from tests.sample.circling import circling
from tests.spending import Priced

ASKED = {"messages": [HumanMessage("Who built it?")]}
NOTE = (
    "Tried before, and given up: agent → tools brought the same 3 times "
    "(agent: search({'query': 'who built it'}); tools: No results · an empty page). Go another way."
)

State = dict[str, Any]
Graph = Any  # a compiled graph of any state
Builder = StateGraph[Any, Any, Any, Any]


def compiled(*, then: Sequence[Then] = ("backtrack", "ask"), land: str = "") -> Graph:
    """The circling agent, with a checkpointer."""
    loops = replace(circling.LOOPS, then=tuple(then))
    declared = Declaration(steps=80, loops=loops, land=land)
    return durable(bounded(circling.build(), declared, name="circling"))


def durable(graph: Graph) -> Graph:
    """The graph with a strict checkpointer."""
    serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    return graph.copy({"checkpointer": InMemorySaver(serde=serde)})


def on(thread: str = "t") -> Any:  # LangGraph's config
    return {"configurable": {"thread_id": thread}}


def said(state: State) -> list[str]:
    return [each.text for each in state["messages"]]


async def ran(graph: Graph, given: Any) -> list[str]:
    """The nodes that ran, in their order."""
    return [next(iter(each)) async for each in graph.astream(given, on())]


# --- back ---


async def test_a_graph_that_loops_in_the_old_way_finishes_after_the_backtrack() -> None:
    """It goes on from the step before the circle, with its memory cleared and a note."""
    graph = compiled()

    nodes = await ran(graph, ASKED)

    after = (await graph.aget_state(on())).values
    rounds = ["agent", "tools"] * 3
    assert nodes == [*rounds, "agent", "loop_guard", "agent"]  # of the fourth agent nothing ran
    assert (after["answer"], after["notes"]) == ("not known", [NOTE])
    assert said(after) == ["Who built it?", "It is not known."]


def test_a_synchronous_graph_is_taken_back_too() -> None:
    """`invoke` is watched as `ainvoke` is."""
    after = compiled().invoke(ASKED, on())

    assert (after["answer"], after["notes"]) == ("not known", [NOTE])


async def test_without_a_checkpointer_it_goes_on_with_its_memory_cleared() -> None:
    """There is no step to go back to; the node that was about to run is told what was tried."""
    graph: Graph = bounded(circling.build(), circling.DECLARED, name="circling")

    after = await graph.ainvoke(ASKED)

    assert (after["answer"], after["notes"]) == ("not known", [NOTE])
    assert said(after) == ["Who built it?", "It is not known."]
    assert after["page"] == "an empty page"


class Log(TypedDict, total=False):
    """A state with a key of each kind."""

    added: Annotated[list[str], operator.add]
    folded: Annotated[list[str], DeltaChannel(lambda old, new: old + [x for w in new for x in w])]
    plain: str
    late: str
    tried: str


def log_graph(loops: Loops) -> Graph:
    """A node that leads to one that adds to each key and runs itself again."""

    async def first(state: Log) -> Log:
        return {"added": ["first"], "folded": ["first"], "plain": "first"}

    async def again(state: Log) -> Log:
        if state.get("tried"):
            return {"late": "done"}
        return {"added": ["again"], "folded": ["again"], "plain": "again", "late": "again"}

    builder = StateGraph(Log)
    builder.add_node("first", first)
    builder.add_node("again", again)
    builder.add_edge(START, "first")
    builder.add_edge("first", "again")
    builder.add_conditional_edges(
        "again", lambda state: END if state["late"] == "done" else "again", ["again", END]
    )
    return bounded(builder, Declaration(steps=30, loops=loops), name="log")


async def test_each_kind_of_key_is_what_it_was() -> None:
    """Keys with reducers are overwritten; a key that had no value then keeps the one that it has."""
    graph = durable(log_graph(Loops(notes="tried")))

    await graph.ainvoke({"tried": ""}, on())

    history = [each async for each in graph.aget_state_history(on())]
    good = next(each for each in history if each.next == ("again",)).values
    assert (good["added"], good["folded"], good["plain"]) == (["first"], ["first"], "first")
    assert good["late"] == "again"
    assert good["tried"].startswith("Tried before, and given up: again brought the same 3 times")


async def test_notes_can_go_into_the_messages() -> None:
    """A note is a message of the user then, which the next prompt carries by itself."""
    loops = Loops(memory=("messages",), notes="messages")
    graph = durable(bounded(talker(), Declaration(steps=30, loops=loops), name="talker"))

    after = await graph.ainvoke(ASKED, on())

    kinds = [each.type for each in after["messages"]]
    assert kinds == ["human", "human", "ai"]
    assert said(after)[1].startswith("Tried before, and given up: talk brought the same 3 times")


class Talk(TypedDict):
    """Messages alone."""

    messages: Annotated[list[AnyMessage], operator.add]


def talker() -> StateGraph[Talk, None, Talk, Talk]:
    """A node that says the same until it is told not to."""

    async def talk(state: Talk) -> Talk:
        told = "Tried before" in state["messages"][-1].text
        return {"messages": [AIMessage("I stop." if told else "Let me think.")]}

    def after(state: Talk) -> str:
        return END if state["messages"][-1].text == "I stop." else "talk"

    builder = StateGraph(Talk)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    builder.add_conditional_edges("talk", after, ["talk", END])
    return builder


def longer(old: list[str], new: list[str]) -> list[str]:
    return max(old, new, key=len)


class Wide(TypedDict, total=False):
    """A state for branches side by side."""

    seen: Annotated[list[str], operator.add]
    tried: Annotated[list[str], longer]


class Task(TypedDict, total=False):
    """What a branch is sent out with."""

    name: str
    tried: list[str]


def waves(*, same: bool) -> Graph:
    """A supervisor that sends out two tasks a wave: the same ones, or others each time."""

    async def supervise(state: Wide) -> Wide:
        return {}

    async def work(state: Task) -> Wide:
        return {"seen": ["nothing"]}

    def after(state: Wide) -> list[Send] | str:
        wave = len(state["seen"]) // 2
        if wave == 5 or state.get("tried"):
            return END
        names = ("a", "b") if same else (f"a{wave}", f"b{wave}")
        return [Send("work", {"name": name}) for name in names]

    builder: Builder = StateGraph(Wide)
    builder.add_node("supervise", supervise)
    builder.add_node("work", work, input_schema=Task)
    builder.add_edge(START, "supervise")
    builder.add_conditional_edges("supervise", after, ["work", END])
    builder.add_edge("work", "supervise")
    declared = Declaration(steps=40, loops=Loops(notes="tried"))
    return bounded(builder, declared, name="waves")


@pytest.mark.parametrize(("same", "seen"), [(False, 10), (True, 6)])
async def test_waves_with_other_inputs_are_honest(same: bool, seen: int) -> None:
    """What a branch was sent out with tells one from another, also where all find the same."""
    after = await waves(same=same).ainvoke({"seen": [], "tried": []})

    assert len(after["seen"]) == seen
    assert len(after["tried"]) == same


async def test_branches_that_were_stopped_side_by_side_all_run_again() -> None:
    """A verdict stops the whole superstep; what was sent out goes on with its own input."""
    ran: list[str] = []

    async def hub(state: Wide) -> Wide:
        return {}

    async def spoke(state: Task) -> Wide:
        ran.append(state["name"])
        return {"tried": state["tried"]} if len(ran) > 6 else {}

    def out(state: Wide) -> list[Send] | str:
        return [Send("spoke", {"name": name, "tried": ["end"]}) for name in ("a", "b")]

    def back(state: Wide) -> str:
        return END if state.get("tried") == ["end"] else "hub"

    builder: Builder = StateGraph(Wide)
    builder.add_node("hub", hub)
    builder.add_node("spoke", spoke, input_schema=Task)
    builder.add_conditional_edges(START, out, ["spoke"])
    builder.add_conditional_edges("hub", out, ["spoke"])
    builder.add_conditional_edges("spoke", back, ["hub", END])
    loops = Loops(then=("backtrack",))
    graph = bounded(builder, Declaration(steps=40, loops=loops), name="wheel")

    await graph.ainvoke({"seen": [], "tried": []})

    assert ran == ["a", "b"] * 4


async def test_a_graph_whose_joins_wait_otherwise_is_not_taken_back() -> None:
    """What waits at a join cannot be taken out of it: the graph goes on from where it is, and still ends."""

    async def spin(state: Wide) -> Wide:
        return {"seen": ["spin"]}

    async def other(state: Wide) -> Wide:
        return {"seen": ["other"]}

    async def meet(state: Wide) -> Wide:
        return {"seen": ["meet"]}

    builder: Builder = StateGraph(Wide)
    for node in (spin, other, meet):
        builder.add_node(node)
    builder.add_edge(START, "spin")
    builder.add_edge(["spin", "other"], "meet")
    builder.add_conditional_edges(
        "spin", lambda state: "other" if state.get("tried") else "spin", ["spin", "other"]
    )
    declared = Declaration(steps=30, loops=Loops(notes="tried"))
    graph = durable(bounded(builder, declared, name="join"))

    after = await graph.ainvoke({"seen": [], "tried": []}, on())

    assert after["seen"] == ["spin", "spin", "spin", "spin", "other", "meet"]


async def test_a_subgraph_has_a_trail_of_its_own_and_goes_back_in_itself() -> None:
    """The graph around it is told nothing, and its node runs once."""
    graph = durable(circling.around)
    path = []

    async for namespace, part in graph.astream(ASKED, on(), subgraphs=True):
        path.append((len(namespace), next(iter(part))))

    rounds = [(1, "agent"), (1, "tools")] * 3
    assert path == [*rounds, (1, "agent"), (1, "loop_guard"), (1, "agent"), (0, "inner")]
    assert (await graph.aget_state(on())).values["notes"] == [NOTE]


async def test_the_values_of_a_subgraphs_checkpoint_are_its_own() -> None:
    """They stand under the subgraph's name, and are written back in it."""
    outer: Builder = StateGraph(Log)
    outer.add_node("inner", log_graph(Loops(notes="tried")))
    outer.add_edge(START, "inner")
    graph = durable(bounded(outer, Declaration(steps=9), name="around"))

    after = await graph.ainvoke({"tried": ""}, on())

    assert after["added"] == ["first"]


# --- the second time ---


async def stuck(graph: Graph, stubborn: int = 1, **given: Any) -> Any:  # the interrupt's payload
    """The question after the second circle."""
    result = await graph.ainvoke({**ASKED, "stubborn": stubborn, **given}, on())
    [asked] = result["__interrupt__"]
    return asked.value


def decided(kind: str, **more: str) -> Command[Any]:
    return Command(resume={"decisions": [{"type": kind, **more}]})


async def test_the_second_time_a_person_is_asked() -> None:
    """The question says what goes round, what was tried, and what each answer leads to."""
    asked = await stuck(compiled())

    question = asked["question"]
    assert question["summary"] == (
        "circling goes round in circles: agent → tools brought the same 3 times. How does it go on?"
    )
    assert NOTE in question["evidence"]
    assert sorted(question["consequences"]) == ["approve", "reject", "respond"]
    assert question["consequences"]["reject"] == "The run ends."


async def test_a_hint_takes_it_back_again_and_tells_the_agent() -> None:
    """The hint stands in the notes, beside what was tried."""
    graph = compiled()
    await stuck(graph)

    after = await graph.ainvoke(decided("respond", message="Ask the parish."), on())

    assert (after["answer"], len(after["notes"])) == ("not known", 2)
    assert after["notes"][1].endswith("Go another way. A person says: Ask the parish.")
    assert said(after) == ["Who built it?", "It is not known."]


async def test_going_on_asks_again_when_it_is_still_going_round() -> None:
    """A person may let it go on as often as they like; each circle is a question of its own."""
    graph = compiled()
    await stuck(graph)

    again = await graph.ainvoke(decided("approve"), on())
    assert again["__interrupt__"]
    after = await graph.ainvoke(decided("respond", message="Stop it."), on())

    assert after["answer"] == "not known"


async def test_a_rejection_ends_the_run() -> None:
    """Without a node to land on it fails, and says who stopped it."""
    graph = compiled()
    await stuck(graph)

    with pytest.raises(LimitReached, match=r"A person stopped the graph 'circling': agent → tools"):
        await graph.ainvoke(decided("reject", message="No."), on())


async def test_a_rejection_lands_where_the_graph_declares_it() -> None:
    """What there is is delivered."""
    graph = compiled(land="land")
    asked = await stuck(graph)

    after = await graph.ainvoke(decided("reject", message="No."), on())

    assert asked["question"]["consequences"]["reject"] == "It goes to land."
    assert after["answer"] == "partial"


@pytest.mark.parametrize("then", [("ask",), ("backtrack", "ask")])
async def test_without_a_checkpointer_nobody_can_be_asked(then: tuple[Then, ...]) -> None:
    """The run fails with what a person would have been asked."""
    declared = Declaration(steps=60, loops=replace(circling.LOOPS, then=then))
    graph: Graph = bounded(circling.build(), declared, name="circling")

    with pytest.raises(LimitReached, match="goes round in circles: agent → tools brought the same"):
        await graph.ainvoke({**ASKED, "stubborn": 9})


async def test_a_graph_may_land_or_fail_at_once() -> None:
    """What happens is declared, the first time too."""
    landed = await compiled(then=("land",), land="land").ainvoke(ASKED, on())

    assert landed["answer"] == "partial"
    with pytest.raises(LimitReached, match="goes round in circles"):
        await compiled(then=("fail",)).ainvoke(ASKED, on())


async def test_the_guard_itself_never_goes_round() -> None:
    """After what is declared the run fails, however stubborn the agent is."""
    graph = compiled(then=("backtrack", "backtrack"))

    with pytest.raises(LimitReached, match="goes round in circles"):
        await graph.ainvoke({**ASKED, "stubborn": 99}, on())

    assert len((await graph.aget_state(on())).values["notes"]) == 2


# --- what is honest ---


async def test_each_input_begins_a_trail_anew() -> None:
    """A thread that is asked the same three times answers three times."""
    graph = durable(bounded(talk_once(), Declaration(steps=10, loops=Loops()), name="once"))

    for _ in range(4):
        await graph.ainvoke(ASKED, on())

    assert said((await graph.aget_state(on())).values).count("Nobody knows.") == 4


def talk_once() -> StateGraph[Talk, None, Talk, Talk]:
    """A node that answers."""

    async def talk(state: Talk) -> Talk:
        return {"messages": [AIMessage("Nobody knows.")]}

    builder = StateGraph(Talk)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    return builder


async def test_a_node_that_polls_is_left_alone() -> None:
    """It may bring the same as often as its step limit lets it."""
    loops = Loops(polls=("again",), notes="tried")

    with pytest.raises(GraphRecursionError):
        await log_graph(loops).ainvoke({"tried": ""})


class Worklist(TypedDict, total=False):
    """What is to be done, and how it went."""

    todo: list[str]
    done: Annotated[list[str], operator.add]
    outcome: str


async def test_a_list_of_work_is_worked_off() -> None:
    """Each item has another name, and all go the same way."""

    async def work(state: Worklist) -> Worklist:
        first, *rest = state["todo"]
        return {"todo": rest, "done": [first], "outcome": "It was checked, and nothing was found."}

    builder: Builder = StateGraph(Worklist)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if state["todo"] else END)
    graph = bounded(builder, Declaration(steps=30, loops=Loops()), name="list")
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"]

    assert (await graph.ainvoke({"todo": names, "done": []}))["done"] == names


async def test_an_agent_that_looks_into_one_file_after_another_is_left_alone() -> None:
    """Its calls differ in one name among many words, and it finds the same in each."""
    files = [f"src/{name}.py" for name in ("parser", "lexer", "writer", "main", "cli", "server")]

    async def agent(state: MessagesState) -> MessagesState:
        number = sum(each.type == "tool" for each in state["messages"])
        if number == len(files):
            return {"messages": [AIMessage("All of them are clean.")]}
        wanted: State = {"pattern": "todo", "path": files[number], "context": "none"}
        wanted |= {"recursive": True, "ignore_case": True}
        call = {"name": "grep", "args": wanted, "id": f"c{number}"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    async def tools(state: MessagesState) -> MessagesState:
        call = state["messages"][-1].tool_calls[0]  # type: ignore[union-attr]  # an AIMessage
        return {"messages": [ToolMessage("No matches were found.", tool_call_id=call["id"])]}

    def after_agent(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]  # as above

    builder: Builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", tools)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", after_agent, ["tools", END])
    builder.add_edge("tools", "agent")
    graph = bounded(builder, Declaration(steps=30, loops=Loops()), name="scan")

    after = await graph.ainvoke({"messages": [HumanMessage("Is anything left to do?")]})

    assert after["messages"][-1].text == "All of them are clean."


class Found(TypedDict):
    """What branches side by side found."""

    found: Annotated[list[str], operator.add]


async def test_a_landing_is_never_taken_back() -> None:
    """A budget is spent in the step in which a branch beside it completes a stall."""
    model = Priced()

    async def stalls(state: Found) -> Found:
        return {"found": [f"nothing in {len(state['found'])}"]}

    async def spends(state: Found) -> Found:
        await model.ainvoke("go on")
        return {"found": ["thought"]}

    async def land(state: Found) -> Found:
        return {"found": ["landed"]}

    builder: Builder = StateGraph(Found)
    for node in (stalls, spends, land):
        builder.add_node(node)
    for name in ("stalls", "spends"):
        builder.add_edge(START, name)
        builder.add_edge(name, name)
    loops = Loops(progress=("goal",), window=4)
    declared = Declaration(steps=30, limits=Limits(model_calls=3), land="land", loops=loops)
    graph = durable(bounded(builder, declared, name="stalling"))

    after = await graph.ainvoke({"found": []}, on())

    found = ["nothing in 0", "nothing in 2", "nothing in 4", "nothing in 6", "landed"]
    assert [each for each in after["found"] if each != "thought"] == found


async def test_a_node_with_a_cache_is_watched() -> None:
    """What is answered from a cache goes round as anything else does."""

    async def again(state: Wide) -> Wide:
        return {"seen": []}

    builder: Builder = StateGraph(Wide)
    builder.add_node("again", again, cache_policy=CachePolicy())
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda state: END if state["tried"] else "again")
    declared = Declaration(steps=20, loops=Loops(notes="tried"))
    graph = bounded(builder, declared, name="cached").copy({"cache": InMemoryCache()})

    after = await graph.ainvoke({"seen": [], "tried": []})

    assert [each[:6] for each in after["tried"]] == ["Tried "]


# --- what is shown and stored ---


async def test_the_trail_is_stored_but_not_shown() -> None:
    """It stands in checkpoints, and in no state, stream, output or schema that people see."""
    graph = compiled()
    shown: list[Any] = [each async for each in graph.astream(ASKED, on(), stream_mode="values")]
    updates = [each async for each in graph.astream(ASKED, on("u"), stream_mode="updates")]

    saved = await graph.checkpointer.aget_tuple(on())
    assert TRAIL in saved.checkpoint["channel_values"]
    assert TRAIL not in (await graph.aget_state(on())).values
    assert not [each for each in [*shown, *updates] if TRAIL in str(each)]
    assert TRAIL not in str(graph.get_output_jsonschema())


async def test_a_trail_stays_small() -> None:
    """However long a run is, a few kilobytes are kept of its way."""

    class Counting(TypedDict):
        page: str
        n: int

    async def count(state: Counting) -> Counting:
        return {
            "page": f"{state['page']} and more of it {len(state['page'])}"[-900:],
            "n": state["n"] + 1,
        }

    builder: Builder = StateGraph(Counting)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_conditional_edges(
        "count", lambda s: "count" if s["n"] < 100 else END, ["count", END]
    )
    graph = durable(bounded(builder, Declaration(steps=120, loops=Loops()), name="counting"))

    await graph.ainvoke({"page": "", "n": 0}, on())

    saved = await graph.checkpointer.aget_tuple(on())
    stored = JsonPlusSerializer().dumps_typed(saved.checkpoint["channel_values"][TRAIL])[1]
    assert len(saved.checkpoint["channel_values"][TRAIL]["steps"]) == 18
    assert len(stored) < 6_000


# --- what was done ---


@pytest.fixture
def paying(tmp_path: Path) -> Callable[[], State]:
    """An input whose searches cost a fee, and a way to read what was paid."""
    return lambda: {"fee": 2, "log": str(tmp_path / "fees"), **ASKED}


def paid(given: State) -> int:
    return Path(given["log"]).read_text().count("fee")


async def test_what_cannot_be_undone_is_not_done_again_silently(
    paying: Callable[[], State],
) -> None:
    """After the way back the same act asks as it would on a fork; the note tells of it."""
    given = paying()
    graph = compiled(then=("backtrack", "backtrack"))
    ports = context(policy=Rules("allow"))

    result = await graph.ainvoke({**given, "stubborn": 1}, on(), context=ports)

    [asked] = result["__interrupt__"]
    note = (await graph.aget_state(on())).values["notes"][0]
    assert paid(given) == 3
    assert asked.value["action_requests"][0]["name"] == "circling_fee"
    assert "in steps that this run was taken back from" in asked.value["question"]["summary"]
    assert f'not to be done again: circling_fee({{"amount": 2, "log": "{given["log"]}"}})' in note


async def test_an_act_in_a_subgraph_asks_too(paying: Callable[[], State]) -> None:
    """A graph tells those in it what the run was taken back from."""
    given = paying()
    outer: Builder = StateGraph(circling.Circling, context_schema=Context)
    inner: Builder = StateGraph(circling.Circling, context_schema=Context)
    inner.add_node("tools", circling.tools)
    inner.add_edge(START, "tools")
    outer.add_node("agent", circling.agent)
    outer.add_node("desk", inner.compile())
    outer.add_edge(START, "agent")
    outer.add_conditional_edges(
        "agent",
        lambda state: "desk" if circling.after_agent(state) == "tools" else END,
        ["desk", END],
    )
    outer.add_edge("desk", "agent")
    graph = durable(bounded(outer, Declaration(steps=60, loops=circling.LOOPS), name="outer"))

    result = await graph.ainvoke(
        {**given, "stubborn": 1}, on(), context=context(policy=Rules("allow"))
    )

    [asked] = result["__interrupt__"]
    assert "in steps that this run was taken back from" in asked.value["question"]["summary"]
    assert paid(given) == 3


# --- limits ---


def test_a_subgraph_keeps_its_own_step_limit() -> None:
    """LangGraph would give it that of the graph around it."""
    inner = bounded(circling.build(), Declaration(steps=4), name="inner")
    outer: Builder = StateGraph(circling.Circling, context_schema=Context)
    outer.add_node("inner", inner)
    outer.add_edge(START, "inner")
    graph = bounded(outer, Declaration(steps=50), name="outer")

    with pytest.raises(GraphRecursionError, match="limit of 4"):
        graph.invoke(ASKED)


async def test_a_subgraph_that_is_called_with_its_callers_configuration_keeps_its_limit() -> None:
    """Also where a node calls it, and hands on what it was given."""
    inner: Graph = bounded(circling.build(), Declaration(steps=4), name="inner")

    async def call(state: circling.Circling, config: RunnableConfig) -> State:
        found: State = await inner.ainvoke(state, config)
        return found

    outer: Builder = StateGraph(circling.Circling, context_schema=Context)
    outer.add_node("call", call)
    outer.add_edge(START, "call")

    with pytest.raises(GraphRecursionError, match="limit of 4"):
        await bounded(outer, Declaration(steps=50), name="outer").ainvoke(ASKED)


def test_a_graph_is_drawn_as_its_author_made_it() -> None:
    """Each node has a way to the guard: the picture leaves it out, inside a subgraph too."""
    outer: Builder = StateGraph(Log)
    outer.add_node("inner", log_graph(Loops()))
    outer.add_edge(START, "inner")
    around = bounded(outer, Declaration(steps=9, loops=Loops()), name="around")

    assert sorted(circling.graph.get_graph().nodes) == [
        "__end__",
        "__start__",
        "agent",
        "land",
        "tools",
    ]
    assert sorted(around.get_graph(xray=True).nodes) == [
        "__end__",
        "__start__",
        "inner:__end__",
        "inner:again",
        "inner:first",
    ]


def test_a_builder_can_be_compiled_twice() -> None:
    """The guard joins it once."""
    builder = circling.build()

    bounded(builder, circling.DECLARED, name="one")
    two: Graph = bounded(builder, circling.DECLARED, name="two")

    assert two.invoke(ASKED)["answer"] == "not known"


async def test_the_guard_of_one_graph_serves_many_threads_at_once() -> None:
    """Nothing of a verdict is kept outside of the state."""
    graph = compiled()

    results = await asyncio.gather(*(graph.ainvoke(ASKED, on(str(n))) for n in range(8)))

    assert {each["answer"] for each in results} == {"not known"}
