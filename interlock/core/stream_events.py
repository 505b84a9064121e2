"""What of a running graph's stream becomes an event, in the words of the LangGraph server's protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from interlock.core.identity import told

Told = tuple[str, Any]
"""An event's name, and its data, which `wire.dumps` writes."""

LANGGRAPH: Mapping[str, str] = {
    "values": "values",
    "updates": "updates",
    "custom": "custom",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
    "debug": "debug",
    "tools": "tools",
    "messages": "messages",
    "messages-tuple": "messages",
}
"""What LangGraph is asked for when a client asks for a mode; `events` are asked for in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """An event of a run, as the log has it.

    Attributes:
        id: sorts as the events of a run, and of a thread, came; the place to go on behind.
        event: its name in the protocol, with the path of the subgraph that it comes from: `updates|inner:…`.
        data: JSON.
        run_id: the run that it is of.
    """

    id: str
    event: str
    data: bytes
    run_id: str

    @property
    def mode(self) -> str:
        """The name without the path."""
        return self.event.partition("|")[0]

    @property
    def ns(self) -> tuple[str, ...]:
        """The path of the subgraph that it comes from; empty for the graph itself."""
        return tuple(self.event.split("|")[1:])


def asked_for(modes: Iterable[str]) -> set[str]:
    """Return the modes of LangGraph that some modes of the protocol take."""
    return {LANGGRAPH[mode] for mode in modes if mode in LANGGRAPH}


@dataclass(slots=True)
class Teller:
    """Tells of one attempt at a run what its client asked for.

    Attributes:
        modes: as the client named them.
        subgraphs: whether what subgraphs do is told, too.
    """

    modes: frozenset[str]
    subgraphs: bool = False
    _said: dict[str, BaseMessage] = field(default_factory=dict)

    def told(self, part: Mapping[str, Any]) -> list[Told]:
        """Return the events that a part becomes; none when nobody asked for it.

        Args:
            part: `type`, `ns`, `data`, and for values `interrupts`, as LangGraph's stream yields them.
        """
        mode, ns, data = part["type"], part["ns"], part["data"]
        if ns and not self.subgraphs:
            return []
        if mode == "messages":
            return self._of_message(ns, data)
        if mode not in self.modes:
            return []
        return [("|".join((mode, *ns)), _shown(mode, data, part.get("interrupts", ())))]

    def _of_message(self, ns: Sequence[str], data: tuple[Any, Any]) -> list[Told]:
        if "messages-tuple" in self.modes:
            return [("|".join(("messages", *ns)), data)]
        if "messages" not in self.modes:
            return []
        message, about = data
        return [*self._introduced(message, about), *self._said_so_far(message)]

    def _introduced(self, message: BaseMessage, about: Any) -> list[Told]:  # its metadata
        if str(message.id) in self._said:
            return []
        return [("messages/metadata", {str(message.id): {"metadata": about}})]

    def _said_so_far(self, message: BaseMessage) -> list[Told]:
        before = self._said.get(str(message.id))
        if not isinstance(message, BaseMessageChunk):
            self._said[str(message.id)] = message
            return [("messages/complete", [message])]
        whole = before + message if isinstance(before, BaseMessageChunk) else message
        assert isinstance(whole, BaseMessageChunk)  # noqa: S101  # a chunk and a chunk are one
        self._said[str(message.id)] = whole
        return [("messages/partial", [message_chunk_to_message(whole)])]


def _shown(mode: str, data: Any, interrupts: Sequence[Any]) -> Any:  # of a mode -> of the protocol
    match mode:
        case "values":
            return _values(data, interrupts)
        case "checkpoints":
            return _checkpoint(data)
        case "debug" if data["type"] == "checkpoint":
            return {**data, "payload": _located(_checkpoint(data["payload"]))}
        case _:
            return data


def _values(values: Any, interrupts: Sequence[Any]) -> Any:  # the graph's output
    if not interrupts:
        return values
    known = values.model_dump() if hasattr(values, "model_dump") else values
    if not isinstance(known, Mapping):
        return {"__interrupt__": interrupts}
    return {**known, "__interrupt__": interrupts}


def _checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    configs = {key: _config(payload[key]) for key in ("config", "parent_config") if key in payload}
    return {**payload, **configs}


def _config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a config as a client may see it: what the runtime keeps in it is no JSON, and is nobody's business."""
    if config is None:
        return None
    known = config.get("configurable", {})
    shown = {key: each for key, each in told(known, known).items() if not key.startswith("__")}
    return {"configurable": shown}


_PLACE = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")


def _located(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **payload,
        "checkpoint": _place(payload.get("config")),
        "parent_checkpoint": _place(payload.get("parent_config")),
        "tasks": [_task(task) for task in payload["tasks"]],
    }


def _place(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    known = config["configurable"]
    return {key: known[key] for key in _PLACE if key in known}


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    state = task.get("state")
    if not isinstance(state, Mapping) or "configurable" not in state:
        return dict(task)
    rest = {key: task[key] for key in task if key != "state"}
    return {**rest, "checkpoint": state["configurable"]}
