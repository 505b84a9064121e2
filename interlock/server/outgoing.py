"""Answers as they leave: the head goes with what follows it at once.

uvicorn writes them one after the other. Each write is a call of the kernel, and the first wakes a client that has
nothing yet which it could use.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def join_writes(cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
    """Let the head of the answer to a request be written with the first of its body."""
    cycle.transport = Joining(cycle.transport, loop)


class Joining(asyncio.Transport):
    """A connection for one answer: what is written first waits for the next, but not for the loop's next turn."""

    __slots__ = ("_begun", "_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._begun = False
        self._held: Any = b""  # bytes of any kind

    def write(self, data: Any) -> None:  # as above
        """Write, or hold what comes first."""
        if not self._begun:
            self._begun, self._held = True, data
            self._loop.call_soon(self._let_go)
        elif self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        else:
            self._transport.write(data)

    def close(self) -> None:
        """End the connection; what was written still goes out."""
        self._let_go()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether it is ended."""
        return self._transport.is_closing()

    def _let_go(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
