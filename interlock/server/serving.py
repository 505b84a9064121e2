"""Serve until a signal asks to stop, with workers in the same process if wanted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from types import FrameType

import uvicorn

from interlock.app import aopen
from interlock.core.garbage import settle
from interlock.errors import UsageError
from interlock.facade import Interlock
from interlock.hosts import is_loopback
from interlock.postgres.assistants import AssistantStore
from interlock.postgres.audit import AuditStore
from interlock.server.app import application
from interlock.server.auditing import Audit
from interlock.server.chores import Chores
from interlock.server.connections import Room, room_for, taking
from interlock.server.entrance import gatekeeper_of, guarded
from interlock.server.house import House
from interlock.server.limits import Rates
from interlock.server.listening import SIGNALS, address_of, bound
from interlock.server.tenancy import Tenancy
from interlock.settings import Settings
from interlock.worker.log import Log
from interlock.worker.working import Plan, work

OPEN = (
    "No key is asked for: whoever reaches this address on this machine may do everything. Put no proxy before it "
    "without `interlock keys create`, or INTERLOCK_SERVER_KEY=true."
)
DRAIN_SECONDS = 10
"""How long open requests have after a signal to stop; streams are cut then, and go on elsewhere."""


async def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 2024,
    listening: socket.socket | None = None,
    workers_inside: int = 0,
    log: Log | None = None,
    ready: Callable[[str], None] = lambda address: None,
    notice: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve on this loop until SIGINT or SIGTERM.

    Args:
        settings: of the runtime.
        host: the address to bind; without keys only a loopback address.
        port: 0 for any that is free.
        listening: a socket that is bound to these already.
        workers_inside: how many runs this process works on at once; 0 leaves them to `interlock worker`.
        log: what workers inside tell.
        ready: is called with the server's address once it takes requests.
        notice: is called with what is not as the application wants it.

    Raises:
        UsageError: the address cannot be bound, or others could reach it and no caller would be known.
    """
    listening = listening or bound(host, port)
    async with (
        aopen(settings=settings) as il,
        aclosing(Tenancy(il)) as tenancy,
        _working(il, workers_inside, log),
        _chores(il),
    ):
        gatekeeper = await gatekeeper_of(il, loopback=is_loopback(host))
        for each in await asyncio.to_thread(_notices, il):
            notice(each)
        if await gatekeeper.takes_anybody():
            notice(OPEN)
        await AssistantStore(il.pool).make_defaults(tuple(il.application.targets))
        house = House(
            il=il,
            gatekeeper=gatekeeper,
            tenancy=tenancy,
            audit=Audit(AuditStore(il.pool)),
            rates=Rates(settings.server_rate),
            workers_inside=workers_inside,
        )
        settle()
        address, loopback = address_of(host, listening), is_loopback(host)
        config = uvicorn.Config(
            guarded(application(house), house, loopback=loopback),
            log_config=None,
            http=taking(Room(room_for(settings.server_connections))),
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        await _Server(config, lambda: ready(address), il.stream_news.stop).serve([listening])


class _Server(uvicorn.Server):
    """Says when it is ready, and ends well after a signal: uvicorn's own would send the signal to itself again."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests, and cut streams: they go on elsewhere at once."""
        super().handle_exit(sig, frame)
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self._stopping()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal drain what is open, and the second one cut it."""
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in SIGNALS:
                loop.remove_signal_handler(each)


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether to log something while the server stops: that what was open is cut is meant."""
    cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut and not str(record.msg).startswith(_CUT)


_CUT = "ASGI callable returned without completing response."


def _notices(il: Interlock) -> list[str]:
    """Import all graphs, and return what is not as the application wants it."""
    notices = il.application.config.notices()
    for name in il.application.targets:
        try:
            il.graph(name)
        except UsageError as error:  # the others are served
            notices.append(str(error))
    return notices


@asynccontextmanager
async def _working(il: Interlock, concurrency: int, log: Log | None) -> AsyncIterator[None]:
    if not concurrency:
        yield
        return
    stopped = asyncio.Event()
    working = asyncio.create_task(work(il, Plan(concurrency=concurrency), log=log, stopped=stopped))
    try:
        yield
    finally:
        stopped.set()
        await working


@asynccontextmanager
async def _chores(il: Interlock) -> AsyncIterator[None]:
    keeping = asyncio.create_task(Chores(il).keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
