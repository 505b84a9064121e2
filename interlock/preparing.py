"""What a run is prepared with: the prompts that it was begun with, its graph's context, and limits."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig

from interlock.application import Graph
from interlock.core import prompts
from interlock.core.context import Context
from interlock.core.stepping import steps_of
from interlock.errors import InterlockError, ResumeRefused
from interlock.postgres.stored_runs import StoredRun


def check_prompts(stored: StoredRun) -> None:
    """Raise `ResumeRefused` when a prompt that the thread was begun with is gone or was changed."""
    # The process that accepted the run may have known other graphs; their prompts are not this one's.
    known = prompts.registered_groups()
    pinned = dict(stored.context.get("prompts", {}))
    ours = {name: pinned[name] for name in pinned if name.partition("/")[0] in known}
    for name, version in ours.items():
        try:
            prompts.load(name, version)
        except InterlockError as error:
            raise ResumeRefused(
                f"Thread {stored.run.thread_id} was begun with prompt {name}@{version}: {error.args[0]}",
                hint="Restore the prompt file, or fork the thread, which uses the present ones.",
            ) from error


def context_for(graph: Graph, ours: Context, theirs: Any) -> Any:  # the graph's context schema
    """Return the context that a graph takes: ours with its ports, another application's values, or none."""
    schema = graph.context_schema
    if isinstance(schema, type) and issubclass(schema, Context):
        return ours
    return theirs


def limited(graph: Graph, steps: int | None) -> RunnableConfig:
    """Return LangGraph's configuration for a limit on supersteps; what the graph carries is never raised."""
    if steps is None:
        return {}
    carried = steps_of(graph)
    return {"recursion_limit": steps if carried is None else min(steps, carried)}
