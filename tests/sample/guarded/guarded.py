"""Graphs whose agents send what cannot be taken back: each asks first, in a place where it is easy to go wrong."""

from __future__ import annotations

import operator
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.errors import ActionRefused


class State(TypedDict, total=False):
    """What is sent to whom, and the file that shows it."""

    to: str
    payees: list[str]
    outbox: str
    said: Annotated[list[str], operator.add]


@action(name="guarded_send", touches="the outbox", amount="amount")
async def send(to: str, outbox: str, amount: float = 1) -> str:
    """Send something: a line in the outbox."""
    with Path(outbox).open("a") as file:
        file.write(f"{to} {amount:g}\n")
    return f"sent to {to}"


class Said(TypedDict):
    """What a branch leaves behind."""

    said: Annotated[list[str], operator.add]


def trap(outbox: str, name: str) -> bool:
    """Say whether a test has laid a trap of that name, and take it away."""
    path = Path(f"{outbox}.{name}")
    if found := path.exists():
        path.unlink()
    return found


async def both(state: State, runtime: Runtime[Any]) -> State:
    """Send to Ann, then to Bob; die in between where a test says so."""
    said = await act(runtime, send, to="ann", outbox=state["outbox"])
    if trap(state["outbox"], "kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"said": [said, await act(runtime, send, to="bob", outbox=state["outbox"])]}


async def turn(state: State, runtime: Runtime[Any]) -> State:
    """Send to the next one; what is refused is told, and fails once where a test says so."""
    to, *others = state["payees"]
    try:
        said = await act(runtime, send, to=to, outbox=state["outbox"])
    except ActionRefused as refusal:
        said = f"not sent to {to}: {refusal.kind}"
    if trap(state["outbox"], "fail"):
        raise RuntimeError("the node was told to fail")
    return {"payees": others, "said": [said]}


def after_turn(state: State) -> Literal["turn", "__end__"]:
    """Go on while there is somebody."""
    return "turn" if state["payees"] else "__end__"


async def fickle(state: State, runtime: Runtime[Any]) -> State:
    """Send to whom a file names at the moment, as a model that is asked anew may name another; then fail once."""
    to = Path(f"{state['outbox']}.whom").read_text()
    said = await act(runtime, send, to=to, outbox=state["outbox"])
    if trap(state["outbox"], "fail"):
        raise RuntimeError("the node was told to fail")
    return {"said": [said]}


async def only(state: State, runtime: Runtime[Any]) -> State:
    """Send, and do nothing else."""
    return {"said": [await act(runtime, send, to=state["to"], outbox=state["outbox"])]}


async def inner(state: State, runtime: Runtime[Any]) -> State:
    """Send, inside a subgraph, inside a branch."""
    try:
        return await only(state, runtime)
    except ActionRefused as refusal:
        return {"said": [f"not sent to {state['to']}: {refusal.kind}"]}


def spread(state: State) -> list[Send]:
    """Start a branch for each."""
    return [Send("branch", {"to": to, "outbox": state["outbox"]}) for to in state["payees"]]


class Wishes(BaseChatModel):
    """A model that calls the tool once with what it was told, and then ends."""

    @property
    def _llm_type(self) -> str:
        return "wishes"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # LangChain's signature
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        if any(isinstance(each, ToolMessage) for each in messages):
            message = AIMessage("done")
        else:
            arguments = {"to": "ann", "outbox": messages[0].text}
            message = AIMessage(
                "", tool_calls=[{"name": "guarded_send", "args": arguments, "id": "1"}]
            )
        return ChatResult(generations=[ChatGeneration(message=message)])


class Jump(AgentMiddleware[Any, Any]):
    """A middleware that goes to the tools at once, past whoever would ask."""

    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Jump where there are calls."""
        return {"jump_to": "tools"} if state["messages"][-1].tool_calls else None


def chain(name: str, node: Callable[..., Any]) -> StateGraph[State, None, State, Said]:
    """Return a graph of one node."""
    builder = StateGraph(State, output_schema=Said)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder


def looping() -> StateGraph[State]:
    """Return a graph whose one node runs for each payee."""
    builder = StateGraph(State)
    builder.add_node("turn", turn)
    builder.add_edge(START, "turn")
    builder.add_conditional_edges("turn", after_turn)
    return builder


def fan() -> StateGraph[State]:
    """Return a graph with a branch for each payee, a subgraph each."""
    builder = StateGraph(State)
    builder.add_node("branch", chain("inner", inner).compile())
    builder.add_conditional_edges(START, spread, ["branch"])
    builder.add_edge("branch", END)
    return builder


two = chain("both", both).compile(name="two")
whims = chain("fickle", fickle).compile(name="whims")
first = chain("first", only).compile(name="first")
renamed = chain("each", both).compile(name="two")
turns = looping().compile(name="turns")
wide = fan().compile(name="wide")
agent = create_agent(
    Wishes(),
    [send],
    # after_model hooks run from the last to the first: the jump comes before the question
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"guarded_send": True}), Jump()],
)
