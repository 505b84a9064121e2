"""The line to a server: requests, streams, and what is said when it does not answer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from interlock import __version__
from interlock.errors import (
    Forbidden,
    InterlockError,
    NotFound,
    ServerUnavailable,
    Unauthorized,
    UsageError,
)
from interlock.hosts import is_loopback
from interlock.remote.codec import decode_error
from interlock.settings import Settings

VERSION_HEADER = "Interlock-Version"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""How long a server may take for an answer; what waits for runs asks again and again instead."""

IDLE_SECONDS = 3.0
"""How long a connection is kept for the next request: shorter than servers and proxies keep it."""

SILENT_SECONDS = 30.0
"""How long a stream may be silent, heartbeats included, before it is taken for dead."""


KEY = (
    "INTERLOCK_API_KEY holds it; where the server's database is, `interlock keys create` makes one."
)
REFUSALS: Mapping[int, type[InterlockError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    422: UsageError,
}
"""What statuses of the routes for all programs mean."""


class Told(NamedTuple):
    """An event of a stream: its name, and what it says."""

    name: str
    data: Any  # JSON


class Line:
    """Asks one server, with one key."""

    def __init__(self, settings: Settings) -> None:
        self.address = checked(settings)
        key = {"x-api-key": settings.api_key} if settings.api_key else {}
        self._client = httpx.AsyncClient(
            base_url=self.address,
            headers={VERSION_HEADER: __version__, "Accept": "application/json", **key},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            # No proxy stands between us and ourselves.
            trust_env=not is_loopback(urlsplit(self.address).hostname or ""),
        )

    async def ask(self, method: str, arguments: Mapping[str, Any]) -> Any:  # JSON
        """Return what a method of the server said; raises what it raised, and `ServerUnavailable`."""
        try:
            answer = await self._client.post(_path(method), content=json.dumps(arguments))
        except httpx.RequestError as error:
            raise self._lost(error) from error
        return self._read(answer)["result"]

    async def listen(
        self, path: str, parameters: Mapping[str, str], *, since: str = ""
    ) -> AsyncGenerator[Told]:
        """Yield the events that a path of the server tells, until it stops; raises as `ask`.

        Args:
            path: of the server.
            parameters: of the request.
            since: the id of the last event that is known.
        """
        silent = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        behind = {"Last-Event-ID": since} if since else {}
        headers = {"Accept": "text/event-stream", **behind}
        try:
            async with self._client.stream(
                "GET", path, params=dict(parameters), headers=headers, timeout=silent
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise self._refused(answer)
                async for told in _events(answer.aiter_lines()):
                    yield told
        except httpx.RequestError as error:
            raise self._lost(error) from error

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    def _read(self, answer: httpx.Response) -> dict[str, Any]:  # JSON
        try:
            said = answer.json()
        except ValueError:
            said = None
        if isinstance(said, dict) and answer.is_success and "result" in said:
            return said
        if isinstance(said, dict) and {"kind", "message", "hint", "more"} <= said.keys():
            raise _for_a_terminal(decode_error(said))
        raise self._foreign(answer, said)

    def _refused(self, answer: httpx.Response) -> InterlockError:
        """Return what a refusal of a route that any program may ask means."""
        try:
            said = answer.json()
        except ValueError:
            said = None
        detail = said.get("detail") if isinstance(said, dict) else None
        kind = REFUSALS.get(answer.status_code)
        if kind is not None and isinstance(detail, str):
            return kind(detail)
        return self._foreign(answer, said)

    def _foreign(self, answer: httpx.Response, said: Any) -> InterlockError:  # JSON
        """Return what to say of an answer that is not the bridge's."""
        detail = said.get("detail") if isinstance(said, dict) else None
        told = f": {detail}" if isinstance(detail, str) else ""
        if answer.status_code in (404, 405) or answer.is_redirect or answer.is_success:
            return UsageError(
                f"{self.address} answers HTTP {answer.status_code}, and not as Interlock's server.",
                hint=f"Is it the address that `interlock serve` names, and of version {__version__}?",
            )
        return ServerUnavailable(
            f"The server at {self.address} answered HTTP {answer.status_code}{told.rstrip('.')}."
        )

    def _lost(self, error: httpx.RequestError) -> ServerUnavailable:
        never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        said = str(error).strip() or type(error).__name__
        return ServerUnavailable(
            f"The server at {self.address} does not answer: {said.rstrip('.')}.",
            hint="Is it running? `interlock serve` runs it, and --server or INTERLOCK_SERVER names it."
            if never
            else "What was asked of it may have been done: look before you ask again.",
        )


def _for_a_terminal(error: InterlockError) -> InterlockError:
    """Return an error with what to do about it here: the server speaks of headers, which a command line sends."""
    return Unauthorized(str(error.args[0]), hint=KEY) if isinstance(error, Unauthorized) else error


def checked(settings: Settings) -> str:
    """Return the server's address; raises `UsageError` when it is none, or the key would be sent in the clear."""
    address = settings.server.strip().rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"{without_secret(address)!r} is no server's address.",
            hint="Write https://agents.example.com, or http://127.0.0.1:2024.",
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "A server's address holds no name and no password.",
            hint="Put the key into INTERLOCK_API_KEY.",
        )
    in_the_clear = parts.scheme == "http" and not is_loopback(parts.hostname)
    if in_the_clear and settings.api_key and not settings.api_key_in_clear:
        raise UsageError(
            f"The key would go to {parts.hostname} unencrypted.",
            hint="Use https, or set INTERLOCK_API_KEY_IN_CLEAR=true where the network itself is trusted.",
        )
    return address


def without_secret(address: str) -> str:
    """Return an address without what may be a secret in it."""
    return address.rpartition("@")[2]


async def _events(lines: AsyncIterator[str]) -> AsyncGenerator[Told]:
    """Yield the server-sent events of some lines; a heartbeat is none."""
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield Told(name, json.loads(line.removeprefix("data: ")))


def _path(method: str) -> str:
    return f"/bridge/{method}"
