"""How values read in a terminal: times, what was spent, what changed, values of states. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from interlock.core.runs import Step, Usage
from interlock.documents.runs import plain
from interlock.errors import UsageError
from interlock.wording import clipped, counted, money, names

INDENT = "  "
INLINE = 70
"""Characters of a deep value on its one line."""


def duration(seconds: float) -> str:
    """Return a duration as people say it: 0.03 s, 4.2 s, 1:05, 2:03:04."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock(seconds: float) -> str:
    """Return elapsed time in a fixed form: 0:07, 12:40."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in its largest unit."""
    seconds = max(int((now - moment).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def tokens(usage: Usage) -> str:
    """Return how many tokens went in and out."""
    return f"{usage.input_tokens + usage.output_tokens:,}"


def spent(usage: Usage) -> str:
    """Return what model calls took, in a few words."""
    if not usage.calls:
        return "no model calls"
    return f"{counted(usage.calls, 'model call')} · {tokens(usage)} tokens · {money(usage.cost)}"


def ran(step: Step) -> str:
    """Return what ran to make a step, those that ran in steps that were folded into it too."""
    if not step.folded:
        return names(step.nodes) or step.source
    nodes = [node for node, times in step.folded_nodes.items() for _ in range(times)]
    return f"{names(nodes) or step.source} ({counted(step.folded, 'step')} folded)"


def change(key: str, old: Any, new: Any) -> str:  # values of any state
    """Return what happened to a state key in a few words: `findings +4`, `round 1 → 2`."""
    if isinstance(new, list | dict):
        return f"{key} {_size_change(old, new)}"
    if isinstance(new, str):
        return f"{key} “{clipped(new, 30)}”" if new else f"{key} emptied"
    if new is None:
        return f"{key} removed"
    if isinstance(new, bool | int | float):
        before = "" if old is None else f"{_scalar(old)} → "
        return f"{key} {before}{_scalar(new)}"
    return f"{key} set"


def changes(keys: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what happened to some state keys."""
    told = [key for key in keys if new.get(key) or old.get(key) or new.get(key) == 0]
    return ", ".join(change(key, old.get(key), new.get(key)) for key in told)


def lines_of(
    value: Any, *, full: bool = False, depth: int = 2
) -> list[str]:  # a value of any state
    """Return a value as an indented outline; long and deep parts are shortened unless all of it is wanted."""
    limits = _Limits.none() if full else _Limits(depth=depth)
    return list(_outline(plain(value), 0, limits))


def line_of(value: Any) -> str:  # a value of any state
    """Return a value on one line."""
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def read_value(text: str) -> Any:  # JSON, or text
    """Return a value that a person typed: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_json_or_text(text: str, option: str) -> Any:  # JSON, or text
    """Return the value of an option that takes JSON; what begins like JSON and is none is a slip, not text."""
    value = read_value(text)
    if isinstance(value, str) and text.lstrip()[:1] in ("{", "["):
        raise UsageError(
            f"{option} is not valid JSON: {clipped(text, 60)}",
            hint="Check its quotes and brackets.",
        )
    return value


class _Limits:
    """How much of a value is shown."""

    def __init__(self, *, text: int = 300, items: int = 5, depth: int = 2) -> None:
        self.text, self.items, self.depth = text, items, depth

    @classmethod
    def none(cls) -> _Limits:
        return cls(text=10**9, items=10**9, depth=10**9)


def _outline(value: Any, depth: int, limits: _Limits) -> Iterator[str]:  # JSON
    indent = INDENT * depth
    if _too_deep(value, depth, limits):
        yield indent + _brief(value)
    elif isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _entry(f"{key}:", each, depth, limits)
    elif isinstance(value, list) and value:
        for each in value[: limits.items]:
            yield from _entry("-", each, depth, limits)
        if len(value) > limits.items:
            yield f"{indent}… {len(value) - limits.items} more"
    else:
        yield from (indent + line for line in _text(value, limits))


def _entry(label: str, value: Any, depth: int, limits: _Limits) -> Iterator[str]:  # JSON
    inner = list(_outline(value, depth + 1, limits))
    holds = isinstance(value, dict | list) and value and not _too_deep(value, depth + 1, limits)
    alone = len(inner) == 1 and not holds
    indent = INDENT * depth
    if alone or label == "-":
        yield f"{indent}{label} {inner[0].strip()}"
        yield from inner[1:]
    else:
        yield f"{indent}{label}"
        yield from inner


def _too_deep(value: Any, depth: int, limits: _Limits) -> bool:  # JSON
    """Tell whether a value is told of in one line: it is too deep, or all that it holds would be."""
    if depth < limits.depth or not isinstance(value, dict | list) or not value:
        return False
    return depth > limits.depth or all(isinstance(each, dict | list) for each in _parts(value))


def _brief(value: Any) -> str:  # a JSON list or object
    if any(isinstance(each, dict | list) for each in _parts(value)):
        return counted(len(value), "item")
    return clipped(", ".join(line_of(each) for each in _parts(value)), INLINE)


def _parts(value: Any) -> list[Any]:  # a JSON list or object
    return list(value.values()) if isinstance(value, dict) else value


def _text(value: Any, limits: _Limits) -> list[str]:  # a JSON scalar, or something empty
    if not isinstance(value, str):
        return [json.dumps(value)]
    kept = value[: limits.text]
    more = f" … ({len(value):,} characters)" if len(kept) < len(value) else ""
    return ((kept.rstrip() + more).splitlines() or [""]) if kept else ['""']


def _size_change(old: Any, new: Any) -> str:  # a list or a mapping, and what was there before
    if isinstance(old, list) and isinstance(new, list) and old and new[: len(old)] == old:
        return f"+{len(new) - len(old)}"
    if isinstance(old, dict) and isinstance(new, dict) and old:
        fresh = sum(key not in old for key in new)
        altered = sum(key in old and old[key] != value for key, value in new.items())
        parts = [f"+{fresh}"] * bool(fresh) + [f"~{altered}"] * bool(altered)
        return " ".join(parts) or f"{len(new)}"
    if not new:
        return "emptied" if old else "none"
    return f"+{len(new)}" if not old and isinstance(new, list) else f"({len(new)})"


def _scalar(value: Any) -> str:  # a scalar of any state
    if isinstance(value, float):
        return f"{value:g}"
    return clipped(str(value), 20)
