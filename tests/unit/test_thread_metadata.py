"""What is kept in mind of threads' metadata, to be compared when a run is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from interlock.postgres import thread_metadata
from interlock.postgres.pool import Pool
from interlock.postgres.thread_metadata import Metadata, ThreadMetadata

POOL = cast(Pool, None)  # nothing is read from it here


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metadata]:
    """What is read."""
    found: dict[str, Metadata] = {}

    async def read(asked: Sequence[tuple[Pool, str]]) -> list[Metadata]:
        return [found.get(name, {}) for _, name in asked]

    monkeypatch.setattr(thread_metadata, "_read", read)
    return found


async def test_what_was_read_is_known_until_it_is_forgotten(stored: dict[str, Metadata]) -> None:
    """Without what runs note there of themselves."""
    stored["t"] = {"team": "blue", "size": 3, "none": None, "graph_id": "g", "assistant_id": "a"}
    metadata = ThreadMetadata()
    assert metadata.known("t") is None

    assert await metadata.of(POOL, "t") == {"team": "blue", "size": 3, "none": None}
    assert metadata.known("t") == {"team": "blue", "size": 3, "none": None}
    metadata.forget("t")
    assert metadata.known("t") is None


@pytest.mark.parametrize(
    "large",
    [{"a": "x" * 257}, {"x" * 257: 1}, {"a": {}}, {"a": 1.5}, {str(i): i for i in range(17)}],
)
async def test_what_is_large_is_read_each_time(
    stored: dict[str, Metadata], large: dict[str, Any]
) -> None:
    """Else each run would carry it; what was known before is not known any more."""
    metadata = ThreadMetadata()
    await metadata.of(POOL, "t")
    stored["t"] = large

    assert await metadata.of(POOL, "t") == large
    assert metadata.known("t") is None


async def test_the_oldest_is_forgotten_first(
    stored: dict[str, Metadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more threads than are kept in mind."""
    monkeypatch.setattr(thread_metadata, "MOST_KNOWN", 2)
    metadata = ThreadMetadata()
    for name in ("a", "b", "a", "c"):
        await metadata.of(POOL, name)

    assert [metadata.known(name) for name in ("a", "b", "c")] == [{}, None, {}]
