"""Encryption at rest: a ring of keys, the first of which encrypts and all of which decrypt."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from interlock.errors import KeyMissing, UsageError

NONCE = TAG = 16
"""Bytes of each at the head of what is encrypted, as LangGraph's own cipher has them."""

_SEALED = "encrypted"

_FOREIGN = "aes"
"""What LangGraph's own cipher calls itself: it does not say which key it used."""


@dataclass(frozen=True, slots=True)
class KeyRing(CipherProtocol):
    """Encrypts with the first key; decrypts with whichever key it was. AES in EAX mode, so that a change is noticed.

    What is encrypted carries the name of its cipher, `aes-` and a fingerprint of the key, beside it.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """What is encrypted from now on is said to be encrypted with."""
        return f"{_FOREIGN}-{fingerprint(self.keys[0])}"

    def has(self, ciphername: str) -> bool:
        """Say whether one of the keys is the one of a cipher's name."""
        return any(ciphername == f"{_FOREIGN}-{fingerprint(key)}" for key in self.keys)

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """Return the cipher's name and what is stored."""
        cipher = _aes(self.keys[0])
        hidden, tag = cipher.encrypt_and_digest(plaintext)
        return self.name, b"".join((cipher.nonce, tag, hidden))

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Return what was encrypted; raises `KeyMissing` when none of the keys is right, or the bytes were changed."""
        fitting = [
            key for key in self.keys if ciphername in (_FOREIGN, f"{_FOREIGN}-{fingerprint(key)}")
        ]
        for key in fitting:
            try:
                return _opened(key, bytes(ciphertext))
            except ValueError:
                continue
        if fitting and ciphername != _FOREIGN:
            raise KeyMissing(
                "An encrypted value was changed in the database: it does not match its own check.",
                hint="Restore it from a backup.",
            )
        raise missing(ciphername)


class Plain(JsonPlusSerializer):
    """LangGraph's serializer as it is without a key: what is encrypted it refuses with a reason."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # a stored value
        """Return a value; raises `KeyMissing` where it is encrypted."""
        _, encrypted, name = data[0].partition("+")
        if encrypted:
            raise missing(name)
        return super().loads_typed(data)


def ring_of(keys: Iterable[bytes] | None) -> KeyRing | None:
    """Return the ring of the keys that are set; None when none is. Raises `UsageError` without the extra."""
    found = tuple(keys or ())
    if not found:
        return None
    try:
        import Crypto  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise UsageError(
            "INTERLOCK_ENCRYPTION_KEY is set, and what encrypts is not installed.",
            hint="pip install 'interlock-agents[encryption]'",
        ) from error
    return KeyRing(found)


def serializer(
    ring: KeyRing | None, allowed: set[tuple[str, ...]] | None = None
) -> SerializerProtocol:
    """Return LangGraph's strict serializer, which encrypts where there is a key, and reads what is not encrypted too.

    Args:
        ring: the keys.
        allowed: the classes that may be restored, by module and name, beside plain data.
    """
    plain = Plain(pickle_fallback=False, allowed_msgpack_modules=allowed)
    return EncryptedSerializer(ring, plain) if ring else plain


def sealed_json(ring: KeyRing, value: Any, mark: str = _SEALED) -> dict[str, str]:  # JSON
    """Return JSON encrypted, as JSON of one key, which marks it."""
    name, hidden = ring.encrypt(json.dumps(value).encode())
    return {mark: f"{name}:{b64encode(hidden).decode()}"}


def kept_json(keys: Iterable[bytes] | None, value: Any) -> Any:  # JSON
    """Return JSON as it is kept: encrypted where values are."""
    ring = ring_of(keys)
    return value if ring is None else sealed_json(ring, value)


def opened_json(ring: KeyRing | None, stored: Any, mark: str = _SEALED) -> Any:  # JSON
    """Return the JSON that `sealed_json` encrypted, or what is not encrypted as it is; raises `KeyMissing`."""
    if not isinstance(stored, Mapping) or stored.keys() != {mark}:
        return stored
    name, _, hidden = stored[mark].partition(":")
    if ring is None:
        raise missing(name)
    return json.loads(ring.decrypt(name, b64decode(hidden)))


def fingerprint(key: bytes) -> str:
    """Return what names a key and tells nothing of it."""
    return hmac.new(key, b"interlock encryption key", hashlib.sha256).hexdigest()[:8]


def missing(ciphername: str) -> KeyMissing:
    """Return the error for a value that none of the keys opens."""
    name = ciphername.partition("-")[2]
    which = f"the key {name}" if name else "a key"
    return KeyMissing(
        f"What is stored was encrypted with {which}, which is not among those that are set.",
        hint="Add it to INTERLOCK_ENCRYPTION_KEY behind the present one; nothing was changed.",
    )


def _aes(key: bytes, nonce: bytes | None = None) -> Any:  # pycryptodome's cipher has no public type
    from Crypto.Cipher import AES

    return AES.new(key, AES.MODE_EAX, nonce=nonce) if nonce else AES.new(key, AES.MODE_EAX)


def _opened(key: bytes, stored: bytes) -> bytes:
    nonce, tag, hidden = stored[:NONCE], stored[NONCE : NONCE + TAG], stored[NONCE + TAG :]
    plain: bytes = _aes(key, nonce).decrypt_and_verify(hidden, tag)
    return plain
