"""What a model says as blocks, where no model of the sample says it: calls of tools, usage, two messages at once."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk

from interlock.core.stream_events import StreamEvent
from interlock.server.v3.folding import Fold
from interlock.server.v3.speaking import Speech, is_whole, message_of
from interlock.server.wire import dumps


def heard(*chunks: AIMessageChunk) -> list[dict[str, Any]]:
    """Return what is told of a message that comes in pieces."""
    speech = Speech("m")
    told = [piece for chunk in chunks for piece in speech.heard(chunk)]
    return [*told, *speech.finished()]


def test_a_call_of_a_tool_grows_and_is_whole_at_the_end() -> None:
    """Its arguments come as text, and are parsed when it is finished."""
    told = heard(
        AIMessageChunk(
            content="", tool_call_chunks=[{"name": "add", "args": '{"a"', "id": "c1", "index": 0}]
        ),
        AIMessageChunk(
            content="", tool_call_chunks=[{"name": None, "args": ": 1}", "id": None, "index": 0}]
        ),
    )

    assert [each["event"] for each in told] == [
        "content-block-start",
        "content-block-delta",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
    ]
    assert [each["delta"]["args"] for each in told[1:3]] == ['{"a"', ": 1}"]
    assert told[3]["content"] == {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}}


def test_usage_is_added_up() -> None:
    """That of all pieces stands at the end."""
    usage = {"input_tokens": 2, "output_tokens": 1, "total_tokens": 3}

    told = heard(
        AIMessageChunk(content="a", usage_metadata=usage),  # type: ignore[arg-type]  # as a model gives it
        AIMessageChunk(content="b", usage_metadata=usage),  # type: ignore[arg-type]  # as above
    )

    assert told[-1]["usage"] == {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}


def test_what_a_tool_answers_is_no_speech() -> None:
    """It is told as the end of its call; a message that comes whole is whole."""
    assert message_of({"type": "tool", "content": "3", "tool_call_id": "c1"}) is None
    known = message_of({"type": "human", "content": "hi"})
    assert known is not None
    assert known[0] == "human"
    assert is_whole(known[1])


def test_two_messages_at_once_are_kept_apart() -> None:
    """Each piece names its message, and each event has a number of its own."""
    fold = Fold(base=0)
    events = [
        event
        for place, name in enumerate(("one", "two", "one", "two"), start=1)
        for event in fold.events(piece(place, name), None)
    ]

    names = [each.data.get("message_id") or each.data["id"] for each in events]
    assert names == ["one"] * 3 + ["two"] * 3 + ["one", "two"]
    assert [each.seq for each in events] == sorted({each.seq for each in events})


def piece(place: int, name: str) -> StreamEvent:
    """Return a piece of a message as the log has it."""
    data = dumps([AIMessageChunk(content="a", id=name), {}])
    return StreamEvent(id=f"{place:016d}", event="messages", data=data, run_id="r")
