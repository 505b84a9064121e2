"""What actions use to reach the recorder, synchronously or not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

ADDRESS = "CHAOS_RECORDER"
"""The variable that holds the recorder's socket."""


def _nothing(moment: str, name: str) -> None:
    """Do nothing."""


watch: Callable[[str, str], None] = _nothing
"""Told when a request was answered and its caller does not know it yet, and around each probe."""


def do(kind: str, name: str, key: str = "") -> str:
    """Have an effect, and return what the world says of it."""
    result = str(ask({"do": kind, "key": key, "name": name}))
    watch("acted", name)
    return result


async def ado(kind: str, name: str, key: str = "") -> str:
    """Have an effect, and return what the world says of it."""
    result = str(await _aask({"do": kind, "key": key, "name": name}))
    watch("acted", name)
    return result


async def aprobe(name: str, key: str) -> str | None:
    """Return what the world said of the effect with this key; None when there is none."""
    watch("before-probe", name)
    found = await _aask({"probe": key})
    watch("after-probe", name)
    return found


def ask(request: dict[str, Any], address: str = "") -> str | None:
    """Ask the recorder, and wait for its answer."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
        connection.connect(address or os.environ[ADDRESS])
        stream.write(_line(request))
        stream.flush()
        return _result(stream.readline())


async def _aask(request: dict[str, Any]) -> str | None:
    reader, writer = await asyncio.open_unix_connection(os.environ[ADDRESS])
    try:
        writer.write(_line(request))
        return _result(await reader.readline())
    finally:
        writer.close()
        await writer.wait_closed()


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _result(line: bytes) -> str | None:
    found: str | None = json.loads(line)["result"]
    return found
