"""Events of a run as lines and as JSON, for somebody who watches it from outside. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from interlock.cli.status_views import age
from interlock.cli.telling import Line, Tone
from interlock.cli.texts import change, duration, line_of
from interlock.core.happening import Event
from interlock.wording import clipped, counted, money, names, short

Detail = Mapping[str, Any]  # JSON
TOLD = 160
"""Characters of what is told of an event."""

ASKED: Mapping[str, tuple[str, Tone]] = {
    "asked": ("asks a person", "warning"),
    "voted": ("agreed to", "plain"),
    "edited": ("edited", "plain"),
    "reminded": ("reminds of what it asked", "warning"),
    "escalated": ("escalates what it asked", "warning"),
    "expired": ("nobody answered in time", "warning"),
    "answered": ("answered", "good"),
    "reopened": ("asks again", "warning"),
    "withdrawn": ("asks no longer", "plain"),
}


def line_for(event: Event) -> Line | None:
    """Return an event as a line; None for one that says nothing to a person."""
    told = KNOWN.get(event.kind)
    return told(event) if told else Line(who="run", text=event.kind)


def _step(event: Event) -> Line | None:
    detail = event.detail
    nodes = [each for each in detail["nodes"] if each != "__start__"]
    if not nodes:
        return None
    if event.values is None:
        changed = ", ".join(detail["changed"])
    else:
        changed = ", ".join(change(key, *pair) for key, pair in event.values.items())
    taken = [f"{detail['tokens']:,} tokens", money(detail["cost"])] if detail["calls"] else []
    parts = [clipped(changed, TOLD) or "done", *taken, duration(float(detail["seconds"]))]
    return Line(who=names(nodes), text=" · ".join(parts), tone="good")


def _model_call(event: Event) -> Line:
    detail = event.detail
    tokens = detail["input_tokens"] + detail["output_tokens"]
    parts = (
        detail["model"],
        f"{tokens:,} tokens",
        money(detail["cost"]),
        duration(detail["seconds"]),
    )
    return Line(who=event.node, text=f"model answers: {' · '.join(parts)}", detail=True)


def _act(event: Event) -> Line:
    detail = event.detail
    asked = _asked_for(detail)
    again = f" (attempt {detail['attempt']})" if detail["attempt"] > 1 else ""
    if detail["status"] == "intended":
        return Line(who=event.node, text=f"begins {asked}{again}", detail=True)
    if detail["status"] == "not_done":
        why = f": {detail['error']}" if detail["error"] else ""
        return Line(who=event.node, text=f"did not do {asked}{why}", tone="bad")
    taken = duration(float(detail["seconds"])) if detail["seconds"] is not None else ""
    word = "reads" if detail["reads"] else "from the record:" if detail["source"] else "did"
    return Line(who=event.node, text=f"{word} {asked}{again} · {taken}".rstrip(" ·"), tone="good")


def _refused(event: Event) -> Line:
    rule = f" [{event.detail['rule']}]" if event.detail["rule"] else ""
    text = f"{_asked_for(event.detail)} was refused: {event.detail['reason']}{rule}"
    return Line(who=event.node, text=text, tone="bad")


def _question(event: Event) -> Line:
    detail = event.detail
    said, tone = ASKED.get(detail["happened"], (detail["happened"], "plain"))
    about = f" {detail['action']}" if detail["action"] else ""
    if detail["happened"] == "asked":
        text = f"{said}:{about}  interlock approvals show {short(detail['question'])}"
        return Line(who=event.node, text=text, tone=tone)
    who = detail["who"]
    return Line(who=event.node, text=f"{who} {said}{about}" if who else f"{said}{about}", tone=tone)


def _limited(event: Event) -> Line:
    detail = event.detail
    what = f"{detail['model'] or 'a call'} waits for {detail['name']} ({detail['why']})"
    return Line(who=event.node, text=f"{what} until {hour(detail['until'])}", tone="warning")


def _claimed(event: Event) -> Line:
    return Line(who="worker", text=f"{_process(event)} takes it on")


def _released(event: Event) -> Line:
    return Line(who="worker", text=f"{_process(event)} hands it back")


def _lost(event: Event) -> Line:
    crashes = event.detail.get("crashes", 0)
    times = f" ({counted(crashes, 'time')} in a row)" if crashes > 1 else ""
    return Line(
        who="worker", text=f"its worker was lost{times}: another goes on with it", tone="warning"
    )


def _retried(event: Event) -> Line:
    detail = event.detail
    why = clipped(str(detail.get("error", "")), TOLD)
    kind = f"{detail['failure']}, " if detail.get("failure") else ""
    text = f"{kind}tried again in {age(float(detail.get('retry_seconds', 0)))}: {why}"
    return Line(who="run", text=text.rstrip(": "), tone="warning")


def _stopped(word: str, tone: Tone) -> Callable[[Event], Line]:
    def told(event: Event) -> Line:
        detail = event.detail
        by = f" by {detail['by']}" if detail.get("by") else ""
        why = detail.get("reason") or detail.get("error") or detail.get("failure") or ""
        text = f"{word}{by}" + (f": {clipped(str(why), TOLD)}" if why else "")
        return Line(who="run", text=text, tone=tone)

    return told


def _waiting(event: Event) -> Line:
    if until := event.detail.get("wakes_at"):
        return Line(who="run", text=f"sleeps until {hour(until)}", tone="plain")
    return Line(who="run", text="waits", tone="warning")


KNOWN: Mapping[str, Callable[[Event], Line | None]] = {
    "step": _step,
    "model_call": _model_call,
    "act": _act,
    "refused": _refused,
    "question": _question,
    "limited": _limited,
    "claimed": _claimed,
    "released": _released,
    "lost": _lost,
    "retried": _retried,
    "waiting": _waiting,
    "succeeded": _stopped("succeeded", "good"),
    "failed": _stopped("failed", "bad"),
    "dead": _stopped("dead", "bad"),
    "cancelled": _stopped("cancelled", "bad"),
    "killed": _stopped("killed", "bad"),
}
"""What can be told of; anything else is told by its name."""


def _asked_for(detail: Detail) -> str:
    given = ", ".join(f"{key}={line_of(value)}" for key, value in detail["arguments"].items())
    return clipped(f"{detail['action']}({given})", TOLD)


def _process(event: Event) -> str:
    return str(event.detail.get("process") or f"worker {event.worker[:8]}".rstrip())


def hour(moment: datetime | str) -> str:
    """Return when something is, with its day unless that is today."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    local = at.astimezone()
    today = datetime.now(local.tzinfo).date() == local.date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M:%S}"
