"""A cipher for tests: it hides text from a search, and nothing from anybody."""

from __future__ import annotations

import os

from langgraph.checkpoint.serde.base import CipherProtocol


class Reversing(CipherProtocol):
    """Masks bytes with a random one, as different each time as a real cipher's."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        mask = os.urandom(1)[0] | 1
        return "mask", bytes([mask]) + bytes(each ^ mask for each in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "mask"
        return bytes(each ^ ciphertext[0] for each in ciphertext[1:])
