"""How many tokens a prompt may have at most, counted without a tokenizer.

Providers' tokenizers cannot be had without a download, and differ. They cut text into words, numbers and marks in
much the same way, so each kind of piece has a number of tokens that none of them exceeds: `tests/data/tokens.json`
holds what seven of them need for sixty kinds of text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from langchain_core.messages import BaseMessage

PER_MESSAGE = 8
"""Tokens that mark where a message begins and ends, and whose it is."""

PER_REQUEST = 16
"""Tokens around all messages of a request."""

TOOLS = 700
"""Tokens of what a provider says to a model about tools when some are given; Anthropic's page on tool use names the
highest number, 530."""

IMAGE = 5_000
"""Tokens of one image, unless the price table says another number for the model."""

_PIECE = re.compile(
    r" ?(?:[A-Z]+(?![a-z])|[A-Z]?[a-z]+)"  # a space goes with the word behind it
    r"| +|[^\x00-\x7f]+|.",
    re.DOTALL,
)

_SCHEMAS = ("tools", "functions", "response_format", "text", "tool_choice", "output_config")
"""Parameters of a call that a model reads as text."""

_IMAGES = frozenset({"image", "image_url", "input_image"})


LONG = 512
"""Characters from which on a text's number is kept: a conversation is sent again with each of its calls."""

KEPT = 4096
"""Numbers that are kept; then it begins anew."""

_counted: dict[bytes, int] = {}


def tokens_in(text: str) -> int:
    """Return a number of tokens that no usual tokenizer needs more of for a text."""
    if len(text) < LONG:
        return _count(text)
    name = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if (known := _counted.get(name)) is None:
        known = _count(text)
        if len(_counted) >= KEPT:
            _counted.clear()
        _counted[name] = known
    return known


def tokens_of(
    messages: Iterable[BaseMessage],
    parameters: Mapping[str, Any] | None = None,  # LangChain's invocation parameters
    *,
    image: int = IMAGE,
) -> int:
    """Return a number of tokens that a prompt does not exceed.

    Args:
        messages: the prompt.
        parameters: of the call; the tools' and answers' schemas in them count too.
        image: tokens of one image.
    """
    count = PER_REQUEST + sum(_of_message(each, image) for each in messages)
    schemas = [(parameters or {}).get(name) for name in _SCHEMAS]
    given = [each for each in schemas if each]
    return count + sum(map(_of_json, given)) + (TOOLS if given else 0)


def _count(text: str) -> int:
    pieces = Counter(_PIECE.findall(text))  # most of a text's pieces stand in it often
    return 1 + sum(times * _of_piece(each) for each, times in pieces.items())


def _of_piece(piece: str) -> int:
    if not piece.isascii():  # tokenizers cut bytes where they know no letters
        return len(piece.encode("utf-8", "surrogatepass"))
    word = piece.lstrip(" ")
    size = len(word)
    if not word:
        return 1 + len(piece) // 2
    if not word.isalpha():
        return 1
    share = 3 * size // 4 if word.isupper() else 2 * size // 3
    return min(size, 1 + share)


def _of_message(message: BaseMessage, image: int) -> int:
    count = PER_MESSAGE + _of_content(message.content, image)
    if message.name:
        count += tokens_in(message.name)
    for name in ("tool_calls", "tool_call_id"):
        if said := getattr(message, name, None):
            count += _of_json(said)
    return count


def _of_content(content: str | Sequence[Any], image: int) -> int:  # LangChain's content blocks
    if isinstance(content, str):
        return tokens_in(content)
    return sum(_of_block(each, image) for each in content)


def _of_block(block: Any, image: int) -> int:  # as above
    if isinstance(block, str):
        return tokens_in(block)
    if isinstance(block, Mapping) and block.get("type") in _IMAGES:
        return image
    if isinstance(block, Mapping) and block.get("type") == "text":
        return tokens_in(str(block.get("text", "")))
    return _of_json(block)  # files and sounds by their whole length: nobody here knows better


def _of_json(value: Any) -> int:  # anything
    return tokens_in(json.dumps(value, ensure_ascii=False, default=str))
