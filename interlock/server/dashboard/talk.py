"""Messages of a state as a conversation. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage, ToolMessage

from interlock.server.dashboard.words import plain, pretty

WHO: Mapping[str, str] = {"human": "Person", "ai": "Model", "system": "System", "tool": "Tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message.

    Attributes:
        kind: `human`, `ai`, `system`, `tool`, or another of LangChain's.
        calls: the tools that it asks for, each with its arguments as JSON.
        rest: what of it is no text, as JSON; empty for none.
    """

    kind: str
    who: str
    text: str
    calls: Sequence[tuple[str, str]] = ()
    rest: str = ""
    tokens: int = 0


def conversations(values: Mapping[str, Any]) -> dict[str, list[Said]]:  # any state
    """Return what each key of a state holds that are messages."""
    return {
        key: [_said(each) for each in value] for key, value in values.items() if _is_talk(value)
    }


def _is_talk(value: Any) -> bool:  # of any state
    return (
        isinstance(value, list) and bool(value) and all(isinstance(x, BaseMessage) for x in value)
    )


def _said(message: AnyMessage) -> Said:
    usage = getattr(message, "usage_metadata", None) or {}
    calls = getattr(message, "tool_calls", None) or []
    name = message.name or (message.tool_call_id if isinstance(message, ToolMessage) else "")
    who = WHO.get(message.type, message.type)
    return Said(
        kind=message.type,
        who=f"{who} · {name}" if name else who,
        text=str(message.text),
        calls=tuple((each["name"], pretty(each["args"])) for each in calls),
        rest=_rest(message),
        tokens=int(usage.get("total_tokens", 0)),
    )


def _rest(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return ""
    known = ("text", "tool_use", "tool_call")
    blocks = [x for x in message.content if isinstance(x, dict) and x.get("type") not in known]
    return pretty(plain(blocks)) if blocks else ""
