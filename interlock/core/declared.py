"""A graph that keeps what it declares also where another graph runs it, and is drawn as its author made it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.graph import Graph
from langgraph.typing import ContextT, InputT, OutputT, StateT

from interlock.core.budgeted import BudgetedGraph
from interlock.core.langgraph_names import READ
from interlock.core.stepping import steps_of
from interlock.core.trails import OWN_NODES


class DeclaredGraph(BudgetedGraph[StateT, ContextT, InputT, OutputT]):
    """What `bounded` returns."""

    # LangGraph's signature, which is overloaded
    def stream(self, input: Any, config: Any = None, *, context: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the graph and yield what happens, as LangGraph's `stream`, within its own limits."""
        yield from super().stream(input, self._own(config), context=context, **kwargs)

    # as above
    def astream(
        self,
        input: Any,  # noqa: A002
        config: Any = None,
        *,
        context: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Run the graph and yield what happens, as LangGraph's `astream`, within its own limits."""
        return super().astream(input, self._own(config), context=context, **kwargs)

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawable graph, without the loop guard's nodes: each node has a way to them."""
        return _without_own(super().get_graph(config, xray=xray))

    async def aget_graph(
        self, config: RunnableConfig | None = None, *, xray: int | bool = False
    ) -> Graph:
        """Return the drawable graph, as `get_graph`."""
        return _without_own(await super().aget_graph(config, xray=xray))

    def _own(self, config: Any) -> Any:  # LangGraph's configuration
        """Return a configuration with this graph's step limit where a task of another graph gives it that one's."""
        of_task = READ in ((config or {}).get("configurable") or {})
        steps = steps_of(self)
        return {**config, "recursion_limit": steps} if of_task and steps is not None else config


def _without_own(graph: Graph) -> Graph:
    for node in [each for each in graph.nodes.values() if each.id in OWN_NODES]:
        graph.remove_node(node)
    return graph
