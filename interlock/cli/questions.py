"""Questions as tables and lines: what is open, what happened to one, and who was told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interlock.cli.texts import ago, duration, line_of
from interlock.core.questions import Notification, OpenQuestion, QuestionEvent, Swept
from interlock.wording import clipped, short

NARROW = 90
"""Columns of a terminal below which questions are no table."""
WHOLE = ("question", "thread", "status", "tries")
"""Columns that are never broken: what is copied from them, and what is short."""
STYLES = {"sent": "green", "waiting": "yellow", "failed": "red", "outdated": "dim"}


def print_questions(questions: Sequence[OpenQuestion], console: Console) -> None:
    """Print the open questions."""
    if not questions:
        console.print("Nothing waits for a person.")
        return
    now = datetime.now(UTC)
    if console.width < NARROW:
        _print_blocks(questions, console, now)
        return
    table = _table("question", "thread", "asks", "summary", "who", "since", "deadline")
    for each in questions:
        table.add_row(
            Text(short(each.id), style="cyan"),
            short(each.thread_id),
            clipped(each.action or each.node, 20),
            _asked(each),
            _who(each),
            ago(each.asked_at, now),
            _left(each, now),
        )
    console.print(table)
    _print_next(questions[0], console)


def _print_blocks(questions: Sequence[OpenQuestion], console: Console, now: datetime) -> None:
    """Print each question under the other, where a table would break every word."""
    for each in questions:
        console.print(
            f"[cyan]{short(each.id)}[/]  {short(each.thread_id)}  {ago(each.asked_at, now)}"
        )
        facts = [_who(each), _left(each, now)]
        said = f"{_asked(each).plain}\n{', '.join(fact for fact in facts if fact)}"
        console.print(Padding(Text(said), (0, 0, 1, 2)))
    _print_next(questions[0], console)


def _print_next(question: OpenQuestion, console: Console) -> None:
    from interlock.notify.message import commands

    told = [f"interlock approvals show {short(question.id)}", *commands(question)[:1]]
    console.print("  ·  ".join(f"[cyan]{escape(each)}[/]" for each in told), soft_wrap=True)


def print_events(events: Sequence[QuestionEvent], console: Console) -> None:
    """Print what happened to a question."""
    table = Table.grid(padding=(0, 2))
    for each in events:
        when = f"{each.at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(Text(when, style="dim"), each.kind.replace("_", " "), Text(_said(each)))
    console.print(table)


def print_notifications(
    notifications: Sequence[Notification], console: Console, *, failed: bool = False
) -> None:
    """Print what people were told, or only what could not be told."""
    if not notifications:
        console.print(
            "No notification was given up."
            if failed
            else "Nobody was told of anything: INTERLOCK_NOTIFY names who is."
        )
        return
    table = _table("question", "event", "target", "status", "tries", "error")
    for each in notifications:
        table.add_row(
            Text(short(each.question_id), style="cyan"),
            each.event,
            each.target,
            Text(each.status, style=STYLES[each.status]),
            str(each.tries),
            Text(each.error),
        )
    console.print(table)


def agreement(question: OpenQuestion) -> str:
    """Return how many people must agree, and who has."""
    agreed = ", ".join(each.by for each in question.votes) or "nobody"
    return f"{len(question.votes)} of {question.needed} agree ({agreed})"


def swept_line(swept: Swept) -> str:
    """Return a step that time made a question take."""
    return f"{swept.step} question {short(swept.question_id)} of thread {short(swept.thread_id)}"


def _asked(question: OpenQuestion) -> Text:
    """Return what is asked, and with which arguments: two questions about one action differ in them alone."""
    asked = Text(clipped(question.summary, 200))
    if told := question.arguments or question.details:
        asked.append("\n" + clipped(line_of(dict(told)), 120), style="dim")
    return asked


def _who(question: OpenQuestion) -> str:
    who = ", ".join(question.assignees) or "anybody"
    return f"{who}; {agreement(question)}" if question.needed > 1 else who


def _left(question: OpenQuestion, now: datetime) -> str:
    if question.deadline is None:
        return ""
    seconds = (question.deadline - now).total_seconds()
    if question.expired or seconds <= 0:
        return "passed"
    return f"in {duration(seconds)}, then {question.default}"


def _said(event: QuestionEvent) -> str:
    detail = event.detail
    parts = [event.who, str(detail.get("decision", "")), ", ".join(detail.get("people", []))]
    parts += [str(detail.get(key, "")) for key in ("target", "error", "message")]
    return " · ".join(each for each in parts if each)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in WHOLE, min_width=len(column))
    return table
