"""What clients said of threads, for the runs that begin on them: of all that are asked about at once together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from interlock.errors import InterlockError
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("thread_cards")

Metadata = Mapping[str, Any]  # JSON
_Asked = tuple[str, asyncio.Future[Metadata]]


class ThreadMetadata:
    """Reads the metadata of threads, of everybody's; made and used on one event loop."""

    def __init__(self) -> None:
        self._asked: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def of(self, pool: Pool, thread_id: str) -> Metadata:
        """Return the metadata of a thread; empty where there is none.

        Whoever asks must see to it that the thread is one that may be seen.
        """
        answer: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()
        self._asked.append((thread_id, answer))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(pool))
        return await answer

    async def _read(self, pool: Pool) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                found = await _fetched(pool, [thread_id for thread_id, _ in asked])
            except InterlockError as error:
                _tell(asked, error)
            else:
                _answer(asked, found)


async def _fetched(pool: Pool, thread_ids: Sequence[str]) -> dict[str, Metadata]:
    async with connected(pool) as connection:
        rows = await fetch(connection, SQL["metadata"], {"thread_ids": list(thread_ids)})
    return {row["thread_id"]: row["metadata"] for row in rows}


def _answer(asked: Sequence[_Asked], found: Mapping[str, Metadata]) -> None:
    for thread_id, answer in asked:
        if not answer.done():  # whoever asked has gone
            answer.set_result(found.get(thread_id, {}))


def _tell(asked: Sequence[_Asked], error: InterlockError) -> None:
    for _, answer in asked:
        if not answer.done():  # as above
            answer.set_exception(error)
