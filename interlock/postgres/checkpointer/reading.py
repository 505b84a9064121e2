"""From rows to values: the content that they refer to is fetched at once, and each part of it restored once."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from typing import Any, Generic, TypeVar

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from interlock.postgres.checkpointer import format as form
from interlock.postgres.checkpointer.sealing import Seal

Fetch = Callable[[Sequence[bytes]], Awaitable[Iterable[tuple[bytes, int, bytes]]]]
"""Returns hash, kind and body of some content."""


K = TypeVar("K")
T = TypeVar("T")
AT_ONCE = 128
"""So many packed items of a list are restored together."""

_PACKED = form.typed("msgpack", b"")
_SEALED_REFERENCE = f"{form.REFERENCE}+"


class MissingContent(LookupError):
    """A row refers to content that is gone: the row was deleted while it was read."""


class Reader:
    """Restores values for one call.

    Args:
        sharing: equal content is restored once, and is the same object wherever it stands.
    """

    def __init__(self, seal: Seal, fetch: Fetch, *, sharing: bool) -> None:
        self._seal = seal
        self._fetch = fetch
        self._content: dict[bytes, tuple[int, bytes]] = {}
        self._segments: dict[bytes, Sequence[Any]] | None = {} if sharing else None
        self._packed = _Once(seal.loads_packed).__getitem__ if sharing else seal.loads_packed
        loads = seal.serde.loads_typed
        self._plain = _Once(loads).__getitem__ if sharing else loads

    def know(self, content: Iterable[tuple[bytes, int, bytes]]) -> None:
        """Take content that was read before: hash, kind and body of each."""
        self._content.update((name, (kind, body)) for name, kind, body in content)

    async def fetch(self, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Fetch all content that some rows, given by type and bytes, refer to.

        Raises:
            MissingContent: some is gone.
        """
        bodies = (body for kind, body in rows if is_reference(kind) and body is not None)
        wanted = {link for body in bodies for link in form.unpack(body)[0]}
        while wanted := wanted - self._content.keys():
            found = {
                bytes(name): (kind, bytes(body))
                for name, kind, body in await self._fetch(list(wanted))
            }
            if len(found) < len(wanted):
                raise MissingContent(f"{len(wanted) - len(found)} parts of a value are gone")
            self._content.update(found)
            nodes = (body for kind, body in found.values() if kind & ~form.SEALED == form.NODE)
            wanted = {link for body in nodes for link in form.unpack(body)[0]}

    def value(self, kind: str, data: bytes) -> Any:
        """Return the value of a row, given by type and bytes; its content has been fetched."""
        if not is_reference(kind):
            return self._plain((kind, data))
        links, hidden = form.unpack(data)
        tag, says, snapshot = form.load(self._seal.opened(kind, bytes(hidden)))
        value = self._list(links, says) if tag == "l" else self._single(tag, links, says)
        return _DeltaSnapshot(value) if snapshot else value

    def _single(self, tag: str, links: Sequence[bytes], says: Any) -> Any:
        return next(self._items(links))[0] if tag == "v" else self._joined(links, says)

    def _list(self, links: Sequence[bytes], entries: Sequence[Any]) -> list[Any]:
        if self._segments is None:
            return self._at_once(links, entries)
        values: list[Any] = []
        at = 0
        for kind, group in groupby(entries, type):
            if kind is int:
                end = at + sum(group)
                values.extend(chain.from_iterable(self._items(links[at:end])))
                at = end
            else:
                values.extend(self._entry(each) for each in group)
        return values

    def _at_once(self, links: Sequence[bytes], entries: Sequence[Any]) -> list[Any]:
        """Return a list whose packed items, of all its segments, are restored together: their number is what costs."""
        items = _Items(self._seal)
        with collector_at_rest():
            self._gather(links, entries, items)
            return items.all()

    def _gather(self, links: Sequence[bytes], entries: Sequence[Any], items: _Items) -> None:
        at = 0
        for kind, group in groupby(entries, type):
            if kind is bytes:
                items.pack(group)
            elif kind is int:
                end = at + sum(group)
                for link in links[at:end]:
                    self._gather_link(link, items)
                at = end
            else:
                for name, data in group:
                    items.add(self._seal.loads(name, data))

    def _gather_link(self, link: bytes, items: _Items) -> None:
        kind, body = self._content[link]
        if kind & ~form.SEALED == form.VALUE:
            typed = self._seal.open(kind, body)
            if typed.startswith(_PACKED):
                items.pack((typed[len(_PACKED) :],))
            else:
                items.add(self._seal.loads(*form.untyped(typed)))
            return
        links, (tag, says) = self._node(kind, body)
        if tag == "s":
            self._gather(links, says, items)
        else:
            items.add(self._joined(links, says))

    def _node(self, kind: int, body: bytes) -> tuple[Sequence[bytes], form.Skeleton]:
        """Return a node's links and its skeleton, whose bytes are copied only to decrypt them."""
        links, hidden = form.unpack(body)
        plain = self._seal.open(kind, bytes(hidden)) if kind & form.SEALED else hidden
        return links, form.load(plain)

    def _entry(self, entry: Any) -> Any:  # of a skeleton; a value
        """Return the item that stands in a skeleton itself."""
        return self._packed(entry) if type(entry) is bytes else self._seal.loads(*entry)

    def _items(self, links: Sequence[bytes]) -> Iterator[Sequence[Any]]:
        """Return what each link in a list stands for: the items of a segment, or one."""
        known = self._segments
        if known is None:
            return map(self._restored, links)
        for link in links:
            if link not in known:
                known[link] = self._restored(link)
        return map(known.__getitem__, links)

    def _restored(self, link: bytes) -> Sequence[Any]:
        kind, body = self._content[link]
        if kind & ~form.SEALED == form.VALUE:
            return (self._single_item(self._seal.open(kind, body)),)
        links, (tag, says) = self._node(kind, body)
        return self._list(links, says) if tag == "s" else (self._joined(links, says),)

    def _single_item(self, typed: bytes) -> Any:
        if typed.startswith(_PACKED):
            return self._packed(typed[len(_PACKED) :])
        return self._seal.loads(*form.untyped(typed))

    def _joined(self, links: Sequence[bytes], says: Sequence[Any]) -> Any:
        kind, head = says
        pieces = (self._content[link] for link in links)
        return self._seal.loads(
            kind, b"".join((head, *(self._seal.open(*each) for each in pieces)))
        )


class _Once(dict[K, T], Generic[K, T]):
    """Makes each value when it is asked for first; asking again costs no call."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make

    def __missing__(self, key: K) -> T:
        made = self[key] = self._make(key)
        return made


class _Items:
    """The items of a list; packed ones are restored many at once, and while their bytes are near the processor."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._values: list[Any] = []
        self._packed: list[bytes] = []

    def pack(self, items: Iterable[bytes]) -> None:
        """Append items that are packed."""
        self._packed.extend(items)
        if len(self._packed) >= AT_ONCE:
            self._restore()

    def add(self, value: Any) -> None:  # a list's item
        """Append an item."""
        self._restore()
        self._values.append(value)

    def all(self) -> list[Any]:
        """Return them."""
        self._restore()
        return self._values

    def _restore(self) -> None:
        if self._packed:
            self._values.extend(self._seal.loads_all(self._packed))
            self._packed.clear()


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from looking at thousands of new objects again and again: it doubles the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def is_reference(kind: str) -> bool:
    """Tell whether a row's type says that its bytes are a reference."""
    return kind == form.REFERENCE or kind.startswith(_SEALED_REFERENCE)
