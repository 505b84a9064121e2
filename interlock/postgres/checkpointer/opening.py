"""Opening a saver by address: on the running event loop, or for synchronous code."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

from interlock.core.sync import run_sync

S = TypeVar("S")


class Opening(AbstractAsyncContextManager[S], AbstractContextManager[S], Generic[S]):
    """Opens a saver with `async with` on this event loop, with `with` on Interlock's background loop."""

    def __init__(self, manager: AbstractAsyncContextManager[S]) -> None:
        self._manager = manager

    async def __aenter__(self) -> S:
        return await self._manager.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._manager.__aexit__(kind, error, trace)

    def __enter__(self) -> S:
        return run_sync(self._entered())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return run_sync(self._left(kind, error, trace))

    async def _entered(self) -> S:
        return await self._manager.__aenter__()

    async def _left(self, *reason: Any) -> bool | None:  # kind, error and traceback
        return await self._manager.__aexit__(*reason)
