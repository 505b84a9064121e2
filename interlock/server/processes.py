"""Several server processes on one port: one that ends is begun anew, and a signal stops all of them.

Each process listens on a socket of its own, which this one makes and keeps: the system hands each new connection to one
of them, and what waits at the socket of a process that died is taken by the next one in its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypedDict

from prometheus_client.multiprocess import mark_process_dead

from interlock.errors import UsageError
from interlock.server.listening import SIGNALS, bound
from interlock.server.metrics import SHARED

SHORTEST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
"""Seconds before a process that has ended is begun anew; doubled for as long as none in its place comes to serve."""


class Said(TypedDict, total=False):
    """What a process says on its standard output, a line each.

    Attributes:
        ready: where it serves, once it does.
        notice: what is not as the application wants it.
    """

    ready: str
    notice: str


@dataclass(slots=True, kw_only=True)
class Processes:
    """Server processes side by side, and whoever looks after them.

    Attributes:
        command: begins one; the number of its socket follows as the last argument. It ends when its input does.
        sockets: one for each.
        counts: the folder of what they count.
        ready: is called with the address once all take requests.
        notice: is called with what the first of them says, and with what becomes of any.
    """

    command: Sequence[str]
    sockets: Sequence[socket.socket]
    counts: str
    ready: Callable[[str], None]
    notice: Callable[[str], None]
    _running: dict[int, Process] = field(default_factory=dict)
    _served: set[int] = field(default_factory=set)  # places in which one came to serve
    _serving: set[int] = field(default_factory=set)  # places in which one does now
    _begins: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _code: int = 0

    async def run(self) -> int:
        """Keep them until a signal, or until one cannot even begin; return the exit code."""
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, self._stop)
        try:
            async with asyncio.TaskGroup() as tasks:
                for place in range(len(self.sockets)):
                    tasks.create_task(self._keep(place))
        finally:
            for each in SIGNALS:
                loop.remove_signal_handler(each)
        return self._code

    async def _keep(self, place: int) -> None:
        """Keep a process in a place; where none can even begin all end."""
        if place:  # what keeps the first from serving is told once, and it makes the tables
            await self._begins.wait()
        pause = SHORTEST_PAUSE
        while not self._stopped.is_set():
            served = await self._serve(place)
            if self._stopped.is_set():
                return
            if place not in self._served:
                self._stop()
                return
            pause = SHORTEST_PAUSE if served else min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopped.wait()

    async def _serve(self, place: int) -> bool:
        """Let a process serve to its end, and say whether it came to that."""
        process = self._running[place] = await self._begun(place)
        if self._stopped.is_set():
            process.terminate()
        hearing = asyncio.create_task(self._hear(process, place))
        code = await process.wait()
        hearing.cancel()
        await asyncio.wait({hearing})
        del self._running[place]
        mark_process_dead(process.pid, self.counts)  # type: ignore[no-untyped-call]  # of prometheus_client
        self._note(place, code)
        served = place in self._serving
        self._serving.discard(place)
        return served

    async def _begun(self, place: int) -> Process:
        number = self.sockets[place].fileno()
        return await asyncio.create_subprocess_exec(
            *self.command,
            str(number),
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=(number,),
            env={**os.environ, SHARED: self.counts},
            start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which tells the others
        )

    async def _hear(self, process: Process, place: int) -> None:
        """Pass on what a process says."""
        assert process.stdout  # noqa: S101  # for the type checker
        while line := await process.stdout.readline():
            said: Said = json.loads(line)
            if "ready" in said:
                self._serves(place, said["ready"])
            elif place == 0 and place not in self._served:
                self.notice(said["notice"])

    def _serves(self, place: int, address: str) -> None:
        before = len(self._served)
        self._served.add(place)
        self._serving.add(place)
        self._begins.set()
        if before < len(self._served) == len(self.sockets):
            self.ready(address)

    def _note(self, place: int, code: int) -> None:
        """Tell of an end that nobody asked for, and keep the code of one that fails all."""
        if self._stopped.is_set():
            forced = code in (0, -signal.SIGTERM)  # before it knew what to do with a signal
            self._code = self._code or (0 if forced else max(code, 1))
        elif place in self._served:
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            self.notice(f"Server process {place + 1} ended {how}; another takes its place.")
        else:
            self._code = max(code, 1)

    def _stop(self) -> None:
        """Stop all; the second time at once, as each of them does."""
        self._stopped.set()
        self._begins.set()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()


@contextmanager
def sockets(host: str, port: int, number: int) -> Iterator[Sequence[socket.socket]]:
    """Bind so many sockets to one port, and close them at last; raises `UsageError` when it is taken."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError("This system does not share a port.", hint="Leave out --processes.")
    with bound(host, port) as alone:  # others that share it would let it be shared
        port = alone.getsockname()[1]
    with ExitStack() as stack:
        yield [stack.enter_context(bound(host, port, shared=True)) for _ in range(number)]


async def supervise(
    command: Sequence[str],
    sockets: Sequence[socket.socket],
    *,
    ready: Callable[[str], None],
    notice: Callable[[str], None],
) -> int:
    """Keep a server process for each socket until SIGINT or SIGTERM, and return the exit code; see `Processes`."""
    with tempfile.TemporaryDirectory(prefix="interlock-serve-") as counts:
        processes = Processes(
            command=command, sockets=sockets, counts=counts, ready=ready, notice=notice
        )
        return await processes.run()
