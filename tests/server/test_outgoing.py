"""Answers as they leave: how many writes one takes."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock.server.outgoing import Joining


class Written(asyncio.Transport):
    """A connection that notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = False

    def write(self, data: Any) -> None:  # bytes of any kind
        """Note a write."""
        assert not self.ended
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:  # as above
        """Note one write of several parts."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """End."""
        self.ended = True

    def is_closing(self) -> bool:
        """Say whether it has ended."""
        return self.ended


async def test_head_and_body_are_one_write() -> None:
    """A head and a body that follows at once are written together, and what comes later as it comes."""
    connection = Written()
    joining = Joining(connection, asyncio.get_running_loop())

    joining.write(b"head ")
    joining.write(b"body")
    joining.write(b"more")
    await asyncio.sleep(0)

    assert connection.writes == [b"head body", b"more"]


async def test_a_head_alone_is_not_held() -> None:
    """A head behind which nothing comes at once, as of a stream, leaves with the loop's next turn, and only once."""
    connection = Written()
    joining = Joining(connection, asyncio.get_running_loop())

    joining.write(b"head")
    await asyncio.sleep(0)
    left = list(connection.writes)
    joining.write(b"page")

    assert (left, connection.writes) == ([b"head"], [b"head", b"page"])


async def test_an_empty_body_lets_the_head_go() -> None:
    """An answer without a body is written as it is, in one piece."""
    connection = Written()
    joining = Joining(connection, asyncio.get_running_loop())

    joining.write(b"head")
    joining.write(b"")

    assert connection.writes == [b"head"]


async def test_what_is_held_leaves_before_the_end() -> None:
    """A connection that is ended behind a head sends it before."""
    connection = Written()
    joining = Joining(connection, asyncio.get_running_loop())

    joining.write(b"head")
    joining.close()

    assert (connection.writes, joining.is_closing()) == ([b"head"], True)


async def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    """A head that is held when the client goes is dropped without an error."""
    connection = Written()
    joining = Joining(connection, asyncio.get_running_loop())

    joining.write(b"head")
    connection.close()
    await asyncio.sleep(0)

    assert connection.writes == []
