"""What is known of a running graph from its stream: pure, for any graph, richer where events say more.

Nodes come from LangGraph's stream mode `tasks`. Events come from `custom`: mappings with the key `event`; a plan is an
event with `tasks`, and an event with `task` is about one of them. Everything else becomes a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from interlock.cli.telling import KNOWN, Event, Line, Tone, fields, kept
from interlock.cli.texts import change
from interlock.core.sleeping import wakes_at
from interlock.wording import clipped, counted

TaskStatus = Literal["waiting", "working", "met", "partial", "failed", "open"]
ENDED: Mapping[str, TaskStatus] = {
    "met": "met",
    "partial": "partial",
    "failed": "failed",
    "open": "open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task of a plan, and how it stands."""

    id: str
    text: str
    status: TaskStatus = "waiting"
    doing: str = ""
    found: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """How a run stands.

    Attributes:
        running: LangGraph's task id -> node, of the graph itself.
        finished: node -> how often it ended.
        tasks: the plan's tasks, by id, in order.
        progress: how far a long count has come, and of how many.
        told: whether the graph tells of itself; then its nodes need no lines.
    """

    running: Mapping[str, str] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, TaskRow] = field(default_factory=dict)
    progress: tuple[int, int] | None = None
    told: bool = False


def after(board: Board, part: Mapping[str, Any]) -> tuple[Board, list[Line]]:
    """Return the board after a part of the stream, and what to tell about it."""
    data = part["data"]
    if part["type"] == "tasks" and not part["ns"]:
        return _after_node(board, data)
    if part["type"] == "custom" and isinstance(data, Mapping) and "event" in data:
        return _after_any_event(board, data)
    return board, []


def _after_node(board: Board, data: Mapping[str, Any]) -> tuple[Board, list[Line]]:
    node, task = str(data["name"]), str(data["id"])
    if "input" in data:
        return replace(board, running={**board.running, task: node}), []
    running = {key: name for key, name in board.running.items() if key != task}
    if data.get("interrupts"):
        line = Line(who=node, text=_waits(data["interrupts"]), tone="warning")
        return replace(board, running=running), [line]
    if data.get("error"):
        return replace(board, running=running), [Line(who=node, text=_error(data), tone="bad")]
    finished = {**board.finished, node: board.finished.get(node, 0) + 1}
    lines = [] if board.told else [Line(who=node, text=_result(data.get("result")), tone="good")]
    return replace(board, running=running, finished=finished), lines


def _waits(interrupts: Sequence[Mapping[str, Any]]) -> str:
    until = [wakes_at(each.get("value")) for each in interrupts]
    times = [each for each in until if each is not None]
    if len(times) < len(until):
        return "asks a person"
    return f"sleeps until {min(times).astimezone():%Y-%m-%d %H:%M:%S}"


def _after_any_event(board: Board, event: Event) -> tuple[Board, list[Line]]:
    """Take an event as what its name says, or, where another application means something else, as it is."""
    try:
        return _after_event(board, event)
    except (KeyError, TypeError, ValueError, AttributeError):
        return board, [Line(who=str(event["event"]), text=fields(event))]


def _after_event(board: Board, event: Event) -> tuple[Board, list[Line]]:
    name = str(event["event"])
    known = KNOWN.get(name)
    before = board.tasks
    board = replace(_with_tasks(board, event), told=board.told or known is not None)
    fresh = [row for key, row in board.tasks.items() if key not in before]
    if name == "gather":
        return replace(board, progress=(int(event["done"]), int(event["total"]))), []
    if known is None:
        return board, [Line(who=name, text=fields(event))]
    if name == "task":
        about = str(event["task"])
        row = board.tasks.get(about, TaskRow(id=about, text=about))
        return board, [_task_ended(row, event)]
    lines = [*known(event), *(Line(who=row.id, text=row.text, detail=True) for row in fresh)]
    return replace(board, progress=None), lines


def _with_tasks(board: Board, event: Event) -> Board:
    tasks = dict(board.tasks)
    for task in event.get("tasks") or ():
        row = tasks.get(str(task["id"]), TaskRow(id=str(task["id"]), text=_question(task)))
        tasks[row.id] = replace(row, status="waiting", doing="")
    about = str(event.get("task", ""))
    if about in tasks:
        tasks[about] = _row_after(tasks[about], event)
    return replace(board, tasks=tasks)


def _row_after(row: TaskRow, event: Event) -> TaskRow:
    if event.get("status") in ENDED:
        return replace(row, status=ENDED[event["status"]], doing=str(event.get("reason", "")))
    row = replace(row, status="working")
    match event["event"]:
        case "search":
            return replace(row, doing=f"searches “{event['query']}”")
        case "findings":
            found = row.found + int(event["count"])
            return replace(row, found=found, doing=kept(int(event["count"])))
        case "judged" if event.get("unmet"):
            return replace(row, doing=f"still misses: {'; '.join(event['unmet'])}")
        case "judged":
            return replace(row, doing="has what it needs")
        case _:
            return replace(row, doing=fields(event))


def _task_ended(row: TaskRow, event: Event) -> Line:
    tones: Mapping[str, Tone] = {"met": "good", "partial": "warning"}
    reason = f": {event['reason']}" if event.get("reason") else ""
    found = f", {counted(row.found, 'quotation')}" if row.found else ""
    text = f"{row.text} {event['status']}{found}{reason}"
    return Line(who="researcher", text=text, tone=tones.get(event["status"], "bad"))


def _question(task: Mapping[str, Any]) -> str:  # a task of a plan
    return str(task.get("question") or task.get("title") or task.get("id"))


def _result(result: Any) -> str:  # a node's update
    if not isinstance(result, Mapping) or not result:
        return "done"
    return clipped(", ".join(change(str(key), None, value) for key, value in result.items()), 200)


def _error(data: Mapping[str, Any]) -> str:
    return clipped(f"failed: {data['error']}", 300)
