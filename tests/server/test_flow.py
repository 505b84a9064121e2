"""How the queue got to where it is, counted backwards."""

from __future__ import annotations

from interlock.postgres.dashboard import Moved
from interlock.server.dashboard.flow import depth_chart, endings_chart

MOVED = [
    Moved(minutes_ago=0, kind="claimed", events=2, queued=-2, working=2),
    Moved(minutes_ago=1, kind="submitted", events=5, queued=5, working=0),
    Moved(minutes_ago=2, kind="dead", events=1, queued=0, working=-1),
]


def test_depth_is_counted_backwards_from_now() -> None:
    """Three are queued now: two were claimed this minute, so five were at the end of the last, and none before."""
    chart = depth_chart(MOVED, 4, queued=3, working=2)

    queued, working = chart.series
    assert queued.values == [0.0, 0.0, 5.0, 3.0]
    assert working.values == [1.0, 0.0, 0.0, 2.0]
    assert chart.labels == ["-3 min", "-2 min", "-1 min", "now"]


def test_ends_are_counted_by_what_they_were() -> None:
    """A run that died counts as failed, in its minute; what is no end counts nowhere."""
    chart = endings_chart(MOVED, 3)

    found = {each.name: each.values for each in chart.series}
    assert found["failed"] == [1.0, 0.0, 0.0]
    assert found["succeeded"] == [0.0, 0.0, 0.0]
