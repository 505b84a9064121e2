"""The edge that a run takes when an agent was refused too often in a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.errors import NodeError
from langgraph.types import Command

from interlock.errors import RefusedTooOften

ESCALATE = "escalate"
"""In what a tool answers: its agent was refused too often."""

State = Mapping[str, Any]  # any graph's state


def escalate_to(node: str) -> Any:  # LangGraph types no handler that takes the error
    """Return an error handler that sends the run to a node, and none of the failed node's own edges.

    Use it where a node calls `act`: `builder.add_node("pay", pay, error_handler=escalate_to("person"))`.
    Any other error is raised again.
    """

    async def escalated(state: State, error: NodeError) -> Command[Any]:
        if not _is_too_often(error.error):
            raise error.error
        return Command(goto=node)

    return escalated


def after_tools(
    otherwise: str, *, escalate_to: str, messages: str = "messages"
) -> Callable[[State], str]:
    """Return the router behind a `ToolNode`: to a node after too many refusals in a row, else on.

    Use it instead of the edge back to the agent:
    `builder.add_conditional_edges("tools", after_tools("agent", escalate_to="person"), ["agent", "person"])`.

    Args:
        otherwise: where the run goes on.
        escalate_to: who takes over.
        messages: the state's key for the messages.
    """

    def route(state: State) -> str:
        return escalate_to if any(map(_escalates, _answers(state[messages]))) else otherwise

    return route


def _answers(messages: Sequence[Any]) -> list[ToolMessage]:  # LangChain's messages
    """Return the answers of the tools that were called last."""
    found: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        found.append(message)
    return found


def _escalates(answer: ToolMessage) -> bool:
    if answer.status != "error":
        return False
    try:
        said = json.loads(answer.text)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get(ESCALATE) is True


def _is_too_often(error: BaseException) -> bool:
    # After a crash LangGraph hands the handler what it had stored of the error: its text.
    return isinstance(error, RefusedTooOften) or repr(error).startswith(RefusedTooOften.__name__)
