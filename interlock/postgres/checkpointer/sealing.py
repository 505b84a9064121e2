"""Serializing, naming and, where the serializer has a cipher, encrypting what is stored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from interlock.postgres.checkpointer.collecting import fetched, run
from interlock.postgres.checkpointer.format import HASH, SEALED
from interlock.postgres.checkpointer.messages import message, restored, restores
from interlock.postgres.encryption import missing

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Turns values into bytes and back, names bytes, and hides them where there is a cipher.

    Attributes:
        serde: the saver's serializer, as LangGraph's tables are written with it.
        inner: the one that makes plain bytes.
        cipher: what encrypts them; None leaves them plain.
        key: what names are made with, so that a name tells nothing of what it names; empty without a cipher.
        quick: LangChain's messages are restored without validating them again.
    """

    serde: SerializerProtocol
    inner: SerializerProtocol
    cipher: CipherProtocol | None = None
    key: bytes = b""
    quick: bool = False

    @classmethod
    def of(cls, serde: SerializerProtocol, key: bytes = b"") -> Seal:
        """Return the seal for a saver's serializer."""
        if not isinstance(serde, EncryptedSerializer):
            return cls(serde=serde, inner=serde, quick=restores(serde))
        inner = serde.serde
        return cls(serde=serde, inner=inner, cipher=serde.cipher, key=key, quick=restores(inner))

    def dumps(self, value: Any) -> tuple[str, bytes]:  # of a state key
        """Return type and plain bytes of a value."""
        return self.inner.dumps_typed(value)

    def loads(self, kind: str, data: bytes) -> Any:
        """Return the value of a type and plain bytes."""
        return self.inner.loads_typed((kind, data))

    def loads_packed(self, data: bytes) -> Any:
        """Return the value of some msgpack."""
        return message(data, self._unpacked) if self.quick else self._unpacked(data)

    def loads_all(self, items: Sequence[bytes]) -> list[Any]:  # a list's items
        """Return the values of some msgpack, together if that is known to be the same."""
        if not self.quick:
            return [self._unpacked(item) for item in items]
        return restored(items, self._unpacked)

    def _unpacked(self, data: bytes) -> Any:
        return self.inner.loads_typed(("msgpack", data))

    def name(self, *parts: bytes | memoryview) -> bytes:
        """Return the hash of some bytes."""
        digest = hashlib.blake2b(digest_size=HASH, key=self.key)
        for part in parts:
            digest.update(part)
        return digest.digest()

    def close(self, kind: int, body: bytes) -> tuple[int, bytes]:
        """Return a kind of content and its body as they are stored."""
        if self.cipher is None:
            return kind, body
        name, hidden = self.cipher.encrypt(body)
        return kind | SEALED, name.encode() + b"\0" + hidden

    def open(self, kind: int, body: bytes) -> bytes:
        """Return the plain body of stored content."""
        if not kind & SEALED:
            return body
        name, _, hidden = body.partition(b"\0")
        return self._cipher(name.decode()).decrypt(name.decode(), hidden)

    def row(self, kind: str, data: bytes) -> tuple[str, bytes]:
        """Return type and bytes for a row of LangGraph's tables; the serializer itself reads it."""
        if self.cipher is None:
            return kind, data
        name, hidden = self.cipher.encrypt(data)
        return f"{kind}+{name}", hidden

    def opened(self, kind: str, data: bytes) -> bytes:
        """Return the plain bytes of a row's type and bytes."""
        _, _, name = kind.partition("+")
        return self._cipher(name).decrypt(name, data) if name else data

    def _cipher(self, name: str) -> CipherProtocol:
        if self.cipher is None:
            raise missing(name)
        return self.cipher


async def secret(connection: AsyncConnection[DictRow], cipher: CipherProtocol) -> bytes:
    """Return the database's secret for naming content, made on first use and kept encrypted.

    Where an older key had encrypted it, it is encrypted anew with the present one.
    """
    name, sealed = cipher.encrypt(os.urandom(SECRET_BYTES))
    await run(connection, "make_key", {"cipher": name, "sealed": sealed})
    row = (await fetched(connection, "key", {}))[0]
    found = cipher.decrypt(row["cipher"], row["sealed"])
    if row["cipher"] != name:
        name, sealed = cipher.encrypt(found)
        await run(connection, "renew_key", {"cipher": name, "sealed": sealed})
    return found
