"""What a list shows of a thread."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage

from interlock.forks import title_of


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"number": 3, "question": "How high?"}, "How high?"),
        ({"messages": [{"role": "user", "content": "How high?"}]}, "How high?"),
        ({"messages": [("user", "How high?")]}, "How high?"),
        ({"messages": [HumanMessage("How high?"), HumanMessage("And wide?")]}, "How high?"),
        ({"messages": HumanMessage([{"type": "text", "text": "How high?"}])}, "How high?"),
        ({"messages": ["How high?"]}, "How high?"),
        ({"messages": [], "number": 3}, "number: 3"),
        ({"region": {"name": "eu"}, "euros": 4.5, "urgent": True}, "euros: 4.5 · urgent: True"),
        ({"messages": [{"role": "user"}]}, ""),
        ({}, ""),
    ],
)
def test_title_is_the_first_text_or_message_else_what_numbers_there_are(
    given: dict[
        str, str | int | list[Any] | AnyMessage
    ],  # Any: whatever LangGraph takes for messages
    title: str,
) -> None:
    """A conversation is known by how it began."""
    assert title_of(given) == title
