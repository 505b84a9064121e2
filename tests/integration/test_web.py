"""Reading URLs, against a server on this machine."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from interlock.errors import SourceError
from interlock.web import Fetcher, fetch, is_public
from interlock.web.addresses import Address, any_address


@dataclass
class Server:
    """Answers paths with prepared bytes and remembers what it was asked."""

    port: int
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        host = next(line for line in head.split("\r\n") if line.lower().startswith("host:"))
        self.asked.append(f"{host.partition(':')[2].strip()}{path}")
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
        if path == "/silence":
            await reader.read()  # until the client goes
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def running() -> AsyncIterator[Server]:
    """Run a server on a free port."""
    server = Server(port=0)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running server."""
    async with running() as started:
        yield started


def answer(body: bytes, *headers: str) -> bytes:
    """Write a response with a body."""
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str) -> bytes:
    """Write a response that points elsewhere."""
    return f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


def own(address: Address) -> bool:
    """Take one address of this machine for one of the internet."""
    return address == ip_address("127.0.0.1")


async def test_a_page_is_read(server: Server) -> None:
    """Body, type and address come back."""
    server.answers["/a"] = answer(b"<p>Hi</p>", "content-type: text/html; charset=utf-8")

    page = await fetch(server.url("/a"), allow_private=True)

    assert page == (b"<p>Hi</p>", "text/html; charset=utf-8", server.url("/a"))


async def test_redirects_are_followed(server: Server) -> None:
    """The final address is told, whether the way there is absolute or not."""
    server.answers |= {"/a": redirect("/b"), "/b": redirect(server.url("/c#part"))}
    server.answers["/c"] = answer(b"there")

    page = await fetch(server.url("/a"), allow_private=True)

    assert (page.data, page.url) == (b"there", server.url("/c"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_addresses_of_this_machine_are_refused(server: Server, host: str) -> None:
    """However it is written: nothing is asked."""
    with pytest.raises(SourceError, match=r"not one of the public internet|cannot be read"):
        await fetch(server.url("/a", host))

    assert server.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # not bound to, but refused
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    """Loopback, private, link-local, shared, multicast, and all of those inside of IPv6."""
    assert is_public(ip_address(address)) is public


async def test_a_redirect_into_the_house_is_refused(server: Server) -> None:
    """Each hop is checked like the first: the metadata service of a cloud is not asked."""
    server.answers["/a"] = redirect("http://169.254.169.254/latest/meta-data")

    with pytest.raises(SourceError, match=r"leads to the address 169\.254\.169\.254"):
        await Fetcher(admits=own)(server.url("/a"))


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.org/a", "javascript:1", "http://[::1"]
)
async def test_a_redirect_to_another_protocol_is_refused(server: Server, location: str) -> None:
    """Only http and https are followed."""
    server.answers["/a"] = redirect(location)

    with pytest.raises(SourceError, match=r"only http:// and https:// are|cannot be read"):
        await Fetcher(admits=own)(server.url("/a"))


async def test_the_address_that_was_checked_is_the_one_that_is_asked(server: Server) -> None:
    """A name that would answer differently a second time is not resolved a second time."""
    server.answers["/a"] = answer(b"mine")
    answers = [[ip_address("127.0.0.1")], [ip_address("10.0.0.1")]]

    async def rebinding(_host: str, _port: int) -> list[Address]:
        return answers.pop(0)

    page = await Fetcher(admits=own, resolve=rebinding)(server.url("/a", "rebind.example"))

    assert page.data == b"mine"
    assert server.asked == [f"rebind.example:{server.port}/a"]


async def test_one_private_address_among_others_is_refused(server: Server) -> None:
    """A name is refused when any of its addresses is."""

    async def mixed(_host: str, _port: int) -> list[Address]:
        return [ip_address("127.0.0.1"), ip_address("10.0.0.1")]

    with pytest.raises(SourceError, match=r"10\.0\.0\.1"):
        await Fetcher(admits=own, resolve=mixed)(server.url("/a", "mixed.example"))


async def test_endless_redirects_end(server: Server) -> None:
    """A circle is left after a few hops."""
    server.answers["/a"] = redirect("/a")

    with pytest.raises(SourceError, match="redirects more than 5 times"):
        await fetch(server.url("/a"), allow_private=True)

    assert len(server.asked) == 6


async def test_an_answer_that_is_too_large_is_refused(server: Server) -> None:
    """Reading stops at the limit."""
    server.answers["/a"] = answer(b"x" * 2_000)

    with pytest.raises(SourceError, match="more than the limit"):
        await Fetcher(admits=any_address, limit=1_000)(server.url("/a"))


async def test_a_bomb_is_refused(server: Server) -> None:
    """The limit holds for what is unpacked."""
    server.answers["/a"] = answer(gzip.compress(b"x" * 1_000_000), "content-encoding: gzip")

    with pytest.raises(SourceError, match="more than the limit"):
        await Fetcher(admits=any_address, limit=10_000)(server.url("/a"))


async def test_strange_encodings_are_refused(server: Server) -> None:
    """What could unpack without measure is not unpacked."""
    server.answers["/a"] = answer(b"x", "content-encoding: zstd")

    with pytest.raises(SourceError, match="in the encoding 'zstd'"):
        await fetch(server.url("/a"), allow_private=True)


async def test_silence_ends(server: Server) -> None:
    """A server that does not answer is left after the time that was given."""
    server.answers["/silence"] = b""

    with pytest.raises(SourceError, match="did not answer in time"):
        await Fetcher(admits=any_address, seconds=0.2)(server.url("/silence"))


async def test_failures_are_told(server: Server) -> None:
    """A status, nobody listening, an unknown host, nonsense: each says what it was."""
    server.answers["/nonsense"] = b"nonsense\r\n\r\n"

    with pytest.raises(SourceError, match="answered 404"):
        await fetch(server.url("/nothing"), allow_private=True)
    with pytest.raises(SourceError, match="cannot be read"):
        await fetch(server.url("/nonsense"), allow_private=True)
    with pytest.raises(SourceError, match="cannot be read"):
        await fetch("http://127.0.0.1:1/", allow_private=True)
    with pytest.raises(SourceError, match="cannot be read"):
        await fetch("http://host.invalid/")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "only http:// and https:// are"),
        ("http://", "only http:// and https:// are"),
        ("http://user:secret@example.org/", "carries a password"),
        ("http://[::1", "not a valid URL"),
    ],
)
async def test_wrong_urls_are_refused(url: str, message: str) -> None:
    """Before anything is asked, and without repeating a password."""
    with pytest.raises(SourceError, match=message) as raised:
        await fetch(url)

    assert "secret" not in str(raised.value)
