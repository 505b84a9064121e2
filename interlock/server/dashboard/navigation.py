"""Where the pages are: what the side of each page lists, and which keys lead there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page that is listed.

    Attributes:
        key: after `g`, leads there.
        counter: names the figure beside it, as `interlock.server.dashboard.counters` gives it.
    """

    path: str
    title: str
    icon: str
    key: str
    counter: str = ""


PLACES: Sequence[Sequence[Place]] = (
    (
        Place(path="/ui/", title="Runs", icon="runs", key="r"),
        Place(path="/ui/approvals", title="Approvals", icon="hand", key="a", counter="approvals"),
        Place(path="/ui/letters", title="Dead letters", icon="letter", key="l", counter="letters"),
        Place(path="/ui/failures", title="Failures", icon="failures", key="f"),
    ),
    (
        Place(path="/ui/budgets", title="Budgets", icon="coins", key="b"),
        Place(path="/ui/policies", title="Policies", icon="shield", key="p"),
        Place(path="/ui/crons", title="Crons", icon="clock", key="c"),
        Place(path="/ui/workers", title="Workers", icon="workers", key="w"),
    ),
)


def place_of(path: str) -> Place:
    """Return the place that a page belongs to; the first one for a page of none."""
    return next((each for group in PLACES for each in group if is_here(each, path)), PLACES[0][0])


def is_here(place: Place, path: str) -> bool:
    """Say whether a page belongs to a place."""
    if place.path == "/ui/":
        return path == "/ui/" or path.startswith(("/ui/threads/", "/ui/start", "/ui/compare"))
    if place.path == "/ui/crons" and path.startswith("/ui/new-cron/"):
        return True
    return path == place.path or path.startswith(f"{place.path}/")
