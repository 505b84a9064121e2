"""Finds threads as clients ask: by the database what stands in rows, by looking at some what stands in states."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.types import StateSnapshot
from pydantic_core import to_jsonable_python

from interlock.errors import InterlockError, UsageError
from interlock.facade import Interlock
from interlock.postgres.thread_cards import SortBy, SortOrder, ThreadCard, Wanted
from interlock.server.documents import Document, thread_document

LOOKED_AT = 1000
"""How many threads' states are looked at for a search by values: the first ones, in its order, that fit otherwise."""

AT_ONCE = 4
"""States that are read at once."""

OF_STATE = frozenset({"values", "interrupts"})

Sort = tuple[SortBy, SortOrder]

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")
_ROOTS = ("config", "interrupts", "metadata", "values")


async def found(
    il: Interlock, wanted: Wanted, values: Mapping[str, Any] | None, sort: Sort, page: slice
) -> list[tuple[ThreadCard, StateSnapshot | None]]:
    """Return the threads of a page; where it goes by values, with their states."""
    size = page.stop - page.start
    if not values:
        cards = await il.asearch_threads(wanted, sort=sort, limit=size, offset=page.start)
        return [(card, None) for card in cards]
    return (await _having(il, wanted, values, sort, page.stop))[page]


async def counted(il: Interlock, wanted: Wanted, values: Mapping[str, Any] | None) -> int:
    """Return how many threads fit."""
    if not values:
        return await il.acount_threads(wanted)
    return len(await _having(il, wanted, values, ("updated_at", "desc"), LOOKED_AT))


async def documents(
    il: Interlock,
    threads: Sequence[tuple[ThreadCard, StateSnapshot | None]],
    select: Sequence[str] | None = None,
    extract: Mapping[str, str] | None = None,
) -> list[Document]:
    """Return threads as a client wants them; states are read only where it wants something of them."""
    paths = {alias: _path(alias, path) for alias, path in (extract or {}).items()}
    roots = {path[0] for path in paths.values()}
    if select is None or OF_STATE & {*select, *roots}:
        cards = [card for card, _ in threads]
        known = [state for _, state in threads]
        threads = list(zip(cards, await _states(il, cards, known), strict=True))
    return [_document(card, state, select, paths) for card, state in threads]


async def _having(
    il: Interlock, wanted: Wanted, values: Mapping[str, Any], sort: Sort, most: int
) -> list[tuple[ThreadCard, StateSnapshot | None]]:
    having: list[tuple[ThreadCard, StateSnapshot | None]] = []
    for offset in range(0, LOOKED_AT, 100):
        cards = await il.asearch_threads(wanted, sort=sort, limit=100, offset=offset)
        for card, state in zip(cards, await _states(il, cards), strict=True):
            if state is not None and _contains(
                to_jsonable_python(state.values, fallback=str), values
            ):
                having.append((card, state))
        if len(cards) < 100 or len(having) >= most:
            break
    return having[:most]


async def _states(
    il: Interlock,
    cards: Sequence[ThreadCard],
    known: Sequence[StateSnapshot | None] | None = None,
) -> list[StateSnapshot | None]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def read(card: ThreadCard, before: StateSnapshot | None) -> StateSnapshot | None:
        if before is not None:
            return before
        async with turns:
            return await state_of(il, card)

    return await asyncio.gather(*map(read, cards, known or [None] * len(cards)))


async def state_of(il: Interlock, card: ThreadCard) -> StateSnapshot | None:
    """Return the state of a thread; None where this application cannot read it: the thread is there all the same."""
    try:
        return await il.astate_of(card)
    except InterlockError:
        return None


def _document(
    card: ThreadCard,
    state: StateSnapshot | None,
    select: Sequence[str] | None,
    paths: Mapping[str, Sequence[str | int]],
) -> Document:
    whole = thread_document(card, state)
    document = whole if select is None else {key: whole.get(key) for key in select if key in whole}
    if paths:
        plain = to_jsonable_python(whole, fallback=str)
        document["extracted"] = {alias: _at(plain, path) for alias, path in paths.items()}
    return document


def _path(alias: str, path: str) -> list[str | int]:
    """Return the steps of a path such as `values.messages[-1].content`; raises `UsageError`."""
    if not _ALIAS.fullmatch(alias):
        raise UsageError(f"The name {alias!r} of what to extract is no identifier.")
    if _STEP.sub("", path):
        raise UsageError(f"The path {path!r} cannot be read.", hint="Write values.messages[-1].")
    steps = [name or int(index) for name, index in _STEP.findall(path)]
    if not steps or steps[0] not in _ROOTS:
        raise UsageError(f"The path {path!r} must start with one of: {', '.join(_ROOTS)}.")
    return steps


def _at(value: Any, path: Sequence[str | int]) -> Any:  # JSON
    for step in path:
        if isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        elif isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def _contains(value: Any, wanted: Any) -> bool:  # JSON
    """Say whether a value contains another as Postgres's `@>` does."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and _contains(value[key], each) for key, each in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(
            any(_contains(mine, each) for mine in value) for each in wanted
        )
    return type(value) is type(wanted) and bool(value == wanted)
