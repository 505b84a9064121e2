"""Clients that take their time, or send more than anybody reads."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from interlock.server.bodies import STRANGERS, STRANGERS_BYTES
from interlock.server.connections import HEAD_SECONDS, MOST_HEAD, MOST_WAITING
from tests.server.conftest import serving

KEYED = {"INTERLOCK_SERVER_KEY": "true", "INTERLOCK_SERVER_RATE": "100000"}


@pytest.fixture(scope="module")
def keyed(server_database: str) -> Iterator[str]:
    """The address of a server that knows nobody without a key."""
    with serving(server_database, environment=KEYED) as address:
        yield address


def dialled(address: str) -> socket.socket:
    """Return a connection to a server."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


@contextmanager
def many(address: str, number: int, said: bytes) -> Iterator[list[socket.socket]]:
    """Open connections, and say the same on each."""
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(dialled(address))) for _ in range(number)]
        for each in opened:
            each.sendall(said)
        yield opened


def heard(connection: socket.socket) -> bytes:
    """Return all that a server says until it ends a connection."""
    said = b""
    try:
        while piece := connection.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def post(length: int, *, host: str = "localhost") -> bytes:
    """Return the head of a request with a body."""
    return (
        f"POST /threads HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /ok HTTP/1.1\r\nhost: loc", post(1000) + b'{"a'],
    ids=["nothing", "head", "body"],
)
def test_slow_clients_keep_nobody_waiting(keyed: str, said: bytes) -> None:
    """While 500 connections say nothing, half a head or half a body, another client is answered at once."""
    with many(keyed, 500, said), httpx.Client(base_url=keyed) as client:
        begun = time.monotonic()
        answers = [client.get("/ok") for _ in range(10)]

        assert [each.status_code for each in answers] == [200] * 10
        assert time.monotonic() - begun < 5.0


def test_a_head_that_does_not_come(keyed: str) -> None:
    """A head of which a little comes now and then is answered with 408 in time, and its connection ends."""
    with closing(dialled(keyed)) as connection:
        begun = time.monotonic()
        connection.sendall(b"GET /ok HTTP/1.1\r\nhost: localhost\r\nx-a: ")
        connection.settimeout(0.5)
        said = b""
        while not said and time.monotonic() < begun + 3 * HEAD_SECONDS:
            connection.sendall(b"a")
            try:
                said = connection.recv(1000)
            except TimeoutError:
                continue

    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert HEAD_SECONDS - 1 < time.monotonic() - begun < 2 * HEAD_SECONDS


def test_a_connection_that_says_nothing(keyed: str) -> None:
    """A connection on which nothing comes is ended without a word, and so is one that had its answer."""
    with closing(dialled(keyed)) as silent, closing(dialled(keyed)) as idle:
        idle.sendall(b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n")

        assert heard(silent) == b""
        assert heard(idle).endswith(b'{"ok":true}')


def test_blank_lines_hold_no_connection(keyed: str) -> None:
    """Blank lines between two requests, which mean nothing, do not keep a connection open."""
    with closing(dialled(keyed)) as connection:
        connection.sendall(b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n")
        begun = time.monotonic()
        connection.settimeout(0.5)
        said, ended = b"", False
        while not ended and time.monotonic() < begun + 3 * HEAD_SECONDS:
            try:
                connection.sendall(b"\r\n")
                piece = connection.recv(1000)
                said, ended = said + piece, not piece
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                ended = True

    assert ended
    assert said.startswith(b"HTTP/1.1 200")


def test_a_head_that_is_too_long(keyed: str) -> None:
    """A head that never ends is refused once it is longer than any that means something."""
    with closing(dialled(keyed)) as connection:
        connection.sendall(b"GET /ok HTTP/1.1\r\nx-a: " + b"a" * (MOST_HEAD + 1))

        assert heard(connection).startswith(b"HTTP/1.1 431 ")


def test_one_network_holds_so_many(keyed: str) -> None:
    """While one network has more connections without a head than it may, each new one ends the oldest and is served."""
    with many(keyed, MOST_WAITING, b"GET /ok HTTP/1.1\r\n") as opened:
        opened[0].settimeout(0.2)
        begun, said = time.monotonic(), b""
        while not said and time.monotonic() < begun + HEAD_SECONDS - 1:
            assert httpx.get(f"{keyed}/ok").status_code == 200
            with suppress(TimeoutError):
                said = opened[0].recv(1000)
        opened[-1].sendall(b"host: localhost\r\nconnection: close\r\n\r\n")

        assert said.startswith(b"HTTP/1.1 408")
        assert heard(opened[-1]).startswith(b"HTTP/1.1 200")


def test_many_at_one_moment(keyed: str) -> None:
    """More clients than may wait together, which come at one moment and say at once what they want, are all served."""
    head = b"GET /ok HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    with many(keyed, 2 * MOST_WAITING, head) as opened:
        assert [heard(each)[:12] for each in opened] == [b"HTTP/1.1 200"] * len(opened)


def test_a_strangers_body_is_not_read(keyed: str) -> None:
    """Who is not known and announces a large body is refused before any of it was sent, and again without a length."""
    long = STRANGERS_BYTES + 1
    with closing(dialled(keyed)) as connection:
        connection.sendall(post(long))
        told = connection.recv(1000)
    untold = httpx.post(f"{keyed}/threads", content=iter([b"a" * 30_000] * 4))

    assert told.startswith(b"HTTP/1.1 401")
    assert untold.status_code == 401


def test_strangers_together_are_looked_at_first(keyed: str) -> None:
    """While many bodies are on their way, a further one is read only when it is known who sends it."""
    with many(keyed, STRANGERS, post(1000)):
        deadline = time.monotonic() + 30
        said = b""
        while not said.startswith(b"HTTP/1.1 401") and time.monotonic() < deadline:
            with closing(dialled(keyed)) as late:
                late.settimeout(0.5)
                late.sendall(post(1000))
                try:
                    said = late.recv(1000)
                except TimeoutError:
                    continue

    assert said.startswith(b"HTTP/1.1 401")


def test_a_refused_body_may_be_sent_on(keyed: str) -> None:
    """A client that sends all of its body before it listens is told why it was refused."""
    answer = httpx.post(f"{keyed}/threads", content=b"a" * 5_000_000)

    assert answer.status_code == 401
