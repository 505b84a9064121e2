"""What callers of the runtime see: runs, questions, steps of a thread's history, and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from interlock.core.run_states import RunStatus

RunKind = Literal["invoke", "resume", "fork"]

BREAKPOINT = "breakpoint"
"""The kind of a stop before or after a node that was named for it."""

QuestionStatus = Literal["open", "answered", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's consent to a question that several must agree to."""

    by: str
    decision: Literal["approve", "edit"]
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """A question that waits for a person, or waited.

    Attributes:
        id: what an answer names; a digest of thread, interrupt and arguments.
        interrupt_id: LangGraph's id of the interrupt.
        digest: SHA-256 of the action and its arguments, as they were asked about.
        payload: what the interrupt carries, as JSON.
        assignees: who may answer; empty for anybody.
        needed: how many people must agree.
        deadline: when it is answered by `default`; None for never.
        level: how often it was escalated.
        votes: who has agreed so far.
        proposed: the arguments that are agreed to after somebody edited them, as JSON; None before that.
        expired: whether its deadline had passed when it was read, by the database's clock.
    """

    id: str
    thread_id: str
    run_id: str
    graph: str
    node: str
    interrupt_id: str
    digest: str
    payload: Mapping[str, Any]
    asked_at: datetime
    status: QuestionStatus = "open"
    answered_by: str = ""
    assignees: tuple[str, ...] = ()
    needed: int = 1
    deadline: datetime | None = None
    level: int = 0
    votes: tuple[Vote, ...] = ()
    proposed: Mapping[str, Any] | None = None
    expired: bool = False

    @property
    def action(self) -> str:
        """Name of the action that waits; empty for an interrupt that is not an approval."""
        return str(self._request.get("name", ""))

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that an approval would permit, as JSON."""
        return dict(self._request.get("args", {}) if self.proposed is None else self.proposed)

    @property
    def request(self) -> str:
        """SHA-256 of the action with `arguments`: what an approval binds to now."""
        from interlock.core.actions import (
            digest,
        )  # which stands on the context, which stands on this

        if self.proposed is None:
            return self.digest
        return digest({"action": self.action, "arguments": dict(self.proposed)})

    @property
    def summary(self) -> str:
        """What a person can decide by."""
        if description := self._request.get("description"):
            return str(description)
        asked = self.payload.get("value", self.payload.get("question", ""))
        return str(asked or json.dumps(self.payload, ensure_ascii=False))

    @property
    def evidence(self) -> list[str]:
        """What supports it, one line each."""
        return [str(each) for each in self._info.get("evidence", [])]

    @property
    def consequences(self) -> Mapping[str, str]:
        """What each answer leads to, in the order in which the answers are offered."""
        known: dict[str, str] = dict(self._info.get("consequences", {}))
        offered = {each: known.pop(each) for each in self.decisions if each in known}
        return offered | known

    @property
    def decisions(self) -> list[str]:
        """The answers that are offered."""
        return [str(each) for each in self._first("review_configs").get("allowed_decisions", [])]

    @property
    def kind(self) -> str:
        """`approval` or `in_doubt`; empty for an interrupt of another application."""
        return str(self._info.get("kind", "approval")) if self.digest else ""

    @property
    def looked_up(self) -> bool:
        """Whether the gate finds the answer by the question's id; other answers are handed to the interrupt."""
        return bool(self.digest and self._info.get("id"))

    @property
    def effect(self) -> str:
        """Key of the effect that it would permit; empty where a node asks of its own accord."""
        return str(self._info.get("effect", ""))

    @property
    def cost(self) -> float | None:
        """An estimate in US dollars; None where there is none."""
        cost = self._info.get("cost")
        return float(cost) if isinstance(cost, int | float) else None

    @property
    def verdict(self) -> Mapping[str, Any]:  # a policy's verdict, as JSON
        """The policy's verdict that led to it."""
        return _mapping(self._info.get("verdict"))

    @property
    def terms(self) -> Mapping[str, Any]:  # a policy's terms, as JSON
        """Who must agree, how many, by when, and what follows if nobody answers."""
        return _mapping(self._info.get("terms")) if self.digest else {}

    @property
    def default(self) -> Literal["approve", "reject"]:
        """What the deadline answers: to reject, unless approval was declared and is offered."""
        approves = self.terms.get("default") == "approve" and "approve" in self.decisions
        return "approve" if approves else "reject"

    @property
    def _request(self) -> Mapping[str, Any]:  # JSON
        return self._first("action_requests")

    @property
    def _info(self) -> Mapping[str, Any]:  # JSON; another application's `question` may be anything
        return _mapping(self.payload.get("question"))

    def _first(self, key: str) -> Mapping[str, Any]:  # JSON
        found = self.payload.get(key)
        return _mapping(found[0] if isinstance(found, list) and found else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEvent:
    """Something that happened to a question.

    Attributes:
        kind: `asked`, `voted`, `edited`, `reminded`, `escalated`, `expired`, `answered`, `reopened`, `withdrawn`,
            `notified` or `not_notified`.
        who: who did it; empty where nobody did.
        at: by the database's clock.
        detail: more of it, as JSON.
    """

    kind: str
    who: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A step that time made a question take; after `expired` its thread has a run to go on with."""

    question_id: str
    thread_id: str
    step: Literal["reminded", "escalated", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message about a question to one target.

    Attributes:
        event: what it tells of, as in `QuestionEvent`.
        target: the target as it is shown, without what is secret of it.
        status: `outdated` when the question was closed before it could be sent.
        error: why the last try failed.
    """

    id: int
    question_id: str
    event: str
    target: str
    status: Literal["waiting", "sent", "failed", "outdated"]
    tries: int
    error: str
    due_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a graph on a thread.

    Attributes:
        status: how it stands.
        output: the graph's output once it succeeded, else None.
        interrupts: the questions that it waits for.
        error: what stopped it; empty unless it failed or was handed back.
        alive: whether a process is working on it now; a `running` run that is not alive lost its process.
        partial: why it was steered to its landing before it was through; empty when it was not.
        wakes_at: until when it sleeps; None when it does not.
    """

    run_id: str
    thread_id: str
    graph: str
    kind: RunKind
    status: RunStatus
    model: str
    attempts: int
    created_at: datetime
    output: Any = None  # the graph's output schema
    interrupts: tuple[OpenQuestion, ...] = ()
    error: str = ""
    error_kind: str = ""
    alive: bool = False
    partial: str = ""
    wakes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What model calls took: tokens, US dollars (None where a price is not known) and seconds."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=cost,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One checkpoint of a thread.

    Attributes:
        number: LangGraph's step number, -1 for the input.
        nodes: the nodes that ran to make it.
        next: the nodes that run next.
        changed: the state keys whose values differ from the step before.
        values: the whole state.
        seconds: wall time since the step before.
        usage: model calls made in this step, subgraphs included; none for a step inside a subgraph, as they are
            counted by the steps of the thread's own graph.
        inside: the checkpoint namespace of the subgraph that it is a step of; empty for the thread's own graph.
        path: the names of the nodes that lead to that subgraph, from the thread's own graph inwards.
        folded: how many steps were folded into it when its thread was pruned; `nodes`, `changed` and `usage` tell of
            these, too.
        folded_nodes: how often each node ran in those.
    """

    number: int
    checkpoint_id: str
    created_at: datetime
    source: str
    run_id: str
    nodes: tuple[str, ...]
    next: tuple[str, ...]
    changed: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)
    questions: tuple[str, ...] = ()
    seconds: float = 0.0
    usage: Usage = Usage()
    inside: str = ""
    path: tuple[str, ...] = ()
    folded: int = 0
    folded_nodes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSummary:
    """A thread as a list shows it."""

    thread_id: str
    graph: str
    title: str
    status: str
    alive: bool
    updated_at: datetime
    parent_thread_id: str | None
    error: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A thread with all that was forked from it.

    Attributes:
        purpose: `fork`, `replay`, or empty for the thread that all others come from.
        forked_at: number of the step that it was forked from; None when that step is gone, or for no fork.
        forked_inside: the names of the nodes that lead to the subgraph that this step is of.
        effects: how many actions it did; what a fork took from its parent's records is not counted.
        tokens: what its own model calls took.
        asked: whether it is the thread that the tree was asked for.
        children: oldest first.
    """

    thread_id: str
    title: str
    status: str
    purpose: str
    created_at: datetime
    effects: int
    tokens: int
    forked_at: int | None = None
    forked_inside: tuple[str, ...] = ()
    asked: bool = False
    children: tuple[Tree, ...] = ()


@dataclass(frozen=True, slots=True)
class Approve:
    """Let the action run with the arguments that were asked about.

    `digest` is the question's `request` as it was read, or its first characters: an answer to anything else is refused.
    """

    question_id: str
    by: str = ""
    message: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "approve", "message": self.message}


@dataclass(frozen=True, slots=True)
class Edit:
    """Let the action run with other arguments; those not named stay as they are."""

    question_id: str
    arguments: Mapping[str, Any]
    by: str = ""
    message: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {
            "type": "edit",
            "edited_action": {"args": dict(self.arguments)},
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not let the action run; a message tells the agents what to change."""

    question_id: str
    message: str = ""
    by: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "reject", "message": self.message}


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer in words instead of deciding."""

    question_id: str
    message: str
    by: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "respond", "message": self.message}


@dataclass(frozen=True, slots=True)
class Resume:
    """Answer an interrupt that is not an approval with a plain value."""

    question_id: str
    value: Any  # whatever the graph's own interrupt expects
    by: str = ""


AnswerForm = Approve | Edit | Reject | Respond | Resume
Answers = AnswerForm | Sequence[AnswerForm]
"""One answer, or several that are taken together or not at all."""


def _mapping(value: object) -> Mapping[str, Any]:  # JSON
    return value if isinstance(value, Mapping) else {}
