"""Read a URL that somebody named: bounded in size, time and hops, and never inside the house."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from types import TracebackType

import httpx

from interlock.core.corpus import Fetched
from interlock.core.documents.limits import LIMITS
from interlock.errors import SourceError
from interlock.web.addresses import Address, any_address, is_public, resolve

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_HEADERS = {
    "user-agent": "interlock (research agent)",
    "accept": "text/html,text/plain,application/pdf,*/*;q=0.5",
    "accept-encoding": "identity",
}


async def fetch(url: str, *, allow_private: bool = False) -> Fetched:
    """Read a URL as anybody on the internet could; pass it to a corpus as `fetch=`.

    Args:
        url: an address that begins with http:// or https://.
        allow_private: also ask loopback, private and link-local addresses.

    Raises:
        SourceError: the URL, its address or its answer is refused, or nothing answers.
    """
    return await Fetcher(admits=any_address if allow_private else is_public)(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """How URLs are read.

    A host is resolved once for each hop and the connection goes to the address that was checked: a
    name that answers differently the second time changes nothing. Proxies are not used, since
    behind them the address is somebody else's choice.

    Attributes:
        admits: which addresses may be asked; a host is refused when one of its addresses is.
        resolve: how a host becomes addresses.
        limit: the largest answer, in bytes.
        seconds: the longest time for everything.
        redirects: how many times an answer may point elsewhere.
    """

    admits: Callable[[Address], bool] = is_public
    resolve: Callable[[str, int], Awaitable[list[Address]]] = resolve
    limit: int = LIMITS.file_bytes
    seconds: float = 60.0
    redirects: int = 5

    async def __call__(self, url: str) -> Fetched:
        """Read a URL; raises `SourceError`."""
        with _translated(url, self.seconds):
            async with asyncio.timeout(self.seconds), _client() as client:
                return await self._follow(client, _checked(url))

    async def _follow(self, client: httpx.AsyncClient, url: httpx.URL) -> Fetched:
        for _ in range(self.redirects + 1):
            answer = await self._ask(client, url)
            if isinstance(answer, Fetched):
                return answer
            url = answer
        raise SourceError(f"'{url}' redirects more than {self.redirects} times.")

    async def _ask(self, client: httpx.AsyncClient, url: httpx.URL) -> Fetched | httpx.URL:
        """Return the answer, or where it points to."""
        pinned = url.copy_with(host=str(await self._address(url)))
        request = client.build_request(
            "GET",
            pinned,
            headers=_HEADERS | {"host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await client.send(request, stream=True)
        try:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return _checked(str(url.join(response.headers["location"])))
            if not response.is_success:
                raise SourceError(f"'{url}' answered {response.status_code}.")
            content_type = response.headers.get("content-type", "")
            return Fetched(await self._body(url, response), content_type, str(url))
        finally:
            await response.aclose()

    async def _address(self, url: httpx.URL) -> Address:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self.resolve(url.host, port)
        refused = [address for address in addresses if not self.admits(address)]
        if refused or not addresses:
            where = f"the address {refused[0]}" if refused else "no address"
            raise SourceError(
                f"'{url}' leads to {where}, which is not one of the public internet.",
                hint="A server of your own can be read with `allow_private=True`.",
            )
        return addresses[0]

    async def _body(self, url: httpx.URL, response: httpx.Response) -> bytes:
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise SourceError(f"'{url}' answered in the encoding '{encoding}', which is not read.")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self.limit:
                size = self.limit / 1e6
                raise SourceError(f"'{url}' answered with more than the limit of {size:,.1f} MB.")
        return bytes(body)


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceError(f"'{url}' is not a valid URL: {error}.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SourceError(f"'{url}' is not read: only http:// and https:// are.")
    if parsed.userinfo:
        raise SourceError(
            f"The URL of '{parsed.host}' carries a password, which would end up in reports.",
            hint="Leave it out; save pages that need one to a file.",
        )
    return parsed.copy_with(fragment=None)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=_tls(), trust_env=False, follow_redirects=False, timeout=httpx.Timeout(20)
    )


@cache
def _tls() -> SSLContext:
    """Load the authorities once; SSL_CERT_FILE and SSL_CERT_DIR are honoured."""
    return httpx.create_ssl_context()


class _translated:  # noqa: N801  # reads as a verb: `with _translated(url):`
    """Turn what goes wrong on the way into `SourceError`."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            message = f"'{self._url}' did not answer in time (at most {self._seconds:g} seconds)."
            raise SourceError(message) from error
        if isinstance(error, OSError | UnicodeError | httpx.HTTPError | httpx.InvalidURL):
            reason = str(error) or type(error).__name__
            raise SourceError(f"'{self._url}' cannot be read: {reason}.") from error
