"""Prompts counted without a tokenizer: never fewer tokens than a provider's own has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from interlock.core import counting
from interlock.core.counting import (
    IMAGE,
    PER_MESSAGE,
    PER_REQUEST,
    TOOLS,
    tokens_in,
    tokens_of,
)

SAMPLES = json.loads((Path(__file__).parents[1] / "data" / "tokens.json").read_text())
"""Texts with what o200k, cl100k, Qwen's, Anthropic's, DeepSeek's, Tekken and Mistral's first tokenizer need for them,
counted on 2026-11-21 with the vocabularies that their packages carry."""

FRAME = PER_REQUEST + PER_MESSAGE


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["kind"])
def test_no_tokenizer_needs_more(sample: dict[str, Any]) -> None:
    """Of any kind of text: prose, code, numbers, all scripts, and noise."""
    counted = tokens_of([HumanMessage(sample["text"])])

    assert max(sample["tokens"].values()) <= counted - PER_MESSAGE
    assert len(sample["tokens"]) == 7


def test_prose_is_not_counted_three_times_over() -> None:
    """What is reserved beyond the need is what others cannot use meanwhile."""
    ratios = {
        each["kind"]: tokens_in(each["text"]) / max(each["tokens"].values()) for each in SAMPLES
    }
    usual = ("english docs", "python", "sql", "json schema", "german", "french")

    assert max(ratios[kind] for kind in usual) < 3


def test_empty_prompt_has_its_frame() -> None:
    """A message has a beginning and an end."""
    assert tokens_of([]) == PER_REQUEST
    assert tokens_of([HumanMessage("")]) == FRAME + 1


def test_all_that_a_model_reads_counts() -> None:
    """Names, tool calls and their ids, and blocks of text."""
    bare = tokens_of([AIMessage("")])
    call = {"name": "look_up", "args": {"word": "harbour"}, "id": "call_1"}

    assert tokens_of([AIMessage("", name="Ada")]) > bare
    assert tokens_of([AIMessage("", tool_calls=[call])]) > bare + 10
    assert tokens_of([ToolMessage("", tool_call_id="call_1")]) > bare
    blocks = [{"type": "text", "text": "harbour"}, "harbour"]
    assert tokens_of([HumanMessage(blocks)]) == FRAME + 2 * tokens_in("harbour")  # type: ignore[arg-type]


def test_schemas_of_tools_and_answers_count() -> None:
    """With what a provider says about tools of its own accord."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    messages = [SystemMessage("x")]
    bare = tokens_of(messages)

    assert tokens_of(messages, {"tools": [tool]}) > bare + TOOLS + 20
    assert tokens_of(messages, {"response_format": tool}) > bare + TOOLS
    assert tokens_of(messages, {"temperature": 0.5, "tools": []}) == bare


def test_images_count_as_images_and_files_by_their_length() -> None:
    """An image takes what its model takes at most, whatever its bytes; nobody here reads a PDF's pages."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    file = {"type": "file", "base64": "A" * 4_000, "mime_type": "application/pdf"}

    assert tokens_of([HumanMessage([image])]) == FRAME + IMAGE
    assert tokens_of([HumanMessage([image, image])], image=100) == FRAME + 200
    assert tokens_of([HumanMessage([file])]) > 2_000


@pytest.mark.parametrize(
    ("text", "least"), [("\ud800", 3), ("\0", 1), ("<|endoftext|>", 10), ("e\u0301" * 10, 20)]
)
def test_odd_text_is_counted_too(text: str, least: int) -> None:
    """Halves of characters, controls, a tokenizer's own marks, accents that stand alone."""
    assert tokens_in(text) >= least


def test_a_long_text_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation is sent again with each of its calls: what was counted is known, a few thousand texts at most."""
    counted: list[int] = []
    kept: dict[bytes, int] = {}
    count = counting._count

    def noting(text: str) -> int:
        counted.append(len(text))
        return count(text)

    monkeypatch.setattr(counting, "_count", noting)
    monkeypatch.setattr(counting, "_counted", kept)
    monkeypatch.setattr(counting, "KEPT", 2)
    texts = [f"{number} ships. " * 60 for number in (1, 2, 3)]

    found = [tokens_in(text) for text in (texts[0], texts[0], texts[1], texts[0], texts[2])]

    assert found == [421] * 5  # a number, a word of four, a mark and a space, sixty times, and one
    assert counted == [540, 540, 540]
    assert len(kept) == 1
