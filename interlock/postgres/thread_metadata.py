"""What clients said of threads, for the runs that begin on them: of all that are asked about at once together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from interlock.errors import InterlockError
from interlock.postgres.plain import clean
from interlock.postgres.pool import Connection, Pool, connected, fetch
from interlock.postgres.queries import load
from interlock.postgres.together import Together

SQL = load("thread_cards")

Metadata = Mapping[str, Any]  # JSON

NAMES = frozenset({"graph_id", "assistant_id"})
"""What a run notes of itself in its thread's metadata: no other run has that of its thread."""

MOST_KNOWN = 4096
MOST_KEYS = 16
LONGEST = 256
"""Of so many threads the metadata are kept in mind, and only small ones: they go with each run, to be compared."""


class MetadataChanged(InterlockError):
    """The metadata of a thread are not what they were taken for: whoever wants a run there looks again."""


class ThreadMetadata:
    """Reads the metadata of threads, of everybody's in one database; made and used on one event loop."""

    def __init__(self) -> None:
        self._together: Together[tuple[Pool, str], Metadata] = Together(_read)
        self._known: OrderedDict[str, Metadata] = OrderedDict()

    async def of(self, pool: Pool, thread_id: str) -> Metadata:
        """Return the metadata of a thread, without what runs note there of themselves; empty where there is none.

        Whoever asks must see to it that the thread is one that may be seen.
        """
        if thread_id != clean(thread_id):  # it would be an error for all who ask at once
            return {}
        found = without_names(await self._together.do((pool, thread_id)))
        self._known.pop(thread_id, None)
        if _is_small(found):
            self._known[thread_id] = found
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return found

    def known(self, thread_id: str) -> Metadata | None:
        """Return what `of` found last, which may be otherwise by now: it has to be compared; None when unknown."""
        return self._known.get(thread_id)

    def forget(self, thread_id: str) -> None:
        """Read the metadata of a thread the next time."""
        self._known.pop(thread_id, None)


def without_names(metadata: Metadata) -> Metadata:
    """Return metadata without what runs note of themselves."""
    return {key: metadata[key] for key in metadata if key not in NAMES}


async def metadata_of(connection: Connection, *thread_ids: str) -> list[Metadata]:
    """Return the metadata of threads, empty for one that is not there; as above."""
    rows = await fetch(connection, SQL["metadata"], {"thread_ids": list(thread_ids)})
    found = {row["thread_id"]: row["metadata"] for row in rows}
    return [found.get(thread_id, {}) for thread_id in thread_ids]


def _is_small(metadata: Metadata) -> bool:
    return len(metadata) <= MOST_KEYS and all(
        len(key) <= LONGEST
        and (
            each is None
            or isinstance(each, int)
            or (isinstance(each, str) and len(each) <= LONGEST)
        )
        for key, each in metadata.items()
    )


async def _read(asked: Sequence[tuple[Pool, str]]) -> list[Metadata]:
    pool, _ = asked[0]
    async with connected(pool) as connection:
        return await metadata_of(connection, *(thread_id for _, thread_id in asked))
