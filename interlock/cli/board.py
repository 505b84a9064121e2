"""What is known of a running graph from its stream: pure, for any graph, richer where events say more.

Nodes come from LangGraph's stream mode `tasks`. Events come from `custom`: mappings with the key `event`; a plan is an
event with `tasks`, and an event with `task` is about one of them. Everything else becomes a line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from interlock.cli.texts import change, clipped, counted

Tone = Literal["plain", "good", "warning", "bad"]
Event = Mapping[str, Any]  # what a graph writes to the stream mode `custom`
TaskStatus = Literal["waiting", "working", "met", "partial", "failed", "open"]
ENDED: Mapping[str, TaskStatus] = {
    "met": "met",
    "partial": "partial",
    "failed": "failed",
    "open": "open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened.

    Attributes:
        detail: worth a line of its own only where there is no live picture.
    """

    who: str
    text: str
    tone: Tone = "plain"
    detail: bool = False


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
        return _after_event(board, data)
    return board, []


def _after_node(board: Board, data: Mapping[str, Any]) -> tuple[Board, list[Line]]:
    node, task = str(data["name"]), str(data["id"])
    if "input" in data:
        return replace(board, running={**board.running, task: node}), []
    running = {key: name for key, name in board.running.items() if key != task}
    if data.get("interrupts"):
        return replace(board, running=running), [
            Line(who=node, text="asks a person", tone="warning")
        ]
    if data.get("error"):
        return replace(board, running=running), [Line(who=node, text=_error(data), tone="bad")]
    finished = {**board.finished, node: board.finished.get(node, 0) + 1}
    lines = [] if board.told else [Line(who=node, text=_result(data.get("result")), tone="good")]
    return replace(board, running=running, finished=finished), lines


def _after_event(board: Board, event: Event) -> tuple[Board, list[Line]]:
    name = str(event["event"])
    known = _KNOWN.get(name)
    before = board.tasks
    board = replace(_with_tasks(board, event), told=board.told or known is not None)
    fresh = [row for key, row in board.tasks.items() if key not in before]
    if name == "gather":
        return replace(board, progress=(int(event["done"]), int(event["total"]))), []
    if known is None:
        return board, [Line(who=name, text=_fields(event))]
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
            return replace(row, found=found, doing=_kept(int(event["count"])))
        case "judged" if event.get("unmet"):
            return replace(row, doing=f"still misses: {'; '.join(event['unmet'])}")
        case "judged":
            return replace(row, doing="has what it needs")
        case _:
            return replace(row, doing=_fields(event))


def _gathered(event: Event) -> list[Line]:
    text = f"{counted(event['documents'], 'document')}, {counted(event['passages'], 'passage')}"
    skipped = [
        Line(who="skipped", text=f"{each['source']}: {each['reason']}", tone="warning")
        for each in event.get("skipped") or ()
    ]
    return [Line(who="sources", text=text, tone="good"), *skipped]


def _plan(event: Event) -> list[Line]:
    return [Line(who="plan", text=counted(len(event["tasks"]), "task"), tone="good")]


def _search(event: Event) -> list[Line]:
    text = f"searches “{event['query']}”: {counted(event['hits'], 'new passage')}"
    return [Line(who=str(event["task"]), text=text, detail=True)]


def _findings(event: Event) -> list[Line]:
    dropped = f", {event['dropped']} dropped" if event.get("dropped") else ""
    text = f"{_kept(int(event['count']))}{dropped}"
    return [Line(who=str(event["task"]), text=text, detail=True)]


def _judged(event: Event) -> list[Line]:
    unmet = event.get("unmet")
    text = f"still misses: {'; '.join(unmet)}" if unmet else "has what it needs"
    return [Line(who=str(event["task"]), text=text, detail=True)]


def _task(event: Event) -> list[Line]:
    tones: Mapping[str, Tone] = {"met": "good", "partial": "warning"}
    reason = f": {event['reason']}" if event.get("reason") else ""
    text = f"{event['status']}{reason}"
    return [
        Line(who=str(event["task"]), text=text, tone=tones.get(event["status"], "bad"), detail=True)
    ]


def _supervise(event: Event) -> list[Line]:
    missing, tasks = str(event.get("missing") or "").rstrip("."), event.get("tasks")
    given = f"gives out {counted(len(tasks), 'task')}" if tasks else ""
    said = "; ".join(each for each in (missing, given) if each) or "nothing is missing"
    return [Line(who="supervisor", text=f"round {event['round']}: {said}")]


def _draft(event: Event) -> list[Line]:
    size = f"{counted(event['sections'], 'section')}, {counted(event['sentences'], 'sentence')}"
    return [Line(who="writer", text=f"draft {int(event['revision']) + 1}: {size}")]


def _verified(event: Event) -> list[Line]:
    dropped = f", {counted(event['dropped'], 'sentence')} cut" if event.get("dropped") else ""
    faults = event.get("faults") or ()
    if not faults:
        text = f"every quotation, citation and number holds{dropped}"
        return [Line(who="verifier", text=text, tone="good")]
    head = Line(who="verifier", text=f"{counted(len(faults), 'fault')}{dropped}", tone="warning")
    return [head, *(Line(who="", text=str(each["reason"]), tone="warning") for each in faults)]


def _critique(event: Event) -> list[Line]:
    tone: Tone = "good" if event["verdict"] == "accept" else "warning"
    head = Line(
        who="critic", text=_VERDICTS.get(event["verdict"], str(event["verdict"])), tone=tone
    )
    return [head, *(Line(who="", text=str(each), tone=tone) for each in event.get("reasons") or ())]


def _published(event: Event) -> list[Line]:
    return [Line(who="published", text=str(event["markdown"]), tone="good")]


def _declined(event: Event) -> list[Line]:
    return [Line(who="declined", text=str(event["message"]), tone="warning")]


_VERDICTS = {
    "accept": "accepts the draft",
    "revise": "sends the draft back to the writer",
    "research": "asks for more research",
}

_KNOWN: Mapping[str, Callable[[Event], list[Line]]] = {
    "gather": lambda event: [],
    "gathered": _gathered,
    "plan": _plan,
    "search": _search,
    "findings": _findings,
    "judged": _judged,
    "task": _task,
    "supervise": _supervise,
    "draft": _draft,
    "verified": _verified,
    "critique": _critique,
    "published": _published,
    "declined": _declined,
}


def _kept(count: int) -> str:
    return f"keeps {counted(count, 'quotation')}" if count else "finds nothing to quote"


def _question(task: Mapping[str, Any]) -> str:  # a task of a plan
    return str(task.get("question") or task.get("title") or task.get("id"))


def _fields(event: Event) -> str:
    rest = {key: value for key, value in event.items() if key != "event"}
    return clipped(", ".join(change(key, None, value) for key, value in rest.items()), 200)


def _result(result: Any) -> str:  # a node's update
    if not isinstance(result, Mapping) or not result:
        return "done"
    return clipped(", ".join(change(str(key), None, value) for key, value in result.items()), 200)


def _error(data: Mapping[str, Any]) -> str:
    return clipped(f"failed: {data['error']}", 300)
