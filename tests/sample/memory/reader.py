"""A cyclic agent with tools whose conversation grows: it reads page after page, two at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context
from nodes.summarize import summarize
from state.common import Conversation

PAGES = 40


class AgentInput(TypedDict):
    """What the agent is given: the conversation, and nothing of what was folded."""

    messages: list[AnyMessage]


@dataclass(frozen=True)
class Theirs:
    """A context that is not ours."""

    city: str = "Rome"


@tool
def read_page(number: int) -> str:
    """Read one page of the harbour's book."""
    if number % 10 == 7:
        raise ValueError(f"page {number} is torn")
    return f"Page {number}: lamp {number} stands at {number * 3} m. " + "The sea is wide. " * 30


def agent(state: AgentInput) -> dict[str, list[AnyMessage]]:
    """Play a model: ask for the next two pages; it sees only the messages that are left, as a model does."""
    asked = [
        int(each.tool_call_id[1:]) for each in state["messages"] if isinstance(each, ToolMessage)
    ]
    page = max(asked, default=0) + 1
    if page > PAGES:
        return {"messages": [AIMessage("All pages are read.", id="end")]}
    calls = [
        {"name": "read_page", "args": {"number": each}, "id": f"p{each}"}
        for each in (page, page + 1)
    ]
    return {"messages": [AIMessage("", id=f"a{page}", tool_calls=calls)]}


def after_agent(state: AgentInput) -> Literal["tools", "__end__"]:
    """Go round while there is something to call."""
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"


def build(
    state: type = Conversation, context: Any = Context, **folding: Any
) -> Any:  # LangGraph's generics
    """Return the graph: fold, think, act, and round again."""
    builder: Any = StateGraph(state, context)
    builder.add_node("summarize", summarize(**{"threshold": 2000, "keep": 4, **folding}))
    builder.add_node(agent)
    builder.add_node("tools", ToolNode([read_page], handle_tool_errors=True))
    builder.add_edge(START, "summarize").add_edge("summarize", "agent")
    builder.add_conditional_edges("agent", after_agent, ["tools", END])
    builder.add_edge("tools", "summarize")
    return builder


graph = bounded(build(), Declaration(steps=120), name="reader")
foreign = bounded(
    build(MessagesState, Theirs, model="offline:extractive"), Declaration(steps=120), name="foreign"
)
