"""A server that speaks OpenAI's protocol, follows a script, and notes what it was asked.

It answers on threads of its own, so that synchronous and asynchronous tests can use it alike. Each request takes the
next answer of the script, or asks a function; a request too many is answered with an error that nobody repeats.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any, ClassVar, Literal, Protocol, Self

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
JSON = dict[str, Any]  # what the protocol carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that arrived; `at` is in seconds of the monotonic clock."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: JSON

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        return [(each["role"], str(each["content"])) for each in self.body["messages"]]

    @property
    def schema_name(self) -> str:
        """The name of the schema that is asked for, by whichever way; empty for plain text."""
        shape = self.body.get("response_format") or {}
        tools = self.body.get("tools") or [{"function": {"name": ""}}]
        return str(shape.get("json_schema", {}).get("name") or tools[0]["function"]["name"])


class Answer(Protocol):
    """What the server does with a request."""

    def send(self, request: Request, wire: Wire) -> None:
        """Write a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """A message of text; streamed word by word when the request asks for that.

    Attributes:
        usage: tokens in and out; None for a server that does not count.
        cut_after: number of streamed pieces after which the connection drops.
    """

    text: str | None
    refusal: str | None = None
    finish: FinishReason = "stop"
    usage: tuple[int, int] | None = (11, 7)
    cut_after: int | None = None

    def send(self, request: Request, wire: Wire) -> None:
        """Write the message, whole or in pieces."""
        if request.body.get("stream"):
            pieces = [{"content": word} for word in _words(self.text or "")]
            _stream(wire, request, [{"role": "assistant", "content": ""}, *pieces], self)
        else:
            message = {"role": "assistant", "content": self.text, "refusal": self.refusal}
            wire.json(200, _completion(request, message, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A call of a tool."""

    name: str
    arguments: str
    finish: FinishReason = "tool_calls"
    usage: tuple[int, int] | None = (11, 7)
    cut_after: int | None = None

    def send(self, request: Request, wire: Wire) -> None:
        """Write the call, whole or in pieces."""
        head = {"name": self.name, "arguments": ""}
        whole = {
            "id": "call_1",
            "type": "function",
            "function": {**head, "arguments": self.arguments},
        }
        if request.body.get("stream"):
            first = {"index": 0, "id": "call_1", "type": "function", "function": head}
            rest = [{"index": 0, "function": {"arguments": w}} for w in _words(self.arguments)]
            deltas: list[JSON] = [{"tool_calls": [each]} for each in (first, *rest)]
            _stream(wire, request, [{"role": "assistant", "content": None}, *deltas], self)
        else:
            message = {"role": "assistant", "content": None, "tool_calls": [whole]}
            wire.json(200, _completion(request, message, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fails:
    """An error in OpenAI's form."""

    status: int
    message: str = "the server says no"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, request: Request, wire: Wire) -> None:
        """Write the error."""
        error = {"message": self.message, "type": "error", "param": None, "code": self.code}
        wire.json(self.status, {"error": error}, self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sends:
    """Any bytes at all; `promised` is the length that the header claims."""

    body: bytes
    content_type: str = "application/json"
    promised: int | None = None

    def send(self, request: Request, wire: Wire) -> None:
        """Write the bytes."""
        wire.raw(200, self.body, self.content_type, self.promised)


@dataclass(frozen=True, slots=True)
class Hangs:
    """No answer, until the server is closed."""

    def send(self, request: Request, wire: Wire) -> None:
        """Wait for the end."""
        wire.closing.wait()


SURPLUS = Fails(status=501, message="the script is over", headers={"x-should-retry": "false"})


class OpenAIServer:
    """A server on a free port of the loopback interface; `with OpenAIServer(...) as server:`."""

    def __init__(self, *script: Answer, answer: Callable[[Request], Answer] | None = None) -> None:
        self.requests: list[Request] = []
        self._script = list(script)
        self._answer = answer
        self._closing = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (Wire,), {"server_of": self, "closing": self._closing})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def base_url(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def pauses(self) -> list[float]:
        """Seconds between each request and the next."""
        times = [request.at for request in self.requests]
        return [after - before for before, after in pairwise(times)]

    @property
    def left(self) -> int:
        """How many answers of the script were not asked for."""
        return len(self._script)

    def take(self, request: Request) -> Answer:
        """Note a request and return its answer."""
        with self._lock:
            self.requests.append(request)
            if self._answer is not None:
                return self._answer(request)
            return self._script.pop(0) if self._script else SURPLUS


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that gave up is part of the tests."""


class Wire(BaseHTTPRequestHandler):
    """One connection."""

    server_of: ClassVar[OpenAIServer]
    closing: ClassVar[threading.Event]

    def do_POST(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {key.lower(): value for key, value in self.headers.items()}
        at = time.monotonic()
        request = Request(at=at, path=self.path, headers=headers, body=json.loads(body))
        self.server_of.take(request).send(request, self)

    def json(self, status: int, body: JSON, headers: Mapping[str, str] | None = None) -> None:
        """Write an object."""
        self.raw(status, json.dumps(body).encode(), "application/json", None, headers)

    def raw(
        self,
        status: int,
        body: bytes,
        content_type: str,
        promised: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write bytes, and possibly a lie about their number."""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body) if promised is None else promised))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def events(self, pieces: Iterator[str]) -> None:
        """Write server-sent events; the end of the connection ends them."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"data: {piece}\n\n".encode())
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
        """Keep the tests' output clean."""


def _completion(request: Request, message: JSON, answer: Says | Calls) -> JSON:
    choice = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
    whole = _head(request, "chat.completion", [choice])
    return whole | ({"usage": _usage(*answer.usage)} if answer.usage else {})


def _stream(wire: Wire, request: Request, deltas: list[JSON], answer: Says | Calls) -> None:
    def chunk(delta: JSON, finish: FinishReason | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return json.dumps(_head(request, "chat.completion.chunk", [choice]))

    pieces = [chunk(delta) for delta in deltas] + [chunk({}, answer.finish)]
    if answer.usage and (request.body.get("stream_options") or {}).get("include_usage"):
        last = _head(request, "chat.completion.chunk", [])
        pieces.append(json.dumps(last | {"usage": _usage(*answer.usage)}))
    wire.events(iter([*pieces, "[DONE]"][: answer.cut_after]))


def _head(request: Request, kind: str, choices: list[JSON]) -> JSON:
    model = request.body["model"]
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1,
        "model": model,
        "choices": choices,
    }


def _usage(asked: int, said: int) -> JSON:
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _words(text: str) -> list[str]:
    return [text[start : start + 5] for start in range(0, len(text), 5)]
