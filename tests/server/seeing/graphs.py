"""Graphs whose node says what it finds of who asked for its run; `looks_later` asks a person first."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.runtime import get_runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Seen(TypedDict, total=False):
    """What a node found."""

    seen: dict[str, Any]


def _look(state: Seen, config: RunnableConfig) -> dict[str, Any]:
    known, runtime = config["configurable"], get_runtime()
    user, server = known.get("langgraph_auth_user"), runtime.server_info
    assert server is not None
    return {
        "seen": {
            "keys": sorted(key for key in known if not key.startswith("__")),
            "said": {key: known[key] for key in known if isinstance(known[key], str | None)},
            "permissions": known.get("langgraph_auth_permissions"),
            "user": None if user is None else {key: user[key] for key in user},
            "by_name": None if user is None else [user.identity, user.permissions],
            "server": [server.graph_id, server.assistant_id, server.user and server.user.identity],
            "run": runtime.execution_info and runtime.execution_info.run_id,
            "metadata": {
                key: value
                for key, value in config["metadata"].items()
                if isinstance(value, str | int)
            },
        }
    }


def _look_later(state: Seen, config: RunnableConfig) -> dict[str, Any]:
    interrupt("Shall I look?")
    return _look(state, config)


looks = StateGraph(Seen).add_node("look", _look).add_edge(START, "look").compile()
looks_later = StateGraph(Seen).add_node("look", _look_later).add_edge(START, "look").compile()
