"""Events of the protocol, made from what the runs of a thread told: the same ones whenever they are made.

What a client has is named by `seq`. It is made from the place in the log, so that any server process goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from interlock.core.runs import Run
from interlock.core.stream_events import StreamEvent
from interlock.server.v3.speaking import Speech, is_whole, message_of

Namespace = tuple[str, ...]

Told = tuple[str, Namespace, Any]
"""A method, the path of the subgraph, and data."""

MODES = ("values", "updates", "messages-tuple", "tools", "custom", "tasks", "checkpoints")
"""What a run tells that is watched so."""

AT_ONE_PLACE = 64
"""How many events of the protocol one of the log may become and still have each a number of its own; the numbers of a
thread stay whole numbers of JavaScript for four years."""

FAILED = ("failed", "dead", "killed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the protocol.

    Attributes:
        seq: grows along a thread.
        data: of the method.
    """

    seq: int
    event_id: str
    method: str
    namespace: Namespace
    timestamp: int  # milliseconds
    data: Any

    @property
    def message(self) -> dict[str, Any]:  # JSON
        """Return it as it is sent."""
        params = {
            "namespace": list(self.namespace),
            "timestamp": self.timestamp,
            "data": self.data,
        }
        return {
            "type": "event",
            "event_id": self.event_id,
            "seq": self.seq,
            "method": self.method,
            "params": params,
        }


@dataclass(slots=True)
class Fold:
    """Makes events of one thread, from the beginning of a run on.

    Attributes:
        base: microseconds at which the thread was made; places in the log are such, too.
    """

    base: int
    _run_id: str = ""  # of the run that is told of; empty between runs
    _over: set[str] = field(default_factory=set)
    _speeches: dict[tuple[Namespace, str], Speech] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _open: dict[Namespace, None] = field(default_factory=dict)
    _seen: set[Namespace] = field(default_factory=set)
    _asked: dict[str, tuple[Namespace, Any]] = field(default_factory=dict)

    def events(self, told: StreamEvent, run: Run | None) -> list[Event]:
        """Return what an event of the log becomes; `run` is given where one begins or has ended."""
        place = int(told.id)
        made = enumerate(self._told(told, run))
        return [
            Event(
                seq=seq_of(place, self.base, number),
                event_id=f"{told.id}-{number}",
                method=method,
                namespace=namespace,
                timestamp=place // 1000,
                data=data,
            )
            for number, (method, namespace, data) in made
        ]

    def _told(self, told: StreamEvent, run: Run | None) -> Iterator[Told]:
        data = orjson.loads(told.data)
        if told.event == "metadata" and run is not None:
            yield from self._ended(run) if "status" in data else self._begun(run)
        elif told.event != "metadata":
            yield from self._entered(told.ns)
            yield from self._of_mode(told.mode, told.ns, data)

    def _begun(self, run: Run) -> Iterator[Told]:
        if self._run_id == run.run_id:
            yield from self._broken("The attempt was cut off, and begins again.")
        self._forget()
        self._run_id = run.run_id
        yield "lifecycle", (), {"event": "running", "graph_name": run.graph}

    def _ended(self, run: Run) -> Iterator[Told]:
        if self._is_late(run) or self._sleeps(run):
            return
        if self._run_id != run.run_id:  # it told nothing before
            yield from self._begun(run)
        status = _status(run, asks=bool(self._asked))
        yield from self._broken(run.error) if status == "failed" else self._finished()
        for namespace in reversed(self._open):
            yield "lifecycle", namespace, {"event": status, "graph_name": _name(namespace)}
        if run.status != "cancelled":  # else nobody can answer any more
            yield from self._questions()
        why = {"error": run.error} if status == "failed" else {}
        yield "lifecycle", (), {"event": status, "graph_name": run.graph, **why}
        self._over.add(run.run_id)
        self._forget()

    def _questions(self) -> Iterator[Told]:
        for interrupt_id, (namespace, value) in self._asked.items():
            asked = {"interrupt_id": interrupt_id, "payload": value, "value": value}
            yield "input.requested", namespace, asked

    def _is_late(self, run: Run) -> bool:
        """Say whether a run waited, and now ends only because something took the place of its question."""
        began = run.attempts > 0 and self._run_id != run.run_id
        return run.run_id in self._over or (began and run.status == "cancelled")

    def _sleeps(self, run: Run) -> bool:
        """Say whether another run goes on with it of its own accord."""
        return run.status == "waiting" and not self._asked and run.error_kind != "breakpoint"

    def _forget(self) -> None:
        """Leave nothing of a run for the next one."""
        self._run_id = ""
        for known in (self._speeches, self._said, self._open, self._seen, self._asked):
            known.clear()

    def _entered(self, namespace: Namespace) -> Iterator[Told]:
        """Tell of subgraphs in which nothing was told yet."""
        for length in range(1, len(namespace) + 1):
            path = namespace[:length]
            if path not in self._seen:
                self._seen.add(path)
                self._open[path] = None
                _, _, task = path[-1].partition(":")
                about = {"graph_name": _name(path), "trigger_call_id": task}
                yield "lifecycle", path, {"event": "started", "namespace": list(path), **about}

    def _of_mode(self, mode: str, namespace: Namespace, data: Any) -> Iterator[Told]:
        match mode:
            case "messages":
                yield from self._of_message(namespace, data)
            case "values":
                yield "values", namespace, self._without_questions(namespace, data)
            case "updates" if not (isinstance(data, dict) and "__interrupt__" in data):
                yield "updates", namespace, _update(data)
            case "tasks":
                yield from self._of_task(namespace, data)
            case "checkpoints":
                yield "checkpoints", namespace, _checkpoint(data)
            case "custom":
                yield "custom", namespace, _custom(data)
            case "tools":
                yield "tools", namespace, data
            case _:
                pass  # what runs tell that were started in other ways

    def _of_message(self, namespace: Namespace, data: Any) -> Iterator[Told]:
        told, about = data
        if (known := message_of(told)) is None:
            return
        role, message = known
        key = (namespace, str(message.id))
        if key[1] in self._said:
            return
        if (speech := self._speeches.get(key)) is None:
            speech = self._speeches[key] = Speech(key[1])
            yield "messages", namespace, speech.begun(role, str(about.get("langgraph_node", "")))
        for piece in speech.heard(message):
            yield "messages", namespace, piece
        if is_whole(message):
            yield from self._finished(key)

    def _of_task(self, namespace: Namespace, data: Any) -> Iterator[Told]:
        if "result" in data:
            for path in [each for each in self._open if _is_of(each, namespace, data["id"])]:
                del self._open[path]
                about = {"event": _outcome(data), "graph_name": _name(path)}
                yield "lifecycle", path, about
            yield from self._finished(*(key for key in self._speeches if key[0] == namespace))
        yield "tasks", namespace, data

    def _finished(self, *keys: tuple[Namespace, str]) -> Iterator[Told]:
        """Tell that messages are said to their end: some, or all."""
        for key in keys or tuple(self._speeches):
            self._said.add(key[1])
            for piece in self._speeches.pop(key).finished():
                yield "messages", key[0], piece

    def _broken(self, why: str) -> Iterator[Told]:
        for (namespace, _), speech in self._speeches.items():
            yield "messages", namespace, speech.broken(why)
        self._speeches.clear()

    def _without_questions(self, namespace: Namespace, data: Any) -> Any:  # the graph's output
        """Keep what is asked until the run has ended: only then it can be answered."""
        if not isinstance(data, dict) or "__interrupt__" not in data:
            return data
        for each in data["__interrupt__"]:
            self._asked.setdefault(str(each["id"]), (namespace, each.get("value")))
        return {key: data[key] for key in data if key != "__interrupt__"}


def seq_of(place: int, base: int, number: int) -> int:
    """Return the number of an event, which is one of several of a place in the log."""
    return max(0, place - base) * AT_ONE_PLACE + min(number, AT_ONE_PLACE - 1)


def place_of(seq: int, base: int) -> int:
    """Return the place in the log that an event was made from."""
    return base + seq // AT_ONE_PLACE


def _status(run: Run, *, asks: bool) -> str:
    if asks or run.status in ("waiting", "cancelled"):
        return "interrupted"
    return "failed" if run.status in FAILED else "completed"


def _outcome(task: Mapping[str, Any]) -> str:
    if task.get("interrupts"):
        return "interrupted"
    return "failed" if task.get("error") else "completed"


def _is_of(path: Namespace, parent: Namespace, task_id: str) -> bool:
    return path[:-1] == parent and path[-1].partition(":")[2] == task_id


def _name(path: Namespace) -> str:
    return path[-1].partition(":")[0]


def _update(data: Any) -> dict[str, Any]:
    if isinstance(data, dict) and len(data) == 1:
        node, values = next(iter(data.items()))
        return {"node": node, "values": values if isinstance(values, dict) else {"value": values}}
    return {"values": data if isinstance(data, dict) else {"value": data}}


def _custom(data: Any) -> dict[str, Any]:
    """Return what a graph wrote; `{"name", "payload"}` is told under its name."""
    if isinstance(data, dict) and data.keys() == {"name", "payload"}:
        return data
    return {"payload": data}


def _checkpoint(data: Mapping[str, Any]) -> dict[str, Any]:
    metadata = data.get("metadata") or {}
    parent = _id(data.get("parent_config"))
    about = {"step": metadata.get("step"), "source": metadata.get("source")}
    return {"id": _id(data.get("config")), **({"parent_id": parent} if parent else {}), **about}


def _id(config: Mapping[str, Any] | None) -> str:
    return str(((config or {}).get("configurable") or {}).get("checkpoint_id") or "")
