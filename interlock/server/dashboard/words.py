"""How values read on a page: times, numbers, JSON. Pure functions, which templates use as filters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

from pydantic_core import to_jsonable_python

from interlock.core.cron import Cron
from interlock.crons import CLIENT
from interlock.forks import title_of
from interlock.wording import clipped

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def duration(seconds: float | None) -> str:
    """Return a duration as people say it: 30 ms, 4.2 s, 1:05, 2:03:04."""
    if seconds is None:
        return "–"  # noqa: RUF001  # a dash, as tables have it
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was, or how soon it will be, in its largest unit."""
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    form = "{} ago" if seconds >= 0 else "in {}"
    for unit, size in UNITS:
        if abs(seconds) >= size:
            return form.format(f"{abs(seconds) // size} {unit}")
    return "now" if abs(seconds) < 2 else form.format(f"{abs(seconds)} s")


def exactly(moment: datetime) -> str:
    """Return a time to the second, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def number(value: float | None) -> str:
    """Return a number with its thousands apart."""
    return "–" if value is None else f"{value:,}"  # noqa: RUF001  # a dash, as tables have it


def compact(value: int) -> str:
    """Return a number in few letters: 950, 1.2k, 34k, 5.6M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return str(value)


def plain(value: Any) -> Any:  # a value of any state -> JSON
    """Return a value as JSON, whatever it is made of."""
    return to_jsonable_python(value, fallback=str, serialize_unknown=True)


def pretty(value: Any) -> str:  # a value of any state
    """Return a value as indented JSON."""
    return json.dumps(plain(value), ensure_ascii=False, indent=2)


def brief(value: Any, length: int = 120) -> str:  # a value of any state
    """Return a value on one line, keys with their values."""
    told = plain(value)
    if isinstance(told, dict):
        inner = [f"{key}: {_scalar(each)}" for key, each in told.items()]
        return clipped(" · ".join(inner), length)
    return clipped(_scalar(told), length)


def cron_title(cron: Cron) -> str:
    """Return what a cron is called: its name, or its input where a client made it, which gives a number for a name."""
    return (title_of(cron.input) if CLIENT in cron.context else "") or cron.name


def outline(value: Any) -> str:  # a value of any state
    """Return a value so that it is read with ease: keys and values, a line each, without quotes and brackets."""
    return "\n".join(_outlined(plain(value)))


def _outlined(value: Any) -> list[str]:  # JSON
    if isinstance(value, dict) and value:
        return [line for key, each in value.items() for line in _entry(f"{key}:", each)]
    if isinstance(value, list) and value:
        return [line for each in value for line in _item(_outlined(each))]
    return _scalar(value).split("\n")


def _entry(label: str, value: Any) -> list[str]:  # JSON
    inner = _outlined(value)
    if len(inner) == 1 and not (isinstance(value, dict | list) and value):
        return [f"{label} {inner[0]}"]
    return [label, *(f"  {line}" for line in inner)]


def _item(lines: Sequence[str]) -> list[str]:
    return [f"{'  ' if n else '- '}{line}" for n, line in enumerate(lines)]


def _scalar(value: Any) -> str:  # JSON
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def repeated(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return names one after the other, each with how often it stands there in a row."""
    return [(name, len(list(same))) for name, same in groupby(names)]


def segment(name: str) -> str:
    """Return a name as one segment of a path; servers and proxies take a slash apart, however it is written."""
    return quote(name.replace("~", "~7E").replace("/", "~2F"), safe="~")


def from_segment(text: str) -> str:
    """Return the name that a segment of a path stands for."""
    return text.replace("~2F", "/").replace("~7E", "~")
