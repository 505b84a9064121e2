"""An errand that thinks, holds on until it is let go, acts, and pays: a bit of everything that can be watched."""

from __future__ import annotations

import asyncio
import operator
import time
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action


class Errand(TypedDict, total=False):
    """Where to go: it thinks until the file `thought` exists, holds until `gate` does, and `pays` at the end or not."""

    places: list[str]
    thought: str
    gate: str
    pays: bool
    seen: Annotated[list[str], operator.add]


class Visit(TypedDict):
    """What one branch is sent."""

    place: str


class Guide(BaseChatModel):
    """A model that knows the way once a file exists, and says how long its answer was."""

    thought: str = ""

    @property
    def _llm_type(self) -> str:
        return "guide"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        while self.thought and not Path(self.thought).exists():
            time.sleep(0.02)
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        message = AIMessage("left, then right", usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


@action(name="errand_knock", touches="doors", reversible=True)
async def knock(place: str) -> str:
    """Knock at a door."""
    return f"knocked at {place}"


@action(name="errand_pay", touches="the purse")
async def pay(amount: int) -> str:
    """Pay; nobody gives it back."""
    return f"paid {amount}"


async def plan(state: Errand) -> Errand:
    """Ask for the way."""
    await Guide(thought=state.get("thought", "")).ainvoke("Which way?")
    return {"seen": ["plan"]}


async def hold(state: Errand) -> Errand:
    """Go on once the gate is open."""
    while state.get("gate") and not Path(state["gate"]).exists():  # noqa: ASYNC110  # a test opens it
        await asyncio.sleep(0.02)
    return {"seen": ["hold"]}


async def visit(state: Visit, runtime: Runtime[Any]) -> Errand:
    """Knock."""
    return {"seen": [await act(runtime, knock, place=state["place"])]}


async def settle(state: Errand, runtime: Runtime[Any]) -> Errand:
    """Pay, if there is anything to pay."""
    return {"seen": [await act(runtime, pay, amount=5)] if state.get("pays") else []}


def sends(state: Errand) -> list[Send]:
    """Visit every place at once."""
    return [Send("visit", {"place": place}) for place in state["places"]]


builder = StateGraph(Errand)
builder.add_node(plan)
builder.add_node(hold)
builder.add_node(visit)
builder.add_node(settle)
builder.add_edge(START, "plan")
builder.add_edge("plan", "hold")
builder.add_conditional_edges("hold", sends, ["visit"])
builder.add_edge("visit", "settle")
graph = builder.compile(name="errand")
