"""Which keys of the state each node of a graph is given."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, get_type_hints

from langgraph.graph import StateGraph


def keys_of(builder: StateGraph[Any, Any, Any, Any]) -> dict[str, frozenset[str]]:
    """Return the keys that each node is given, by the annotation of its state argument or its `input_schema`."""
    return {name: frozenset(_hints(spec.input_schema)) for name, spec in builder.nodes.items()}


def undeclared(
    builder: StateGraph[Any, Any, Any, Any], *, sent: Collection[str] = ()
) -> Iterator[str]:
    """Yield a sentence for each node that is given the whole state: it declares no keys of its own.

    Args:
        builder: the graph, before it is compiled.
        sent: nodes that are reached by `Send` alone, and are given what was sent.
    """
    whole = frozenset(_hints(builder.state_schema))
    for name, keys in keys_of(builder).items():
        if name not in sent and len(whole) > 1 and keys >= whole:
            yield (
                f"{name} is given the whole state ({len(whole)} keys); "
                "annotate its state with a TypedDict of the keys that it reads."
            )


def _hints(schema: Any) -> dict[str, Any]:  # a TypedDict, a dataclass or a pydantic model
    return get_type_hints(schema, include_extras=True)
