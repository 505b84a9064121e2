"""Where in a run something is asked for: names that are the same in each attempt, and counts that start anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.runtime import ExecutionInfo, Runtime

from interlock.core.langgraph_names import CHECKPOINTER, READ, RUNTIME, is_key
from interlock.core.retries import number_anew
from interlock.errors import UsageError

# LangGraph's names for what it puts into a task's configuration; a test holds them.
_CHECKPOINT_MAP = "checkpoint_map"
_RESUME = "__resume__"
_NO_TASK = "00000000-0000-0000-0000-000000000000"


number_anew()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A task of a running graph.

    Attributes:
        thread_id: the thread; empty without a checkpointer.
        run_id: the run; empty where the caller gave none.
        node: the node that runs.
        agent: the node of the thread's own graph that it lies in: the same, or the subgraph's.
        task: LangGraph's checkpoint namespace of the task (`node:id|node:id`), the same in each attempt at it.
        checkpoint_id: the checkpoint, of the innermost graph, that the task started from; later ones sort higher.
        attempt: 1, or more where a retry policy runs the node again within one attempt of the run.
    """

    thread_id: str
    run_id: str
    node: str
    agent: str
    task: str
    checkpoint_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What one attempt at a task asked for so far; it grows while the attempt goes on.

    Attributes:
        keys: of the effects.
        earlier: action -> the keys that attempts before this one had left, noted by the ledger when it first looks.
    """

    keys: set[str] = field(default_factory=set)
    earlier: dict[str, frozenset[str]] = field(default_factory=dict)


def here(config: RunnableConfig | None = None) -> Site:
    """Return the task that calls this; raises `UsageError` outside of a running node."""
    configurable, metadata = _parts(config)
    task = str(configurable.get("checkpoint_ns", ""))
    info = _info(configurable)
    if info is None:
        raise UsageError(
            "This was called outside of a graph.", hint="Call it from a node, or a tool of one."
        )
    return Site(
        thread_id=info.thread_id or "",
        run_id=str(info.run_id or metadata.get("run_id", "")),
        node=str(metadata.get("langgraph_node", "")),
        agent=task.partition(":")[0],
        task=task,
        checkpoint_id=str(_own_checkpoint(configurable, task)),
        attempt=info.node_attempt,
    )


def nth(request: str, config: RunnableConfig | None = None) -> int:
    """Return how often this attempt at the task asked for the same before: 0 the first time.

    Requests of one task are told apart by what they ask for, and equal ones by this count, so that the order in which
    different ones happen to come does not matter.
    """
    configurable, _ = _parts(config)
    info = _info(configurable)
    counts = _asked.setdefault(configurable[READ], Counter())
    place = (info.node_attempt if info else 1, request)
    counts[place] += 1
    return counts[place] - 1


def asked_here(key: str, config: RunnableConfig | None = None) -> Asked:
    """Note that this attempt at the task asked for an effect, and return all that it asked for so far."""
    configurable, _ = _parts(config)
    info = _info(configurable)
    attempts = _effects.setdefault(configurable[READ], {})
    asked = attempts.setdefault(info.node_attempt if info else 1, Asked())
    asked.keys.add(key)
    return asked


def state_here(config: RunnableConfig | None = None) -> Mapping[str, Any]:  # any graph's state
    """Return the state that the calling node was given by its graph: all channels, before its own writes."""
    read = _parts(config)[0][READ]
    names = [name for name in read.args[1] if is_key(name)]
    return dict(read(names))


def this_run(config: RunnableConfig | None = None) -> object:
    """Return what stands for this run of the task, in all attempts that a retry policy makes, and is gone with it."""
    found: object = _parts(config)[0][READ]
    return found


async def forget_bare_answer(config: RunnableConfig | None = None) -> None:
    """Take a stored resume value away that names no question, once it was used: it is saved with the task then.

    LangGraph keeps it, and would hand it to the task's next question when the thread is run without an answer.
    """
    configurable, _ = _parts(config)
    saver = configurable.get(CHECKPOINTER)
    if isinstance(saver, BaseCheckpointSaver):
        where = {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": "",
            "checkpoint_id": configurable.get(_CHECKPOINT_MAP, {}).get("", ""),
        }
        await saver.aput_writes({"configurable": where}, [(_RESUME, None)], _NO_TASK)


_effects: WeakKeyDictionary[Any, dict[int, Asked]] = WeakKeyDictionary()
_asked: WeakKeyDictionary[Any, Counter[tuple[int, str]]] = WeakKeyDictionary()
"""LangGraph makes a new reader for each attempt of a run at a task: what hangs on it is forgotten with the attempt."""


def _parts(config: RunnableConfig | None) -> tuple[dict[str, Any], Mapping[str, Any]]:
    given = config if config is not None else _config()
    return given.get("configurable", {}), given.get("metadata", {})


def _config() -> RunnableConfig:
    try:
        return get_config()
    except RuntimeError:
        return {}


def _info(configurable: Mapping[str, Any]) -> ExecutionInfo | None:
    runtime = configurable.get(RUNTIME)
    return runtime.execution_info if isinstance(runtime, Runtime) else None


def _own_checkpoint(configurable: Mapping[str, Any], task: str) -> str:
    parent = task.rpartition("|")[0]
    return str(configurable.get(_CHECKPOINT_MAP, {}).get(parent, ""))
