"""Small things to save and to look at what was saved."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from interlock.postgres import Checkpointer


def place(thread: str, checkpoint_id: str | None = None, ns: str = "") -> RunnableConfig:
    """Return the config of a thread or one of its checkpoints."""
    named = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, **named}}


class Story:
    """A thread that is written step by step, without a graph."""

    def __init__(self, saver: Checkpointer, thread: str | None = None) -> None:
        self.saver = saver
        self.thread = thread or str(uuid4())
        self.config = place(self.thread)
        self._step = -1
        self._versions: dict[str, str] = {}

    async def put(self, **values: Any) -> RunnableConfig:  # channel values
        """Save the next checkpoint, in which all channels are new."""
        self._step += 1
        versions = {
            key: self.saver.get_next_version(self._versions.get(key), None) for key in values
        }
        self._versions |= versions
        checkpoint: Checkpoint = {
            **empty_checkpoint(),
            "v": 4,
            "channel_values": values,
            "channel_versions": dict(self._versions),
        }
        metadata: CheckpointMetadata = {"source": "loop", "step": self._step}
        self.config = await self.saver.aput(self.config, checkpoint, metadata, dict(versions))
        return self.config

    async def values(self, config: RunnableConfig | None = None) -> Mapping[str, Any]:
        """Read the values of a checkpoint; default: the latest of the thread."""
        found = await self.saver.aget_tuple(config or place(self.thread))
        assert found is not None
        return found.checkpoint["channel_values"]


class Talk(TypedDict):
    said: Annotated[list[str], operator.add]
    turns: int


async def speak(state: Talk) -> dict[str, Any]:
    """Say one more thing."""
    return {"said": [f"{state['turns']} " + "x" * 400], "turns": state["turns"] + 1}


def talking(saver: Any, until: int) -> Any:  # any saver; a compiled graph
    """Return a graph that speaks until so many turns are done."""
    builder = StateGraph(Talk)
    builder.add_node("speak", speak)
    builder.add_edge(START, "speak")
    builder.add_conditional_edges(
        "speak", lambda state: END if state["turns"] >= until else "speak", ["speak", END]
    )
    return builder.compile(checkpointer=saver)


DANGLING = """
with rows (holder, body) as (
    select thread_id, blob from checkpoint_blobs where split_part(type, '+', 1) = 'segments'
    union all
    select thread_id, blob from checkpoint_writes where split_part(type, '+', 1) = 'segments'
    union all
    select r.holder, c.body from checkpoint_references r join checkpoint_content c using (hash)
    where c.kind & 15 = 1 and exists (select from checkpoint_blobs b where b.thread_id = r.holder)
)
select count(*) from rows cross join lateral checkpoint_links(rows.body) as l (hash)
where not exists (select from checkpoint_content c where c.hash = l.hash)
    or not exists (select from checkpoint_references r where r.hash = l.hash and r.holder = rows.holder)
"""


def count(url: str, statement: str, values: Sequence[Any] = ()) -> int:  # SQL values
    """Return the one number that a statement asks for."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode(), values).fetchone()
        assert row is not None
        return int(row[0])


def dangling(url: str) -> int:
    """Return how many references lead nowhere."""
    return count(url, DANGLING)
