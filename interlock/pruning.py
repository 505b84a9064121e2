"""Folds the checkpoints of one thread, in batches that each leave it whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS, _DeltaSnapshot

# Not public by name: what LangGraph itself asks and does when it opens a checkpoint. Versions are pinned.
from langgraph.pregel._checkpoint import _delta_channels_to_replay, achannels_from_checkpoint

from interlock.application import Graph
from interlock.core.bounded import declaration_of
from interlock.core.retention import Keep, Key, Plan, Seam, Stand, plan
from interlock.core.versions import version_of
from interlock.past import subgraph
from interlock.postgres.checkpointer.collecting import collect
from interlock.postgres.pool import Pool, connected, translated
from interlock.postgres.retention import Folded, Size, Still, Task, held_still

SEAMS_AT_ONCE = 50
"""Kept checkpoints that are sewn in one transaction: each may have to be read and written whole."""

CHECKPOINTS_AT_ONCE = 1_000
"""Checkpoints that one transaction takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A thread as one batch sees it."""

    tasks: Mapping[Key, Sequence[Task]]
    folded: Mapping[Key, Folded]
    plan: Plan = field(default_factory=lambda: Plan(kept={}, folded=(), seams=()))


class Pruner:
    """Folds the checkpoints of a thread.

    Args:
        pool: the connections.
        graph: the thread's graph, with a checkpointer.
        thread_id: the thread.
        keep: what is kept beside what is pinned.
        calls: recorded model calls pin the checkpoints that they were made from.
    """

    def __init__(
        self, pool: Pool, graph: Graph, thread_id: str, keep: Keep, *, calls: bool
    ) -> None:
        self._pool = pool
        self._graph = graph
        self._thread_id = thread_id
        self._keep = keep
        self._calls = calls
        self._sent: dict[Key, list[str]] = {}

    async def preview(self) -> tuple[Plan, Size, int]:
        """Return what would become of the thread, what it takes, and the bytes of the rows that would go."""
        async with held_still(self._pool, self._thread_id) as still:
            look = await self._look(still)
            return look.plan, await still.size(), await still.size_of(look.plan.folded)

    async def batch(self) -> Plan:
        """Fold some of the thread; return the plan before that, which says nothing more when all is done.

        First what is kept is sewn together, so that it opens without the others; then the others go. Whatever
        happens in between, what is left is whole.
        """
        async with held_still(self._pool, self._thread_id) as still:
            look = await self._look(still)
            for seam in look.plan.seams[:SEAMS_AT_ONCE]:
                await self._sew(still, look, seam)
            if len(look.plan.seams) <= SEAMS_AT_ONCE and look.plan.folded:
                await still.fold(look.plan.folded[:CHECKPOINTS_AT_ONCE])
            if look.plan.seams:
                await still.count()
        return look.plan

    async def collect(self) -> None:
        """Delete content that only what was folded referred to."""
        async with connected(self._pool) as connection:
            await collect(connection, self._thread_id)

    async def size(self) -> Size:
        """Return what the thread takes."""
        async with held_still(self._pool, self._thread_id) as still:
            return await still.size()

    async def _look(self, still: Still) -> Look:
        stands = await still.stands()
        tasks = await still.tasks()
        await self._look_up_sent(tasks)
        folded = await still.folded_before()
        look = Look(tasks=tasks, folded=folded)
        pins = await still.pins(calls=self._calls) | self._milestones(stands, look)
        deltas = {each: self._version(each) for each in await still.deltas()}
        found = plan(
            stands,
            pins,
            self._keep,
            whole=lambda stand: deltas.get(stand.namespace, stand.schema) != stand.schema,
        )
        return replace(look, plan=found)

    def _version(self, namespace: str) -> int:
        """Return the version of the values that the code in a namespace knows; 0 where the code is not seen."""
        holder = self._holder(namespace)
        return version_of(declaration_of(holder)) if holder is not None else 0

    def _milestones(self, stands: Sequence[Stand], look: Look) -> dict[Key, str]:
        """Return the checkpoints that hold what a milestone brought."""
        named = {namespace: self._named(namespace) for namespace in {s.namespace for s in stands}}
        return {
            stand.key: "milestone"
            for stand in stands
            if named[stand.namespace]
            and any(each in named[stand.namespace] for each in self._ran_before(look, stand))
        }

    def _ran_before(self, look: Look, stand: Stand) -> Sequence[str]:
        """Return the nodes that brought a checkpoint about."""
        if stand.key in look.folded:
            return look.folded[stand.key].last
        return self._ran(look, (stand.namespace, stand.parent_id))

    def _ran(self, look: Look, key: Key) -> list[str]:
        """Return the nodes that ran from a checkpoint."""
        return [node for task in look.tasks.get(key, ()) if (node := self._node(task, key))]

    def _named(self, namespace: str) -> Sequence[str]:
        holder = self._holder(namespace)
        declared = declaration_of(holder) if holder is not None else None
        return declared.milestones if declared else ()

    def _holder(self, namespace: str) -> Graph | None:
        """Return the graph that runs in a namespace; None where LangGraph does not see it."""
        return subgraph(self._graph, namespace) if namespace else self._graph

    async def _sew(self, still: Still, look: Look, seam: Seam) -> None:
        if seam.takes:
            await self._snapshot(seam.key)
        await still.sew(seam, self._folded(look, seam))

    def _folded(self, look: Look, seam: Seam) -> Folded:
        earlier = look.folded.get(seam.key, Folded())
        if not seam.takes:
            return earlier
        found = earlier
        for key in [(seam.key[0], each) for each in seam.takes]:
            nodes = Folded(steps=1, nodes=Counter(self._ran(look, key)))
            found = found + look.folded.get(key, Folded()) + nodes
        last = earlier.last or self._ran(look, (seam.key[0], seam.takes[-1]))
        return replace(found, last=last)

    async def _snapshot(self, key: Key) -> None:
        """Write values down whole that would be rebuilt from what is going to be folded."""
        holder = self._holder(key[0])
        if holder is None:
            return
        saver: Any = self._graph.checkpointer  # LangGraph's type says that it may be a flag
        config = self._config(key)
        with translated():
            found = await saver.aget_tuple(config)
            specs: Any = holder.channels  # managed values among them, which have no versions
            names = _delta_channels_to_replay(specs, found.checkpoint)
            if not names:
                return
            channels, _ = await achannels_from_checkpoint(
                specs, found.checkpoint, saver=saver, config=config
            )
            values = {name: _whole(channels[name]) for name in names}
            await saver.aput(*_put(found, values))

    async def _look_up_sent(self, tasks: dict[Key, list[Task]]) -> None:
        """Learn the nodes of tasks of which only the number of what was sent is known."""
        for key, found in tasks.items():
            if key not in self._sent and any(each.sent is not None for each in found):
                self._sent[key] = await self._nodes_sent_to(key)

    async def _nodes_sent_to(self, key: Key) -> list[str]:
        saver: Any = self._graph.checkpointer  # as above
        with translated():
            found = await saver.aget_tuple(self._config(key))
        sends = found.checkpoint["channel_values"].get(TASKS, []) if found else []
        return [str(getattr(each, "node", "")) for each in sends]

    def _node(self, task: Task, key: Key) -> str:
        sent = self._sent.get(key, [])
        known = task.sent is not None and task.sent < len(sent)
        return sent[task.sent] if known and task.sent is not None else task.node

    def _config(self, key: Key) -> Any:  # LangGraph's config
        stands = {"checkpoint_ns": key[0], "checkpoint_id": key[1]}
        return {"configurable": {"thread_id": self._thread_id, **stands}}


def _whole(channel: Any) -> Any:  # a LangGraph channel, and what is stored of it
    return _DeltaSnapshot(channel.get()) if isinstance(channel, DeltaChannel) else channel.get()


def _put(found: CheckpointTuple, values: Mapping[str, Any]) -> tuple[Any, ...]:  # of `aput`
    """Return the arguments that save a checkpoint again with some values beside those that it has."""
    config = {**found.config["configurable"]}
    config["checkpoint_id"] = (
        (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    )
    kept = {**found.checkpoint, "channel_values": {**found.checkpoint["channel_values"], **values}}
    versions = {name: found.checkpoint["channel_versions"][name] for name in values}
    return {"configurable": config}, kept, found.metadata, versions
