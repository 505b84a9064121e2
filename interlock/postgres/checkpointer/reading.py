"""From rows to values: the content that they refer to is fetched at once, and each part of it restored once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from interlock.postgres.checkpointer import format as form
from interlock.postgres.checkpointer.sealing import Seal

Fetch = Callable[[Sequence[bytes]], Awaitable[Iterable[tuple[bytes, int, bytes]]]]
"""Returns hash, kind and body of some content."""


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
        self._restored: dict[bytes, Any] | None = {} if sharing else None

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
            return self._seal.serde.loads_typed((kind, data))
        links, hidden = form.unpack(data)
        tag, says, snapshot = form.load(self._seal.opened(kind, hidden))
        value = self._list(links, says) if tag == "l" else self._single(tag, links, says)
        return _DeltaSnapshot(value) if snapshot else value

    def _single(self, tag: str, links: Sequence[bytes], says: Any) -> Any:
        return self._item(links[0]) if tag == "v" else self._joined(links, says)

    def _list(self, links: Sequence[bytes], entries: Sequence[Any]) -> list[Any]:
        values: list[Any] = []
        at = 0
        for entry in entries:
            if isinstance(entry, int):
                values.extend(self._linked(links[at : at + entry]))
                at += entry
            else:
                kind, data = ("msgpack", entry) if isinstance(entry, bytes) else entry
                values.append(self._seal.loads(kind, data))
        return values

    def _linked(self, links: Sequence[bytes]) -> Iterable[Any]:
        """Return what some links in a list stand for."""
        if self._restored is None and (found := self._messages(links)) is not None:
            return found
        return chain.from_iterable(map(self._items, links))

    def _messages(self, links: Sequence[bytes]) -> Sequence[Any] | None:
        content = [self._content[link] for link in links]
        if any(kind != form.VALUE for kind, _ in content):
            return None
        return self._seal.messages([body for _, body in content])

    def _items(self, link: bytes) -> Sequence[Any]:
        """Return the items that a link in a list stands for: those of a segment, or one."""
        return self._once(link, self._restore)

    def _item(self, link: bytes) -> Any:
        return self._items(link)[0]

    def _once(self, link: bytes, restore: Callable[[bytes], Sequence[Any]]) -> Sequence[Any]:
        if self._restored is None:
            return restore(link)
        if link not in self._restored:
            self._restored[link] = restore(link)
        known: Sequence[Any] = self._restored[link]
        return known

    def _restore(self, link: bytes) -> Sequence[Any]:
        kind, body = self._content[link]
        if kind & ~form.SEALED == form.VALUE:
            return (self._seal.loads(*form.untyped(self._seal.open(kind, body))),)
        links, hidden = form.unpack(body)
        tag, says = form.load(self._seal.open(kind, hidden))
        return self._list(links, says) if tag == "s" else (self._joined(links, says),)

    def _joined(self, links: Sequence[bytes], says: Sequence[Any]) -> Any:
        kind, head = says
        pieces = (self._content[link] for link in links)
        return self._seal.loads(
            kind, b"".join((head, *(self._seal.open(*each) for each in pieces)))
        )


def is_reference(kind: str) -> bool:
    """Tell whether a row's type says that its bytes are a reference."""
    return kind.partition("+")[0] == form.REFERENCE
