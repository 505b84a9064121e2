"""What every store of blobs does, on the one in memory and on the one in Postgres."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import psycopg
import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Overwrite, Send
from pydantic import BaseModel

from interlock.core.blobs import Blobs, MemoryBlobs, named_in, named_in_bytes, read
from interlock.errors import KeyMissing, NotFound, UsageError
from interlock.postgres.blobs import PostgresBlobs
from interlock.postgres.pool import open_pool

LIMIT = 3_000_000
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


@pytest.fixture(params=["memory", "postgres", "encrypted"])
async def blobs(request: pytest.FixtureRequest) -> AsyncIterator[Blobs]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryBlobs(LIMIT)
        return
    cipher = Backwards() if request.param == "encrypted" else None
    async with open_pool(request.getfixturevalue("database_url")) as pool:
        yield PostgresBlobs(pool, limit=LIMIT, cipher=cipher)


class Backwards:
    """A cipher that anybody can break."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """Turn it round."""
        return "turn-backwards", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Turn it round again."""
        assert ciphername == "turn-backwards"
        return ciphertext[::-1]


async def stream(parts: Sequence[bytes], failing: Exception | None = None) -> AsyncIterator[bytes]:
    """Parts as a source gives them, and on request a failure after the last."""
    for part in parts:
        yield part
    if failing is not None:
        raise failing


async def test_a_blob_comes_back_as_it_was(blobs: Blobs) -> None:
    """What was stored is named by its SHA-256, and read in parts."""
    ref = await blobs.put(b"abc")

    assert ref == {"blob": f"blob:sha256:{ABC}", "size": 3}
    assert [part async for part in blobs.open(ref)] == [b"abc"]
    assert await read(blobs, ref["blob"]) == b"abc"


async def test_an_empty_blob_is_one(blobs: Blobs) -> None:
    """No bytes at all have a name too."""
    ref = await blobs.put(b"")

    assert ref["size"] == 0
    assert await read(blobs, ref) == b""


async def test_a_source_is_read_in_parts_and_handed_out_in_parts(blobs: Blobs) -> None:
    """Parts of any size, none at all too, become pieces of one size; the order is kept."""
    parts = [bytes([n % 251]) * (n * 997) for n in range(70)]
    whole = b"".join(parts)
    ref = await blobs.put(stream(parts))
    found = [part async for part in blobs.open(ref)]

    assert ref["blob"] == f"blob:sha256:{hashlib.sha256(whole).hexdigest()}"
    assert b"".join(found) == whole
    assert {len(part) for part in found[:-1]} == {262144}


async def test_equal_bytes_are_one_blob(blobs: Blobs) -> None:
    """However they come, also at the same time."""
    ways = [blobs.put(b"abc"), blobs.put(stream([b"a", b"", b"bc"])), blobs.put(b"abc")]
    refs = await asyncio.gather(*ways)

    assert [each["blob"] for each in refs] == [f"blob:sha256:{ABC}"] * 3
    assert await read(blobs, refs[0]) == b"abc"


async def test_what_is_too_large_is_refused_while_it_comes(blobs: Blobs) -> None:
    """The source is not read to its end, and what came before is gone."""
    read_so_far = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read_so_far
        while True:
            read_so_far += 1
            yield b"x" * 100_000

    with pytest.raises(UsageError, match="3000000 bytes"):
        await blobs.put(endless())

    assert read_so_far == 31
    just = await blobs.put(b"x" * LIMIT)
    assert just["size"] == LIMIT


async def test_a_source_that_fails_leaves_nothing(blobs: Blobs) -> None:
    """What the source raises is raised, and the beginning is no blob."""
    with pytest.raises(ConnectionResetError):
        await blobs.put(stream([b"abc"], failing=ConnectionResetError()))

    with pytest.raises(NotFound):
        await read(blobs, f"blob:sha256:{ABC}")


async def test_what_is_not_there_is_said_to_be_missing(blobs: Blobs) -> None:
    """Before the first part."""
    with pytest.raises(NotFound, match=ABC):
        await read(blobs, f"blob:sha256:{ABC}")


@pytest.mark.parametrize(
    "name", ["", "abc", f"blob:sha256:{ABC}0", f"blob:sha256:{ABC.upper()}", "../../etc/passwd"]
)
async def test_only_a_reference_names_a_blob(blobs: Blobs, name: str) -> None:
    """No path, no other text."""
    with pytest.raises(UsageError, match="names no blob"):
        await read(blobs, name)


async def test_a_large_blob_is_not_read_whole_by_accident(blobs: Blobs) -> None:
    """`read` stops at its limit."""
    ref = await blobs.put(b"x" * 2_000_000)

    with pytest.raises(UsageError, match="more than 1048576"):
        await read(blobs, ref)
    assert len(await read(blobs, ref, limit=2_000_000)) == 2_000_000


async def test_nothing_is_left_of_what_was_refused_or_stored_twice(database_url: str) -> None:
    """In Postgres no piece stands without its blob."""
    async with open_pool(database_url) as pool:
        blobs = PostgresBlobs(pool, limit=LIMIT)
        await asyncio.gather(*(blobs.put(b"y" * 600_000) for _ in range(5)))
        with pytest.raises(UsageError):
            await blobs.put(b"x" * (LIMIT + 1))
        with pytest.raises(ConnectionResetError):
            await blobs.put(stream([b"z" * 600_000], failing=ConnectionResetError()))

    with psycopg.connect(database_url) as connection:
        pieces = connection.execute("select count(*) from interlock.blob_pieces").fetchone()
        uploads = connection.execute("select count(*) from interlock.blob_uploads").fetchone()
    assert (pieces, uploads) == ((3,), (0,))


async def test_an_encrypted_blob_is_not_in_the_database_in_the_clear(database_url: str) -> None:
    """Its pieces are what the cipher made of them."""
    async with open_pool(database_url) as pool:
        ref = await PostgresBlobs(pool, cipher=Backwards()).put(b"secret" * 10)
        with pytest.raises(KeyMissing, match="backwards"):
            await read(PostgresBlobs(pool), ref)
        with psycopg.connect(database_url) as connection:
            rows = connection.execute("select body from interlock.blob_pieces").fetchall()

    assert [b"secret" in bytes(body) for (body,) in rows] == [False]


async def test_a_blob_is_used_on_the_loop_of_its_runtime(database_url: str) -> None:
    """Elsewhere it is refused, with a word on where to."""
    async with open_pool(database_url) as pool:
        blobs = PostgresBlobs(pool)
        with pytest.raises(UsageError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(blobs.put(b"abc")))


class Note(BaseModel):
    """A model in a state."""

    text: str


@dataclass(frozen=True, slots=True)
class Slotted:
    """A value with slots in a state."""

    text: str


def test_names_are_found_wherever_they_stand() -> None:
    """In texts, keys, messages, models, and in what the serializer makes of them; in circles too."""
    digests = [f"{n:064x}" for n in range(12)]
    name = [f"see blob:sha256:{each}." for each in digests]
    circle: list[object] = [name[5]]
    circle.append(circle)
    value = {
        name[0]: 1,
        "list": [(name[1], {name[2]})],
        "message": AIMessage([{"type": "text", "text": name[3]}]),
        "model": Note(text=name[4]),
        "tool": ToolMessage("", tool_call_id="1", artifact={"ref": name[6]}),
        "bytes": name[7].encode(),
        "sent": deque([Send("node", {"ref": name[8]})]),
        "set": Overwrite([name[9]]),
        "slotted": Slotted(name[10]),
        "asked": Interrupt(value={"ref": name[11]}, id="i"),
    }
    packed = JsonPlusSerializer().dumps_typed(value)[1]

    assert named_in(1.5) == named_in(None) == named_in(Note) == set()
    assert named_in([value, circle]) == set(digests)
    assert named_in_bytes(packed) == set(digests) - {digests[5]}
    assert named_in(f"blob:sha256:{ABC}0 blob:sha256:{ABC[:-1]}") == set()
