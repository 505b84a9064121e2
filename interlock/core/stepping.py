"""Limits on supersteps: which a graph carries, and which nodes used them up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from langgraph.graph.state import CompiledStateGraph

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's

LOOKED_AT = 24
"""How many of the last steps tell where a graph went round."""

_REACHED = re.compile(r"limit of (\d+)")


def steps_of(graph: Graph) -> int | None:
    """Return the limit that a compiled graph carries; None for none but LangGraph's."""
    return graph.config.get("recursion_limit") if graph.config else None


def with_steps(graph: Graph, steps: int) -> Graph:
    """Return a graph with a limit, unless it carries one."""
    return graph if steps_of(graph) is not None else graph.with_config(recursion_limit=steps)


def reached(error: Exception) -> str:
    """Return the limit that LangGraph's error tells of."""
    found = _REACHED.search(str(error))
    return found[1] if found else "all"


def circle_of(ran: Sequence[Sequence[str]]) -> str:
    """Return the nodes that ran again and again, in their order, from those of each step, oldest first.

    The shortest circle that the steps end with; where there is none, the nodes that ran most often.
    """
    names = [" and ".join(sorted(set(each))) for each in ran if each]
    for period in range(1, len(names) // 2 + 1):
        if names[-period:] == names[-2 * period : -period]:
            return " → ".join(names[-period:])
    return ", ".join(name for name, times in Counter(names).most_common(3) if times > 1)
