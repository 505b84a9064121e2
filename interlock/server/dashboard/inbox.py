"""The list of what waits for a person, page by page, and what comes after a question in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from interlock.core.questions import OpenQuestion
from interlock.postgres.inbox import InboxStore, Waiting, Wanted, fitting
from interlock.server.scope import Scope

AT_ONCE = 100
"""How many questions are shown at once; the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where somebody is in the inbox.

    Attributes:
        wanted: the questions that they look through.
        begin: the question that their page begins with; empty for the first page, or for that of a chosen question.
    """

    wanted: Wanted
    begin: str = ""

    def address(self, chosen: str = "", begin: str | None = None) -> str:
        """Return where a question is shown beside this page, or beside the one that begins with another question."""
        here = self if begin is None else replace(self, begin=begin)
        query = urlencode({**here.kept, **({"open": chosen} if chosen else {})})
        return f"/ui/approvals?{query}" if query else "/ui/approvals"

    @property
    def kept(self) -> dict[str, str]:
        """What a form or an address says of it."""
        said = {"graph": self.wanted.graph, "action": self.wanted.action, "from": self.begin}
        return {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A page of the inbox.

    Attributes:
        place: of the page.
        offset: how many questions stand before it.
        total: how many fit.
        kinds: all that waits, by graph and action.
        newer: where the page behind it is, the younger questions; empty at the end.
        older: where the page before it is; empty at the beginning.
        last_before: where that page is with its last question open.
    """

    place: Place
    questions: Sequence[OpenQuestion]
    offset: int
    total: int
    kinds: Sequence[Waiting]
    newer: str
    older: str
    last_before: str

    @property
    def waiting(self) -> int:
        """How many questions wait, whether they fit or not."""
        return sum(each.many for each in self.kinds)


async def listed(scope: Scope, place: Place, chosen: str) -> Listed:
    """Return the page that begins at a place, or else that of a chosen question, or else the first one."""
    store = InboxStore(scope.reader.pool)
    kinds = await store.kinds(place.wanted)
    total = fitting(kinds, place.wanted)
    offset = await _offset(store, place, chosen, total)
    found = await store.page(place.wanted, offset=offset, limit=AT_ONCE + 1)
    shown = found[:AT_ONCE]
    here = Place(wanted=place.wanted, begin=shown[0].id if shown and offset else "")
    older, last_before = await _before(store, here, offset)
    return Listed(
        place=here,
        questions=shown,
        offset=offset,
        total=max(total, offset + len(found)),  # more may have been asked meanwhile
        kinds=kinds,
        newer=here.address(begin=found[AT_ONCE].id) if len(found) > AT_ONCE else "",
        older=older,
        last_before=last_before,
    )


async def after(scope: Scope, place: Place, name: str) -> str:
    """Return the question that comes after one, or else the one before it; empty when none is left."""
    store = InboxStore(scope.reader.pool)
    before = await store.before(place.wanted, name)
    near = await store.page(place.wanted, offset=before, limit=2)
    if before and not [each for each in near if each.id != name]:
        near = await store.page(place.wanted, offset=before - 1, limit=1)
    return next((each.id for each in near if each.id != name), "")


async def _offset(store: InboxStore, place: Place, chosen: str, total: int) -> int:
    if place.begin:
        offset = await store.before(place.wanted, place.begin)
        return offset if offset < total else _page_of(total - 1)
    return _page_of(await store.before(place.wanted, chosen)) if chosen else 0


def _page_of(number: int) -> int:
    """Return where the page begins that a question is on."""
    return max(number, 0) // AT_ONCE * AT_ONCE


async def _before(store: InboxStore, here: Place, offset: int) -> tuple[str, str]:
    """Return where the page before is, and where it is with its last question open."""
    if not offset:
        return "", ""
    begins = max(offset - AT_ONCE, 0)
    page = await store.page(here.wanted, offset=begins, limit=offset - begins)
    first = page[0].id if begins and page else ""
    return here.address(begin=first), here.address(page[-1].id if page else "", begin=first)
