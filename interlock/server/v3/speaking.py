"""What a model says, piece by piece, as blocks that begin, grow and are finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)

Data = dict[str, Any]
"""JSON of the `messages` channel."""

ROLES: Mapping[str, tuple[str, type[BaseMessage]]] = {
    "AIMessageChunk": ("ai", AIMessageChunk),
    "ai": ("ai", AIMessage),
    "human": ("human", HumanMessage),
    "system": ("system", SystemMessage),
}
"""What is told of; what tools answer is told of as the end of their call."""

GROWING = {"text": "text", "reasoning": "reasoning", "tool_call_chunk": "args"}
"""Kinds of blocks that come in pieces, and the part of them that does."""

HEAVY = ("args", "data", "output", "value")
"""What stands only in the finished block."""


@dataclass(slots=True)
class Speech:
    """One message as far as it was told.

    Attributes:
        message_id: of the message; on all that is told, so that two that are said at once are kept apart.
    """

    message_id: str
    _blocks: dict[tuple[Any, ...], Data] = field(default_factory=dict)
    _usage: Data = field(default_factory=dict)
    _about: Data = field(default_factory=dict)

    def begun(self, role: str, node: str) -> Data:
        """Return how it begins."""
        metadata = {"langgraph_node": node} if node else {}
        return {
            "event": "message-start",
            "role": role,
            "id": self.message_id,
            **({"metadata": metadata} if metadata else {}),
        }

    def heard(self, message: BaseMessage) -> Iterator[Data]:
        """Tell of a piece of it, or of all of it."""
        self._about.update(message.response_metadata)
        if isinstance(message, AIMessage) and message.usage_metadata:
            self._usage = _added(self._usage, dict(message.usage_metadata))
        for place, block in enumerate(message.content_blocks):
            yield from self._grown(place, dict(block))

    def finished(self) -> Iterator[Data]:
        """Tell that nothing more comes of it."""
        for index, block in enumerate(self._blocks.values()):
            content = _finished(block)
            yield self._told("content-block-finish", index=index, content=content)
        more = {"usage": self._usage, "metadata": self._about}
        yield self._told("message-finish", **{key: each for key, each in more.items() if each})

    def broken(self, why: str) -> Data:
        """Tell that it will not be finished."""
        return self._told("error", message=why)

    def _grown(self, place: int, block: Data) -> Iterator[Data]:
        kind = str(block.get("type", "text"))
        key = (block.get("index", (kind, place)),)
        known = self._blocks.get(key)
        if known is None:
            self._blocks[key] = block
            index = len(self._blocks) - 1
            yield self._told("content-block-start", index=index, content=_begun(kind, block))
        else:
            index = list(self._blocks).index(key)
            self._blocks[key] = _joined(known, block)
        if delta := _delta(kind, block):
            yield self._told("content-block-delta", index=index, delta=delta)

    def _told(self, event: str, **more: Any) -> Data:  # of the event
        return {"event": event, "message_id": self.message_id, **more}


def message_of(told: Mapping[str, Any]) -> tuple[str, BaseMessage] | None:  # JSON
    """Return who says a message, and the message; None for what is not told of."""
    known = ROLES.get(str(told.get("type")))
    if known is None:
        return None
    role, kind = known
    return role, kind.model_validate(dict(told))


def is_whole(message: BaseMessage) -> bool:
    """Say whether nothing more comes of a message."""
    return not isinstance(message, AIMessageChunk) or message.chunk_position == "last"


def _begun(kind: str, block: Data) -> Data:
    if (part := GROWING.get(kind)) is not None:
        rest = {key: block[key] for key in block if key not in (part, "annotations")}
        return {**rest, part: ""}
    light = {key: block[key] for key in block if key not in HEAVY}
    empty: dict[str, Data] = {"tool_call": {"args": {}}, "non_standard": {"value": {}}}
    return {**light, **empty.get(kind, {})}


def _delta(kind: str, block: Data) -> Data | None:
    match kind:
        case "text" if block.get("text"):
            return {"type": "text-delta", "text": block["text"]}
        case "reasoning" if block.get("reasoning"):
            return {"type": "reasoning-delta", "reasoning": block["reasoning"]}
        case "tool_call_chunk" if block.get("args"):
            return {"type": "tool-call-delta", "args": block["args"]}
    return None


def _joined(known: Data, more: Data) -> Data:
    part = GROWING.get(str(known.get("type")))
    if part is None or known.get("type") != more.get("type"):
        return more
    given = {key: each for key, each in more.items() if each is not None}
    return {**known, **given, part: (known.get(part) or "") + (more.get(part) or "")}


def _finished(block: Data) -> Data:
    if block.get("type") != "tool_call_chunk":
        return block
    rest = {key: block[key] for key in block if key not in ("type", "args", "index")}
    text = block.get("args") or "{}"
    try:
        return {**rest, "type": "tool_call", "args": orjson.loads(text)}
    except orjson.JSONDecodeError:
        why = "These arguments are no JSON."
        return {**rest, "type": "invalid_tool_call", "args": text, "error": why}


def _added(known: Data, more: Data) -> Data:
    """Return counts of tokens added up, those of details, too."""
    total = dict(known)
    for key, each in more.items():
        if isinstance(each, dict):
            total[key] = _added(total.get(key, {}), each)
        elif isinstance(each, int):
            total[key] = total.get(key, 0) + each
    return total
