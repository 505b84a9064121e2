"""Tasks and what happens to them, as each version of the protocol words them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from interlock.server.a2a.messages import of_state, text_of

Json = dict[str, Any]

State = Literal["submitted", "working", "input-required", "completed", "failed", "canceled"]

OVER: tuple[State, ...] = ("completed", "failed", "canceled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A run, and those that go on with it when it is answered.

    Attributes:
        task_id: of the first of them.
        context_id: the thread.
        why: what failed.
        asks: what it waits for, each with its interrupt's id and value.
        output: of the graph, as JSON; None before there is one.
    """

    task_id: str
    context_id: str
    state: State
    why: str = ""
    asks: Sequence[Mapping[str, Any]] = ()
    output: Any = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Words:
    """One version of the protocol.

    Attributes:
        new: it is 1.0; else it is 0.3.
    """

    new: bool

    def sent(self, task: Task, history: int | None = None) -> Json:
        """Return a task as the answer to a message."""
        return {"task": self.task(task, history)} if self.new else self.task(task, history)

    def task(self, task: Task, history: int | None = None) -> Json:
        """Return a task with so many of its last messages; default: all."""
        said = self._history(task)
        kept = said if history is None else said[len(said) - min(history, len(said)) :]
        return {
            **self._kind("task"),
            "id": task.task_id,
            "contextId": task.context_id,
            "status": self._status(task),
            **({"artifacts": [self._artifact(task)]} if task.state == "completed" else {}),
            **({"history": kept} if kept else {}),
        }

    def changed(self, task: Task) -> Json:
        """Return how a task stands now, as a part of a stream."""
        told = {**self._names(task), "status": self._status(task)}
        if self.new:
            return {"statusUpdate": told}
        last = task.state in (*OVER, "input-required")
        return {"kind": "status-update", **told, "final": last}

    def said(self, task: Task, message_id: str, text: str, *, more: bool, last: bool) -> Json:
        """Return a piece of what an agent says, as a part of a stream."""
        artifact = {"artifactId": message_id, "parts": [self._text(text)]}
        told = {**self._names(task), "artifact": artifact, "append": more, "lastChunk": last}
        return {"artifactUpdate": told} if self.new else {"kind": "artifact-update", **told}

    def made(self, task: Task) -> Json:
        """Return what came of a task, as a part of a stream."""
        told = {**self._names(task), "artifact": self._artifact(task), "lastChunk": True}
        return {"artifactUpdate": told} if self.new else {"kind": "artifact-update", **told}

    def _status(self, task: Task) -> Json:
        state = f"TASK_STATE_{task.state.upper().replace('-', '_')}" if self.new else task.state
        told = self._why(task)
        return {
            "state": state,
            "timestamp": task.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **({"message": told} if told else {}),
        }

    def _why(self, task: Task) -> Json | None:
        if task.state == "input-required":
            asked = [{"id": each.get("id"), "value": each.get("value")} for each in task.asks]
            texts = [str(each["value"]) for each in asked if isinstance(each["value"], str)]
            parts = [self._text(text) for text in texts] + [self._data(each) for each in asked]
            return self._message(task, f"{task.task_id}-asks", "agent", parts)
        if task.why:
            return self._message(task, f"{task.task_id}-failed", "agent", [self._text(task.why)])
        return None

    def _artifact(self, task: Task) -> Json:
        said = of_state(task.output)
        last = said[-1] if said and said[-1].get("type") == "ai" else None
        if last is None or not text_of(last):
            return {"artifactId": f"{task.task_id}-output", "parts": [self._data(task.output)]}
        return {
            "artifactId": str(last.get("id") or f"{task.task_id}-output"),
            "parts": [self._text(text_of(last))],
        }

    def _history(self, task: Task) -> list[Json]:
        roles = {"human": "user", "ai": "agent"}
        return [
            self._message(
                task, str(each.get("id")), roles[str(each["type"])], [self._text(text_of(each))]
            )
            for each in of_state(task.output)
            if each.get("type") in roles
        ]

    def _message(self, task: Task, name: str, role: str, parts: Sequence[Json]) -> Json:
        return {
            **self._kind("message"),
            "role": f"ROLE_{role.upper()}" if self.new else role,
            "messageId": name,
            "parts": list(parts),
            **self._names(task),
        }

    def _names(self, task: Task) -> Json:
        return {"taskId": task.task_id, "contextId": task.context_id}

    def _text(self, text: str) -> Json:
        return {**self._kind("text"), "text": text}

    def _data(self, data: Any) -> Json:  # JSON
        known = data if isinstance(data, dict) or self.new else {"value": data}
        return {**self._kind("data"), "data": known}

    def _kind(self, kind: str) -> Json:
        return {} if self.new else {"kind": kind}
