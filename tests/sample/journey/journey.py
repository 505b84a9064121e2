"""A long graph of model calls and acts, whose calls and acts an outside file counts."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.escalating import escalate_to
from interlock.errors import ActionRefused

LEGS = 10


class State(TypedDict, total=False):
    """Where the journey goes: `early` is used on each leg, `late` from the sixth on."""

    early: str
    late: str
    log: str
    leg: int
    said: Annotated[list[str], operator.add]
    done: Annotated[list[str], operator.add]


def note(log: str, line: str) -> None:
    """Write down what happened outside."""
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


class Guide(BaseChatModel):
    """A model that answers with the number of the call, so that no two calls have one answer."""

    log: str

    @property
    def _llm_type(self) -> str:
        return "guide"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        note(self.log, f"call {messages[-1].text}")
        calls = Path(self.log).read_text().count("call ")
        message = AIMessage(f"answer {calls} to {messages[-1].text}")
        return ChatResult(generations=[ChatGeneration(message=message)])


@action(name="journey_walk", touches="the log", reversible=True)
async def walk(leg: int, how: str, log: str) -> str:
    """Walk a leg."""
    note(log, f"walk {leg} {how}")
    return f"walked {leg} {how}"


@action(name="journey_pay", touches="the purse")
async def pay(amount: int, log: str) -> str:
    """Pay for the journey; nobody gives it back."""
    note(log, f"pay {amount}")
    return f"paid {amount}"


def manner(state: State) -> str:
    """Return how the present leg is walked."""
    return state["late"] if state.get("leg", 0) > LEGS // 2 else state["early"]


async def think(state: State) -> State:
    """Ask the guide about the next leg."""
    leg = state.get("leg", 0) + 1
    question = f"leg {leg} {manner({**state, 'leg': leg})}"
    answer = await Guide(log=state["log"]).ainvoke(question)
    return {"leg": leg, "said": [answer.text]}


async def go(state: State, runtime: Runtime[Any]) -> State:
    """Walk it."""
    how = manner(state)
    return {"done": [await act(runtime, walk, leg=state["leg"], how=how, log=state["log"])]}


async def rest(state: State) -> State:
    """Do nothing for a step."""
    return {}


async def settle(state: State, runtime: Runtime[Any]) -> State:
    """Pay, more for a late start."""
    return {"done": [await act(runtime, pay, amount=len(state["late"]), log=state["log"])]}


def after_rest(state: State) -> Literal["think", "settle"]:
    """Walk on until all legs are walked."""
    return "think" if state["leg"] < LEGS else "settle"


async def wait(state: State) -> State:
    """Ask LangGraph's own way."""
    return {"done": [f"told {interrupt('which way?')}"]}


@tool
def look(log: str) -> str:
    """Look, with a tool that is no action."""
    note(log, "look")
    return "looked"


async def peek(state: State) -> State:
    """Use the tool."""
    return {"done": [await look.ainvoke({"log": state["log"]})]}


def closed(state: Any, arguments: Any) -> str | None:  # as declared
    """Close the way for the first two tries; in winter for all."""
    return "the way is closed" if state["leg"] < 3 or state["early"] == "winter" else None


@action(name="journey_climb", touches="the log", reversible=True, preconditions=(closed,))
async def ascend(peak: str, log: str) -> str:
    """Climb a peak."""
    note(log, f"climb {peak}")
    return f"climbed {peak}"


async def climb(state: State, runtime: Runtime[Any]) -> State:
    """Try to climb the same peak, and tell why not."""
    now: State = {**state, "leg": state.get("leg", 0) + 1}
    try:
        said = await act(runtime, ascend, state=now, peak="Rigi", log=state["log"])
    except ActionRefused as refusal:
        said = f"{refusal.kind}: {refusal}"
    return {"leg": now["leg"], "done": [said]}


def after_climb(state: State) -> Literal["climb", "__end__"]:
    """Try again until it was climbed."""
    return "__end__" if state["done"][-1].startswith("climbed") else "climb"


async def turn_back(state: State) -> State:
    """Give up."""
    return {"done": ["turned back"]}


def climbing() -> StateGraph[State]:
    """Return a graph that is refused twice what it may do the third time, or turns back."""
    builder = StateGraph(State)
    builder.add_node("climb", climb, error_handler=escalate_to("turn_back"))
    builder.add_node("turn_back", turn_back)
    builder.add_edge(START, "climb")
    builder.add_conditional_edges("climb", after_climb)
    return builder


def build() -> StateGraph[State]:
    """Return the journey's shape: thirty steps, and one to pay."""
    builder = StateGraph(State)
    for name, node in (("think", think), ("go", go), ("rest", rest), ("settle", settle)):
        builder.add_node(name, node)
    builder.add_edge(START, "think")
    builder.add_edge("think", "go")
    builder.add_edge("go", "rest")
    builder.add_conditional_edges("rest", after_rest)
    return builder


def single(name: str, node: Any) -> StateGraph[State]:  # a node's own signature
    """Return a graph of one node."""
    builder = StateGraph(State)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder


graph = build().compile(name="journey").with_config(recursion_limit=60)
climbs = climbing().compile(name="climbs")
waits = single("wait", wait).compile(name="waits")
plain = single("peek", peek).compile(name="plain")
