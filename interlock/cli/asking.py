"""Questions for a person: as a panel, and asked right here in the terminal."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.output import remarks
from interlock.cli.questions import agreement
from interlock.cli.texts import line_of, lines_of, read_value
from interlock.core.answers import AnswerForm, Approve, Edit, Reject, Respond, Resume
from interlock.core.questions import OpenQuestion
from interlock.errors import UsageError
from interlock.wording import short

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

KEYS = {"a": "approve", "e": "edit", "r": "reject", "w": "respond"}
WORDS = {"approve": "approve", "edit": "edit", "reject": "reject", "respond": "answer in words"}
STOP = ("\x03", "\x04")
"""Ctrl-C and Ctrl-D: at a question nothing runs, so there is nothing to stop, and both mean later."""


def login_name() -> str:
    """Return who answers where nobody else is named; empty where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def print_question(question: OpenQuestion, console: Console, *, here: bool = False) -> None:
    """Print what a person can decide by, and unless it is asked here, the commands that answer."""
    from rich.panel import Panel

    title = f"[bold]question {short(question.id)}[/] · {question.graph} · {question.node}"
    console.print(
        Panel(_body(question, here=here), title=title, title_align="left", border_style="yellow")
    )


def ask_here(question: OpenQuestion, by: str) -> AnswerForm | None:
    """Ask in the terminal and return the answer, None for later; a key pressed earlier does not count."""
    try:
        return _asked(question, by)
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        return None


def argument_of(
    question: OpenQuestion, key: str, text: str
) -> Any:  # what the action's schema says
    """Return an argument that a person typed, in the type that the action takes; raises `UsageError`."""
    configs = question.payload.get("review_configs") or [{}]
    properties = configs[0].get("args_schema", {}).get("properties", {})
    known = properties or question.arguments
    if key not in known:
        raise UsageError(
            f"{question.action} has no argument {key!r}.", hint=f"It has: {', '.join(known)}."
        )
    return text if properties.get(key, {}).get("type") == "string" else read_value(text)


def _body(question: OpenQuestion, *, here: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(question.summary or "A plain question.", style="bold")]
    if question.evidence:
        parts += [Text(), _rows([("•", each) for each in question.evidence])]
    if question.arguments:
        changed = "" if question.proposed is None else f", changed by {_editor(question)}"
        parts += [Text(), Text(f"{question.action} with{changed}", style="dim")]
        parts.append(
            _rows((f"  {key}", _shown(value)) for key, value in question.arguments.items())
        )
    if question.details:
        parts += [Text(), _rows((key, _shown(value)) for key, value in question.details.items())]
    if facts := list(terms_of(question)):
        parts += [Text(), _rows(facts)]
    if question.consequences:
        parts += [Text(), _rows(question.consequences.items())]
    if not here:
        parts += [Text(), *(Text(each, style="cyan") for each in _commands(question))]
    return Group(*parts)


def terms_of(question: OpenQuestion) -> Iterator[tuple[str, str]]:
    """Yield what binds an answer: cost, who, how many, by when, and which arguments."""
    if question.cost:
        yield "cost", f"${question.cost:,.2f}"
    if question.assignees:
        yield "may answer", ", ".join(question.assignees)
    if question.needed > 1:
        yield "needs", agreement(question)
    if question.deadline is not None:
        default = "approved" if question.default == "approve" else "rejected"
        yield "deadline", f"{question.deadline.astimezone():%Y-%m-%d %H:%M:%S}, then {default}"
    if question.verdict.get("rule"):
        yield "rule", str(question.verdict["rule"])
    if question.needed > 1 or question.proposed is not None:
        yield "digest", question.request[:12]


def _editor(question: OpenQuestion) -> str:
    return next((each.by for each in question.votes if each.decision == "edit"), "somebody")


def _commands(question: OpenQuestion) -> list[str]:
    from interlock.notify.message import commands

    return commands(question)


def _rows(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Return texts beside what they are about, each wrapped under itself."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for about, text in rows:
        table.add_row(Text(about, style="bold"), Text(text, overflow="fold"))
    return table


def _shown(value: Any) -> str:  # an argument, as JSON
    return "\n".join(lines_of(value))


def _asked(question: OpenQuestion, by: str) -> AnswerForm | None:
    if not question.action:
        text = _line("Your answer (empty: later)")
        return Resume(question.id, read_value(text), by) if text else None
    return _decided(question, _choice(question, remarks()), by)


def _decided(question: OpenQuestion, choice: str, by: str) -> AnswerForm | None:
    match choice:
        case "approve":
            return Approve(question.id, by, digest=question.request)
        case "edit":
            arguments = _edited(question)
            if not arguments:
                return _asked(question, by)
            return Edit(question.id, arguments, by, digest=question.request)
        case "reject":
            return Reject(question.id, _line("What should change (may be empty)"), by)
        case "respond":
            text = _line("Your words")
            return Respond(question.id, text, by) if text else _asked(question, by)
        case _:
            return None


def _choice(question: OpenQuestion, console: Console) -> str:
    offered = {key: answer for key, answer in KEYS.items() if answer in question.decisions}
    words = "  ".join(f"[bold]{key}[/] {WORDS[answer]}" for key, answer in offered.items())
    _forget_typed_ahead()
    console.print(f"{words}  [bold]l[/] later  ", end="")
    while True:
        key = click.getchar()[:1].lower()  # what comes at one time is one string: a key and Enter
        if key in offered or key == "l" or key in STOP:
            console.print(f"→ {WORDS[offered[key]] if key in offered else 'later'}")
            return offered.get(key, "later")


def _edited(question: OpenQuestion) -> dict[str, Any]:  # arguments of the action
    click.echo("Enter keeps a value.", err=True)
    arguments = {}
    for key, value in question.arguments.items():
        now = line_of(value)
        typed = _line(key, now)
        if typed != now:
            arguments[key] = argument_of(question, key, typed)
    return _fitting(question, arguments)


def _fitting(question: OpenQuestion, arguments: dict[str, Any]) -> dict[str, Any]:  # of the action
    """Return arguments that the action takes; others are said to be wrong, and typed again."""
    from interlock.core.actions import find, is_declared
    from interlock.errors import ActionRefused

    if not is_declared(question.action):
        return arguments
    try:
        find(question.action).validate_arguments({**question.arguments, **arguments})
    except ActionRefused as refusal:
        click.echo(str(refusal), err=True)
        return _edited(question)
    return arguments


def _line(text: str, default: str = "") -> str:
    return str(click.prompt(text, default=default, show_default=bool(default), err=True)).strip()


def _forget_typed_ahead() -> None:
    import termios

    termios.tcflush(sys.stdin, termios.TCIFLUSH)
