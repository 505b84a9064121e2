"""The address that a server listens on."""

from __future__ import annotations

import signal
import socket

from interlock.errors import UsageError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a server to stop."""


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that is bound; raises `UsageError`.

    Args:
        host: the address.
        port: 0 for any that is free.
        shared: others that say so, too, may bind the same.
    """
    made = _made(host)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise UsageError(
            f"{host}:{port} cannot be bound: {error.strerror}.",
            hint="Choose another with --host and --port.",
        ) from error
    return made


def inherited(host: str, number: int) -> socket.socket:
    """Return a bound socket that the process before left open under a number."""
    return _made(host, number)


def address_of(host: str, listening: socket.socket) -> str:
    """Return the address at which clients reach a socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def _made(host: str, number: int | None = None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, for asyncio looks at it: otherwise an answer in two parts waits 40 ms for the client's acknowledgement.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=number)
