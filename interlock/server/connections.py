"""Connections from outside: how long one may take to say what it wants, and how many there may be.

uvicorn waits for the head of a request for as long as its client likes, keeps what came of it, and takes any number of
connections.
"""

from __future__ import annotations

import asyncio
import resource
from asyncio import TimerHandle
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from interlock.server.addresses import network_of
from interlock.server.cutting import can_be_cut
from interlock.server.wire import dumps

HEAD_SECONDS = 10.0
"""How long a connection may take until the head of its next request is whole."""

MOST_HEAD = 65_536
"""Bytes that a head may have."""

MOST_WAITING = 256
"""Connections of one network that may be without a whole head; a further one ends the oldest of them."""

SPARED_SECONDS = 2.0
"""How long none is ended so: many that come at one moment are taken first and read afterwards."""

SPARED_FILES = 500
"""Files that a process may need beside the connections of its clients."""

_STATUS = {
    408: ("Request Timeout", "The request did not come in time."),
    431: ("Request Header Fields Too Large", f"The head has more than {MOST_HEAD} bytes."),
    503: ("Service Unavailable", "Too many connections are open (INTERLOCK_SERVER_CONNECTIONS)."),
}


@dataclass(slots=True)
class Room:
    """The connections that wait for their clients, of one server: those that waited longest are the first to go.

    Attributes:
        most: connections that may be open.
    """

    most: int
    head_seconds: float = HEAD_SECONDS
    _waiting: dict[Patient, str] = field(default_factory=dict)
    _by_network: defaultdict[str, dict[Patient, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def wait(self, connection: Patient, network: str) -> None:
        """Note that a connection waits for its client; end the network's oldest where they are too many."""
        if len(self._by_network[network]) >= MOST_WAITING:
            _end_oldest(self._by_network[network])
        self._waiting[connection] = network
        self._by_network[network][connection] = None

    def leave(self, connection: Patient) -> None:
        """Forget a connection that waits no more."""
        if (network := self._waiting.pop(connection, None)) is None:
            return
        of_network = self._by_network[network]
        of_network.pop(connection, None)
        if not of_network:
            del self._by_network[network]

    def make(self, open_: int) -> bool:
        """Say whether there is room for one more connection beside those that are open, and make it if it can be."""
        return open_ < self.most or _end_oldest(self._waiting)


class Patient(HttpToolsProtocol):
    """A connection whose client must say in time, and in few bytes, what it wants."""

    room: ClassVar[Room]

    since = 0.0
    """When it began to wait for its client, by the loop's clock."""

    _timer: TimerHandle | None = None
    _upgraded = False
    _in_head = True
    _head_bytes = 0
    _network = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, if there is room."""
        others = len(self.connections)
        super().connection_made(transport)
        self._network = network_of(self.client[0] if self.client else "")
        if self.room.make(others):
            self._wait()
        else:
            self.cut(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._waits_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let a request whose head is whole be served."""
        self._in_head = False
        super().on_headers_complete()
        cycle: RequestResponseCycle | None = self.cycle  # none for a WebSocket
        if cycle is not None and cycle.scope is self.scope:
            can_be_cut(cycle)

    def data_received(self, data: bytes) -> None:
        """Take what came; the time of who has said what it wants is the server's again."""
        super().data_received(data)
        if self._upgraded or (self._is_served()):
            self._waits_no_more()
        elif not self.transport.is_closing():
            self._came(len(data))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to what speaks WebSocket."""
        self._upgraded = True
        super().handle_websocket_upgrade()

    def cut(self, status: int) -> None:
        """End the connection, and say why where a request was begun."""
        self._waits_no_more()
        if self.transport.is_closing():
            return
        if status != 408 or (self._in_head and self._head_bytes):
            self.transport.write(_answer(status))
        self.transport.close()

    def _is_served(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says that there is always one
        return cycle is not None and not cycle.response_complete

    def _came(self, size: int) -> None:
        """Count a part of a head, or what is left of a body whose request was refused."""
        self._head_bytes += size
        if self._in_head and self._head_bytes > MOST_HEAD:
            self.cut(431)
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self.since = self.loop.time()
        self._timer = self.loop.call_later(self.room.head_seconds, self.cut, 408)
        self.room.wait(self, self._network)

    def _waits_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.room.leave(self)


def _end_oldest(waiting: Iterable[Patient]) -> bool:
    """End the first of some connections, unless it has only just come; say whether that was done."""
    oldest = next(iter(waiting), None)
    if oldest is None or oldest.loop.time() - oldest.since < SPARED_SECONDS:
        return False
    oldest.cut(408)
    return True


def taking(room: Room) -> type[Patient]:
    """Return the protocol of a server whose connections are in a room."""
    return type("Connection", (Patient,), {"room": room})


def room_for(wanted: int) -> int:
    """Let this process have so many connections open, and return how many it can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, soft - SPARED_FILES), soft // 2)


def _answer(status: int) -> bytes:
    name, detail = _STATUS[status]
    body = dumps({"detail": detail})
    head = (
        f"HTTP/1.1 {status} {name}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
