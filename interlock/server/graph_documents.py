"""A graph as JSON: its picture and its schemas, as LangGraph's client expects them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import create_model

from interlock.application import Graph

Schema = dict[str, Any]  # JSON


@lru_cache(maxsize=256, typed=True)  # True is not 1
def picture(graph: Graph, xray: int | bool) -> dict[str, Any]:  # JSON
    """Return the nodes and the edges of a graph.

    Args:
        graph: whose.
        xray: True shows the insides of all subgraphs, a number those down to that depth.
    """
    drawn = graph.get_graph(xray=xray).to_json()
    for node in drawn["nodes"]:
        if "data" in node:
            node["data"] = {"name": node["data"].get("name", node["id"])}
    return drawn


@lru_cache(maxsize=256)
def schemas(graph: Graph, title: str) -> dict[str, Schema | None]:
    """Return what goes in and comes out of a graph, its state and its context; None for what has no JSON schema."""
    context = _schema(graph.get_context_jsonschema)
    return {
        "input_schema": _schema(graph.get_input_jsonschema),
        "output_schema": _schema(graph.get_output_jsonschema),
        "state_schema": _schema(lambda: _state_schema(graph, title)),
        "config_schema": context or {},
        "context_schema": context,
    }


def subgraphs(
    graph: Graph, namespace: str | None, *, recurse: bool
) -> dict[str, dict[str, Schema | None]]:
    """Return the schemas of a graph's subgraphs by namespace."""
    found = graph.get_subgraphs(namespace=namespace, recurse=recurse)
    return {name: schemas(each, each.get_name()) for name, each in found}


def _state_schema(graph: Graph, title: str) -> Schema:
    fields: dict[str, Any] = {  # pydantic's
        name: (getattr(graph.channels[name], "ValueType", Any), None)
        for name in graph.stream_channels_list
    }
    made: Schema = create_model(f"{title}_state", **fields).model_json_schema()
    return made


def _schema(make: Callable[[], Schema | None]) -> Schema | None:
    try:
        return make()
    except (
        Exception
    ):  # pydantic and an application's types raise what they like; the protocol has null
        return None
