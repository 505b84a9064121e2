"""How the queue got to where it is: what happened in each minute, counted backwards from now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interlock.postgres.dashboard import Moved
from interlock.server.dashboard.chart import Chart, Series

ENDINGS: Mapping[str, tuple[str, Sequence[str]]] = {
    "succeeded": ("succeeded", ("succeeded",)),
    "waits": ("waiting", ("waiting",)),
    "stopped": ("cancelled", ("cancelled", "killed")),
    "failed": ("failed", ("failed", "dead")),
}
"""How a run's end is called -> its tone, and the kinds of events that are that."""


def depth_chart(moved: Sequence[Moved], minutes: int, queued: int, working: int) -> Chart:
    """Return how many runs were queued and worked on at the end of each of the last minutes.

    Args:
        moved: what happened; it may begin later than the minutes do, and nothing is known of the time before.
        minutes: how many.
        queued: runs that are queued now.
        working: runs that are worked on now.
    """
    ways = [(each.minutes_ago, each.queued) for each in moved]
    works = [(each.minutes_ago, each.working) for each in moved]
    return Chart(
        title="Runs in the queue and at work",
        labels=_labels(minutes),
        series=(
            Series(name="queued", values=_backwards(queued, ways, minutes), tone="waiting"),
            Series(name="at work", values=_backwards(working, works, minutes), tone="running"),
        ),
    )


def endings_chart(moved: Sequence[Moved], minutes: int) -> Chart:
    """Return how many runs came to an end, or to a question, in each of the last minutes."""
    series = [
        Series(name=name, values=_counted(moved, kinds, minutes), tone=tone)
        for name, (tone, kinds) in ENDINGS.items()
    ]
    return Chart(title="Ended, a minute", labels=_labels(minutes), series=series)


def _labels(minutes: int) -> list[str]:
    return ["now" if not ago else f"-{ago} min" for ago in reversed(range(minutes))]


def _backwards(now: int, changes: Sequence[tuple[int, int]], minutes: int) -> list[float | None]:
    values = []
    for ago in range(minutes):
        values.append(float(max(now, 0)))
        now -= sum(change for minute, change in changes if minute == ago)
    return list(reversed(values))


def _counted(moved: Sequence[Moved], kinds: Sequence[str], minutes: int) -> list[float | None]:
    return [
        float(sum(x.events for x in moved if x.minutes_ago == ago and x.kind in kinds))
        for ago in reversed(range(minutes))
    ]
