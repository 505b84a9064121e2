"""What LangGraph rebuilds a `DeltaChannel` from, where its writes and values refer to content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory
from langgraph.checkpoint.serde.base import SerializerProtocol

from interlock.postgres.checkpointer.reading import Reader, is_reference


@dataclass(frozen=True, slots=True)
class Deferred:
    """A row's type and bytes; its value refers to content that is not fetched yet."""

    kind: str
    body: bytes


class Deferring(SerializerProtocol):
    """Restores values, and leaves those that refer to content as they are."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return type and bytes of a value."""
        return self._serde.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return a value, or what it can be read from later."""
        return Deferred(*data) if is_reference(data[0]) else self._serde.loads_typed(data)


async def resolved(
    found: Mapping[str, DeltaChannelHistory], reader: Reader
) -> dict[str, DeltaChannelHistory]:
    """Return histories with the values that were left to be read."""
    deferred = [each for history in found.values() for each in _deferred(history)]
    if deferred:
        await reader.fetch((each.kind, each.body) for each in deferred)
    return {channel: _read(history, reader) for channel, history in found.items()}


def _deferred(history: DeltaChannelHistory) -> Iterator[Deferred]:
    values = [value for _, _, value in history["writes"]]
    yield from (each for each in [*values, history.get("seed")] if isinstance(each, Deferred))


def _read(history: DeltaChannelHistory, reader: Reader) -> DeltaChannelHistory:
    writes = [(task, channel, _value(value, reader)) for task, channel, value in history["writes"]]
    read: DeltaChannelHistory = {"writes": writes}
    if "seed" in history:
        read["seed"] = _value(history["seed"], reader)
    return read


def _value(value: Any, reader: Reader) -> Any:  # of a state key
    return reader.value(value.kind, value.body) if isinstance(value, Deferred) else value
