"""The synchronous face of a saver, and its use from other event loops: everything runs on the loop it was made on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

P = ParamSpec("P")
T = TypeVar("T")


def at_home(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a method of a saver be awaited on any event loop; it runs on the saver's own."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        saver: SynchronousFace = args[0]  # type: ignore[assignment]  # of a method of one
        if _running() is saver.loop:
            return method(*args, **kwargs)
        return _away(saver, partial(method, *args, **kwargs))

    return call


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _away(saver: SynchronousFace, method: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Wait on any event loop for what runs on the saver's own."""
    if _running() is saver.loop:
        return await method()
    answer: T = await asyncio.wrap_future(_sent(saver, method()))
    return answer


class Done:
    """An awaitable of what is done already."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def now_or_awaited(
    saver: SynchronousFace, method: Callable[[], Coroutine[Any, Any, None]]
) -> Awaitable[None]:
    """Call a method where something runs that can await it; elsewhere wait for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _sent(saver, method()).result()
        return Done()
    return method()


class SynchronousFace(AsyncPostgresSaver):
    """The synchronous methods, for any thread but the one of the saver's own event loop.

    Attributes:
        process: the one in which the saver was made, and its event loop runs.
    """

    process: int

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is asked for, or the latest one."""
        return self._wait(self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first."""
        found = self.alist(config, filter=filter, before=before, limit=limit)

        async def following() -> CheckpointTuple | None:
            return await anext(found, None)

        while (each := self._wait(following())) is not None:
            yield each

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint; returns after the commit."""
        return self._wait(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Save what a task wrote; returns after the commit."""
        self._wait(self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread."""
        self._wait(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of some runs, with what their tasks wrote."""
        self._wait(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with its whole history; the copy shares the content."""
        self._wait(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the latest checkpoint of each graph of some threads, or with `strategy="delete"` none."""
        self._wait(self.aprune(thread_ids, strategy=strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return what `DeltaChannel`s are rebuilt from."""
        return self._wait(self.aget_delta_channel_history(config=config, channels=channels))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if _running() is self.loop:
            coroutine.close()
            raise asyncio.InvalidStateError(
                "A synchronous method of the saver was called on the event loop that it runs on, which would wait for "
                "itself. Await the asynchronous one (`graph.ainvoke`, `saver.aget_tuple`), or call it in a thread."
            )
        answer: T = _sent(self, coroutine).result()
        return answer


def _sent(
    saver: SynchronousFace, coroutine: Coroutine[Any, Any, T]
) -> Any:  # a concurrent future, which is generic for type checkers alone
    loop = saver.loop
    if (
        saver.process != os.getpid()
    ):  # the loop's thread is not in this one, and the connections are not its own
        coroutine.close()
        raise asyncio.InvalidStateError(
            "The saver was made before this process was forked. Make one in each process, after the fork."
        )
    if loop.is_closed() or not loop.is_running():
        coroutine.close()
        raise asyncio.InvalidStateError(
            "The event loop on which the saver was made has ended. Make a saver on the one that runs now."
        )
    return asyncio.run_coroutine_threadsafe(coroutine, loop)
