from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from interlock.cli.board import Board, after
from interlock.cli.telling import Line


def event(**fields: Any) -> dict[str, Any]:  # a part of a stream
    return {"type": "custom", "ns": (), "data": fields}


def begins(task: str, node: str, ns: tuple[str, ...] = ()) -> dict[str, Any]:  # same
    return {"type": "tasks", "ns": ns, "data": {"id": task, "name": node, "input": {}}}


def ends(task: str, node: str, **how: Any) -> dict[str, Any]:  # same
    data: dict[str, Any] = {"id": task, "name": node, "error": None, "result": {}, "interrupts": []}
    return {"type": "tasks", "ns": (), "data": data | how}


def told(*parts: Mapping[str, Any]) -> tuple[Board, list[Line]]:  # parts of a stream
    board, lines = Board(), []
    for part in parts:
        board, fresh = after(board, part)
        lines += fresh
    return board, lines


PLAN = event(
    event="plan", tasks=[{"id": "t1", "question": "What?"}, {"id": "t2", "question": "Why?"}]
)


def test_nodes() -> None:
    """A graph that tells nothing is told of by its nodes, with what each changed."""
    board, lines = told(begins("1", "count"), ends("1", "count", result={"count": 3}))

    assert lines == [Line(who="count", text="count 3", tone="good")]
    assert board.running == {}
    assert board.finished == {"count": 1}


def test_side_by_side() -> None:
    """Nodes that run at the same time are all there until each has ended."""
    board, _ = told(begins("1", "work"), begins("2", "work"), ends("1", "work"))

    assert board.running == {"2": "work"}


def test_inside() -> None:
    """Nodes of a graph inside a node are not nodes of the graph."""
    board, lines = told(begins("1", "search", ns=("researcher:1",)))

    assert (board, lines) == (Board(), [])


def test_failure() -> None:
    """A node that fails is told of with its error."""
    _, lines = told(begins("1", "work"), ends("1", "work", error="RuntimeError('no')"))

    assert lines == [Line(who="work", text="failed: RuntimeError('no')", tone="bad")]


def test_question() -> None:
    """A node that asks is told of."""
    _, lines = told(ends("1", "approve", interrupts=[{"value": "?"}]))

    assert lines == [Line(who="approve", text="asks a person", tone="warning")]


def test_plan() -> None:
    """A plan's tasks wait, each with its question, and are told of where there is no picture."""
    board, lines = told(PLAN)

    assert [(task.text, task.status) for task in board.tasks.values()] == [
        ("What?", "waiting"),
        ("Why?", "waiting"),
    ]
    assert lines == [
        Line(who="plan", text="2 tasks", tone="good"),
        Line(who="t1", text="What?", detail=True),
        Line(who="t2", text="Why?", detail=True),
    ]


def test_task() -> None:
    """A task goes from waiting over working to its end, and gathers what it found."""
    board, lines = told(
        PLAN,
        event(event="search", task="t1", query="what", hits=4),
        event(event="findings", task="t1", count=3, dropped=1),
    )

    assert (board.tasks["t1"].status, board.tasks["t1"].doing) == ("working", "keeps 3 quotations")
    assert lines[-1] == Line(who="t1", text="keeps 3 quotations, 1 dropped", detail=True)

    board, lines = after(board, event(event="task", task="t1", status="met", reason=""))

    assert (board.tasks["t1"].status, board.tasks["t1"].found) == ("met", 3)
    assert lines == [Line(who="researcher", text="What? met, 3 quotations", tone="good")]


def test_given_out_again() -> None:
    """A task that is given out again waits again, and is not told of as new."""
    board, lines = told(
        PLAN,
        event(event="task", task="t1", status="failed", reason="no answer"),
        event(event="supervise", round=1, missing="", tasks=[{"id": "t1", "question": "What?"}]),
    )

    assert board.tasks["t1"].status == "waiting"
    assert [line.text for line in lines[-2:]] == [
        "What? failed: no answer",
        "round 1: gives out 1 task",
    ]


def test_loops() -> None:
    """The critic's and the verifier's reasons follow their verdicts."""
    _, lines = told(
        event(event="draft", revision=0, sections=2, sentences=1),
        event(event="verified", faults=[{"reason": "no such page"}], dropped=0),
        event(event="critique", verdict="revise", reasons=["too long"]),
        event(event="supervise", round=2, missing="A date.", tasks=[]),
    )

    assert [(line.who, line.text) for line in lines] == [
        ("writer", "draft 1: 2 sections, 1 sentence"),
        ("verifier", "1 fault"),
        ("", "no such page"),
        ("critic", "sends the draft back to the writer"),
        ("", "too long"),
        ("supervisor", "round 2: A date"),
    ]


def test_told() -> None:
    """A graph that tells of itself needs no lines about its nodes."""
    _, lines = told(event(event="draft", revision=0, sections=1, sentences=1), ends("1", "write"))

    assert [line.who for line in lines] == ["writer"]


def test_progress() -> None:
    """A long count moves a bar, and the next event takes it away."""
    board, lines = told(event(event="gather", done=3, total=9, source="a.txt"))

    assert (board.progress, lines) == ((3, 9), [])
    board, lines = after(
        board,
        event(
            event="gathered",
            documents=8,
            passages=20,
            skipped=[{"source": "b.pdf", "reason": "broken"}],
        ),
    )
    assert board.progress is None
    assert [line.text for line in lines] == ["8 documents, 20 passages", "b.pdf: broken"]


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "plan"},
        {"event": "plan", "tasks": 3},
        {"event": "gather"},
        {"event": "task", "task": "x"},
    ],
)
def test_same_name_other_meaning(fields: dict[str, Any]) -> None:
    """An event of another application that only shares a name is told of as it is, and breaks nothing."""
    board, lines = told(event(**fields))

    assert board == Board()
    assert [line.who for line in lines] == [fields["event"]]


def test_unknown_event() -> None:
    """An event that nobody knows is told of with its fields."""
    _, lines = told(event(event="weighed", grams=12))

    assert lines == [Line(who="weighed", text="grams 12")]


@pytest.mark.parametrize("data", ["text", 3, None, {"no": "event"}])
def test_anything(data: object) -> None:
    """What a graph writes that is no event is left alone."""
    assert after(Board(), {"type": "custom", "ns": (), "data": data}) == (Board(), [])
