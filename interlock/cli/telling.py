"""How the events of a research team, and of any graph that uses the same names, read as lines. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from interlock.cli.texts import change
from interlock.wording import clipped, counted

Tone = Literal["plain", "good", "warning", "bad"]
Event = Mapping[str, Any]  # what a graph writes to the stream mode `custom`


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


def fields(event: Event) -> str:
    """Return what an event of any kind says."""
    rest = {key: value for key, value in event.items() if key != "event"}
    return clipped(", ".join(change(key, None, value) for key, value in rest.items()), 200)


def kept(count: int) -> str:
    """Return how many quotations a researcher took from what it read."""
    return f"keeps {counted(count, 'quotation')}" if count else "finds nothing to quote"


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
    text = f"{kept(int(event['count']))}{dropped}"
    return [Line(who=str(event["task"]), text=text, detail=True)]


def _judged(event: Event) -> list[Line]:
    unmet = event.get("unmet")
    text = f"still misses: {'; '.join(unmet)}" if unmet else "has what it needs"
    return [Line(who=str(event["task"]), text=text, detail=True)]


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

KNOWN: Mapping[str, Callable[[Event], list[Line]]] = {
    "gather": lambda event: [],
    "gathered": _gathered,
    "plan": _plan,
    "search": _search,
    "findings": _findings,
    "judged": _judged,
    "task": lambda event: [],
    "supervise": _supervise,
    "draft": _draft,
    "verified": _verified,
    "critique": _critique,
    "published": _published,
    "declined": _declined,
}
"""What can be told of; the end of a task is told of where the task is known."""
