"""Keeps clients who wait: a byte now and then so that nobody on the way hangs up, and a look whether they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive

from interlock.server.sse import left

SOON_SECONDS = 0.5
"""How long an answer's head is held back, so that head and body go together; behind it a client that is cut off knows
where to ask again."""

ALIVE_SECONDS = 5.0
"""How often a client that waits gets a byte: white space, which JSON may begin with."""

LAST_SECONDS = 7.0
"""How long what is waited for may take to come when the process stops: less than open requests have in all."""


@dataclass(slots=True)
class Keeping:
    """Keeps a client who waits, and notices when it is gone; until it lasts it costs a timer.

    Attributes:
        gone: waits until the client is gone, or is to go elsewhere.
        send: sends white space; nothing stands for the head.
        begun: the head is sent.
    """

    gone: Callable[[], Coroutine[Any, Any, None]]
    send: Callable[[bytes], Awaitable[None]]
    begun: bool = False
    _timer: asyncio.TimerHandle | None = None
    _task: asyncio.Task[None] | None = None

    def start(self, patience: asyncio.Timeout, *, at_once: bool) -> None:
        """Begin; where the client is gone the patience with what it waits for is over."""
        loop = asyncio.get_running_loop()
        if at_once:
            self._begin(patience, SOON_SECONDS)
        else:
            self._timer = loop.call_later(SOON_SECONDS, self._begin, patience, 0.0)

    async def end(self) -> None:
        """Stop; raises what could not be sent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.result()

    def _begin(self, patience: asyncio.Timeout, seconds: float) -> None:
        self._task = asyncio.create_task(self._keep(patience, seconds), name="interlock-wait")

    async def _keep(self, patience: asyncio.Timeout, seconds: float) -> None:
        leaving = asyncio.create_task(self.gone(), name="interlock-wait-left")
        try:
            while not (await asyncio.wait((leaving,), timeout=seconds))[0]:
                await self.send(b"\n" if self.begun else b"")
                self.begun, seconds = True, ALIVE_SECONDS
            patience.reschedule(0.0)
        finally:
            leaving.cancel()


async def leaves(receive: Receive, cut: asyncio.Event | None) -> None:
    """Return when a client has left, or is to go elsewhere because this process stops."""
    if cut is None:
        return await left(receive)
    ways = (asyncio.create_task(left(receive)), asyncio.create_task(_late(cut)))
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ways:
            each.cancel()


async def _late(cut: asyncio.Event) -> None:
    await cut.wait()
    await asyncio.sleep(LAST_SECONDS)
