"""A node under the loop guard: its task is noted, or does not run when the steps before it went round in circles."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import ParentCommand
from langgraph.pregel._write import (
    ChannelWrite,
    ChannelWriteEntry,
)  # not public; versions are pinned and a test holds it
from langgraph.types import Send

from interlock.core.allowance import lands_in
from interlock.core.langgraph_names import BRANCH
from interlock.core.loops import Loops, judge
from interlock.core.reading import read_here, telling
from interlock.core.site import here, state_here
from interlock.core.trails import GUARD, TRAIL, Place, Trail, Update, entry_of, polled


class Watched(Runnable[Any, Any]):
    """A node and its writers, under watch."""

    def __init__(self, inner: Runnable[Any, Any], node: str, loops: Loops) -> None:
        self._inner = inner
        self._node = node
        self._loops = loops

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the task unless the graph goes round in circles."""
        task = self._told(config or {})
        if self._stops(input, task):
            return None
        try:
            output = self._inner.invoke(input, task, **kwargs)
        except ParentCommand as command:  # of a subgraph or a tool: the node ends with it
            self._note(input, command.args[0], task)
            raise
        self._note(input, output, task)
        return output

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the task unless the graph goes round in circles."""
        task = self._told(config or {})
        if self._stops(input, task):
            return None
        try:
            output = await self._inner.ainvoke(input, task, **kwargs)
        except ParentCommand as command:
            self._note(input, command.args[0], task)
            raise
        self._note(input, output, task)
        return output

    def _told(self, config: RunnableConfig) -> RunnableConfig:
        abandoned = _trail(config).get("abandoned")
        return telling(config, abandoned) if abandoned else config

    def _stops(self, given: Any, config: RunnableConfig) -> bool:
        """Send for the guard in the task's place when the steps before it went round in circles; never in a landing."""
        if lands_in(config) or judge(_trail(config).get("steps", ()), self._loops) is None:
            return False
        stopped = Send(self._node, given) if _sent(config) else self._node
        _write(config, {"stopped": stopped}, ChannelWriteEntry(f"{BRANCH}{GUARD}", None))
        return True

    def _note(self, given: Any, gave: Any, config: RunnableConfig) -> None:
        loops = self._loops
        if polled(self._node, gave, loops.polls):
            return
        place = Place(
            step=int(config["metadata"]["langgraph_step"]),
            state=state_here(config),
            sent=_sent(config),
            at=here(config).checkpoint_id,
        )
        entry = entry_of(
            self._node, given, gave, place, progress=loops.progress, ignores=loops.ignores
        )
        _write(config, {"entry": entry, "kept": loops.kept})


def _write(config: RunnableConfig, update: Update, *others: ChannelWriteEntry) -> None:
    ChannelWrite.do_write(config, [ChannelWriteEntry(TRAIL, update), *others])


def _trail(config: RunnableConfig) -> Trail:
    return cast("Trail", read_here(TRAIL, config) or {})


def _sent(config: RunnableConfig) -> bool:
    return tuple(config["metadata"]["langgraph_path"])[:1] == ("__pregel_push",)
