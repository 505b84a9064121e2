"""Deleting, pruning, copying and exporting threads."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.postgres.checkpointer import collecting
from interlock.postgres.checkpointer.collecting import SQL, fetched, run
from interlock.postgres.checkpointer.face import SynchronousFace, at_home


class Upkeep(SynchronousFace):
    """What a saver does with whole threads; content that nobody refers to afterwards is deleted."""

    @at_home
    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread."""
        async with self._cursor() as cursor:
            await collecting.delete_thread(cursor.connection, str(thread_id))

    @at_home
    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the latest checkpoint of each graph of some threads, or with `strategy="delete"` none.

        Raises:
            NotImplementedError: a thread has a `DeltaChannel` and is to keep its latest checkpoint.
        """
        await super().aprune(thread_ids, strategy=strategy)
        for thread_id in thread_ids:
            await self.acollect(str(thread_id))

    @at_home
    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of some runs, with what their tasks wrote."""
        if not run_ids:
            return
        async with self._cursor() as cursor:
            runs = [str(run_id) for run_id in run_ids]
            rows = await fetched(cursor.connection, "delete_runs", {"runs": runs})
            for row in rows:
                await run(cursor.connection, "delete_blobs", {"holder": row["thread_id"]})
        for row in rows:
            await self.acollect(row["thread_id"])

    @at_home
    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with its whole history; the copy shares the content."""
        values = {"source": str(source_thread_id), "target": str(target_thread_id)}
        async with self._cursor() as cursor, cursor.connection.transaction():
            await cursor.execute(SQL["share"])
            await cursor.execute(SQL["copy_thread"], values)

    @at_home
    async def acollect(self, thread_id: str | None = None) -> int:
        """Delete content that a thread needs no more and nobody else does; return its bytes.

        Without a thread, look through the whole database for what deletions that were cut short left behind.
        """
        async with self._cursor() as cursor:
            if thread_id is None:
                return await collecting.collect_strays(cursor.connection)
            return await collecting.collect(cursor.connection, thread_id)

    def collect(self, thread_id: str | None = None) -> int:
        """Delete content that nobody refers to; see `acollect`."""
        return self._wait(self.acollect(thread_id))
