"""Where an attempt at a run begins: what LangGraph is given, at which checkpoint, or that there is nothing left to do.

A run may lose its process anywhere. Each attempt looks at the newest checkpoint of its thread: one of its own means
that it goes on from there; any other that it has not begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import NO_WRITES, NULL_TASK_ID  # pinned, and a test holds them
from langgraph.constants import START
from langgraph.types import Command, Send, StateSnapshot

from interlock.application import Graph
from interlock.core.driving import ALL, Driving
from interlock.core.runs import BREAKPOINT, Run
from interlock.errors import ResumeRefused
from interlock.postgres.pool import translated
from interlock.postgres.stored_runs import StoredRun
from interlock.postgres.versioned import input_of
from interlock.standing import standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an attempt hands to LangGraph.

    Attributes:
        given: the graph's input, a `Command`, or None to go on.
        checkpoint: that it starts from; empty for the thread's latest.
        stopped: it stands at a breakpoint already, and the process died before that could be written.
    """

    given: Any = None  # as above
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    stopped: bool = False

    def config(self, config: RunnableConfig) -> RunnableConfig:
        """Return LangGraph's configuration with the checkpoint."""
        if not self.checkpoint:
            return config
        return at(config, self.checkpoint["checkpoint_id"])


async def start_of(graph: Graph, stored: StoredRun, config: RunnableConfig) -> Start:
    """Return where an attempt begins.

    Raises:
        ResumeRefused: no node waits any more although an answer was taken, or the checkpoint is gone.
    """
    run, driving = stored.run, stored.driving
    if run.kind == "invoke" and run.attempts == 0:
        return await _first(graph, stored, config)
    with translated():
        snapshot = await standing(graph, config)
    began = (snapshot.metadata or {}).get("run_id") == run.run_id
    if began and run.error_kind != BREAKPOINT and await _at_breakpoint(graph, driving, snapshot):
        return Start(stopped=True)
    if run.kind == "resume":
        resumed = resume_input(stored.answers or {}, snapshot, run)
        return Start(given=await _with_command(graph, stored, config, resumed, began=began))
    if began:
        return Start()
    if run.kind == "fork":
        given = input_of(graph, stored)
        return Start(given=Command(update=given) if given else None)
    return await _first(graph, stored, config)


def resume_input(
    answers: Mapping[str, Any], snapshot: StateSnapshot, run: Run
) -> Command[Any] | None:
    """Return what a resume runs: the answers to the questions that are still open, or None to go on behind them.

    Raises:
        ResumeRefused: no node waits any more although an answer was taken: the graph's code has changed.
    """
    pending = {each.id for each in snapshot.interrupts}
    fresh = {interrupt: answer for interrupt, answer in answers.items() if interrupt in pending}
    if fresh:
        return Command(resume=fresh)
    # Not `next`: it is empty, too, when all that a step's tasks wrote is stored and its checkpoint is still to be made.
    if not snapshot.tasks and (snapshot.metadata or {}).get("run_id") != run.run_id:
        raise ResumeRefused(
            f"Thread {run.thread_id} waits in a node that the graph {run.graph!r} no longer has.",
            hint="Deploy the code that asked the question, or fork the thread from an earlier step.",
        )
    return None


def at(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    """Return LangGraph's configuration for one checkpoint of a thread's own graph."""
    names = {"checkpoint_id": checkpoint_id, "checkpoint_ns": ""}
    return {**config, "configurable": {**config["configurable"], **names}}


def command_of(driving: Driving, run_id: str) -> Command[Any]:
    """Return LangGraph's `Command` of a run, with a write that no channel takes: it tells that it was stored.

    What a command writes stands beside the thread's checkpoint until the next step is saved. Given again after a crash,
    it would be written, and added by reducers, a second time.
    """
    said = driving.command
    updates = [*_updates(said.get("update")), (NO_WRITES, run_id)]
    return Command(update=updates, goto=_goto(said.get("goto")))


async def _first(graph: Graph, stored: StoredRun, config: RunnableConfig) -> Start:
    """Return how a run begins that has not made a checkpoint."""
    driving = stored.driving
    begins = Start(checkpoint=driving.checkpoint)
    if driving.checkpoint:
        await _check_there(graph, stored.run, begins.config(config))
    if driving.command:
        fresh = await _with_command(graph, stored, begins.config(config), None, began=False)
        return Start(given=fresh, checkpoint=driving.checkpoint)
    if driving.goes_on:
        return begins
    return Start(given=input_of(graph, stored), checkpoint=driving.checkpoint)


async def _check_there(graph: Graph, run: Run, config: RunnableConfig) -> None:
    with translated():
        snapshot = await graph.aget_state(config)
    if snapshot.metadata is None:
        raise ResumeRefused(
            f"Thread {run.thread_id} has no checkpoint {config['configurable']['checkpoint_id']}.",
            hint="It was folded or undone meanwhile; `interlock history` lists what there is.",
        )


async def _with_command(
    graph: Graph,
    stored: StoredRun,
    config: RunnableConfig,
    resumed: Command[Any] | None,
    *,
    began: bool,
) -> Command[Any] | None:
    """Return what a run that has a command is given: it, and what is resumed; each only once."""
    driving, run = stored.driving, stored.run
    if not driving.command or began:
        return resumed
    if run.attempts > 0 and await _is_stored(graph, config, run.run_id):
        return resumed
    command = command_of(driving, run.run_id)
    if resumed is not None:
        command = Command(update=command.update, goto=command.goto, resume=resumed.resume)
    return command


async def _is_stored(graph: Graph, config: RunnableConfig, run_id: str) -> bool:
    """Say whether what the command of a run writes stands beside the checkpoint that it begins at."""
    saver: Any = graph.checkpointer  # LangGraph's type allows a flag, too
    with translated():
        found = await saver.aget_tuple(config)
    pending = (found.pending_writes or ()) if found is not None else ()
    return (NULL_TASK_ID, NO_WRITES, run_id) in {
        tuple(each) for each in pending if each[1] == NO_WRITES
    }


async def _at_breakpoint(graph: Graph, driving: Driving, snapshot: StateSnapshot) -> bool:
    """Say whether a run that made this checkpoint stopped here: LangGraph takes who comes back for one who goes on."""
    if not snapshot.next:
        return False
    before = driving.interrupt_before or graph.interrupt_before_nodes
    if _named(before, snapshot.next):
        return True
    after = driving.interrupt_after or graph.interrupt_after_nodes
    ended = (snapshot.metadata or {}).get("source") == "loop" and snapshot.parent_config
    if not after or not ended:
        return False
    with translated():
        ran = await graph.aget_state(ended)
    return _named(after, ran.next)


def _named(nodes: str | Sequence[str], at_work: Sequence[str]) -> bool:
    visible = [each for each in at_work if each != START]
    return bool(visible) if ALL in nodes else not set(visible).isdisjoint(nodes)


def _updates(update: Any) -> list[tuple[str, Any]]:  # JSON
    if isinstance(update, Mapping):
        return list(update.items())
    return [(str(key), value) for key, value in update or ()]


def _goto(goto: Any) -> list[str | Send]:  # JSON
    if not goto:
        return []
    several = goto if isinstance(goto, list | tuple) else [goto]
    return [
        Send(each["node"], each.get("input")) if isinstance(each, Mapping) else str(each)
        for each in several
    ]
