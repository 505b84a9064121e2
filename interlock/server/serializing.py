"""Restores what is stored of runs, as the settings say that it is encrypted."""

from __future__ import annotations

from functools import lru_cache

from langgraph.checkpoint.serde.base import SerializerProtocol

from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.encryption import ring_of
from interlock.settings import Settings


def serializer_of(settings: Settings) -> SerializerProtocol:
    """Return what restores inputs of runs: plain data and messages, nothing else."""
    return _serializer(tuple(settings.encryption_key or ()))


@lru_cache(maxsize=4)
def _serializer(keys: tuple[bytes, ...]) -> SerializerProtocol:
    return strict_serializer(ring=ring_of(keys or None))
