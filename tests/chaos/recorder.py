"""The world outside: a process that counts effects in a file of its own, and outlives those that are killed.

usage: recorder.py SOCKET FILE

A request is a line of JSON, `{"do": KIND, "key": KEY, "name": NAME}`, `{"probe": KEY}` or `{"sync": true}`; so is
its answer, `{"result": ...}`. Requests are served one after another, in the order in which their senders came: whoever
has an answer knows that all that was sent before, also by processes that are dead by now, has been counted.
"""

from __future__ import annotations

import argparse
import json
import os
import socketserver
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something that was asked of the world; one with a key that was seen before need not be an effect."""

    kind: str
    key: str
    name: str
    effect: bool
    result: str


class Book:
    """What happened, kept in a file to which lines are only added."""

    def __init__(self, path: Path) -> None:
        self.requests = read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def answer(self, asked: dict[str, Any]) -> str | None:
        """Answer a request, after it was written down."""
        if "do" in asked:
            return self._do(asked["do"], asked["key"], asked["name"])
        return self._find(asked["probe"]) if "probe" in asked else None

    def _do(self, kind: str, key: str, name: str) -> str:
        """Do it; a provider that knows idempotency keys answers the second request from the first."""
        known = self._find(key) if kind == "keyed" else None
        number = 1 + sum(each.effect for each in self.requests if each.name == name)
        result = known or f"{name} no. {number}"
        self._add(Request(kind=kind, key=key, name=name, effect=known is None, result=result))
        return result

    def _find(self, key: str) -> str | None:
        return next((each.result for each in self.requests if key and each.key == key), None)

    def _add(self, request: Request) -> None:
        os.write(self._file, f"{json.dumps(asdict(request))}\n".encode())
        os.fsync(self._file)
        self.requests.append(request)


def read(path: Path) -> list[Request]:
    """Return everything that was asked of the world so far."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Request(**json.loads(line)) for line in lines]


class Desk(socketserver.StreamRequestHandler):
    """Serves one request of one connection."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            return  # its sender died before it had asked
        answer = {"result": self.server.book.answer(json.loads(line))}  # type: ignore[attr-defined]  # a Recorder
        with suppress(OSError):  # or before it heard the answer
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Recorder(socketserver.UnixStreamServer):
    """Serves one connection after another."""

    request_queue_size = 128

    def __init__(self, address: str, book: Book) -> None:
        super().__init__(address, Desk)
        self.book = book


def main() -> None:
    """Say `ready`, and record until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    with Recorder(options.socket, Book(options.file)) as recorder:
        print("ready", flush=True)  # noqa: T201  # whoever started it waits for this
        recorder.serve_forever()


if __name__ == "__main__":
    main()
