"""Questions that runs ask people, and what happened to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

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
        asked = self.payload.get(self._asked_under)
        return str(asked or json.dumps(self.payload, ensure_ascii=False))

    @property
    def details(self) -> Mapping[str, Any]:  # JSON
        """What an interrupt of another application tells beside its question, by key; all of it where none is found."""
        if self._request:
            return {}
        if not self.payload.get(self._asked_under):
            return self.payload if len(self.payload) > 1 else {}
        return {key: value for key, value in self.payload.items() if key != self._asked_under}

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
    def _asked_under(self) -> str:
        """The key of the payload under which an interrupt of another application asks."""
        return "value" if "value" in self.payload else "question"

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


def _mapping(value: object) -> Mapping[str, Any]:  # JSON
    return value if isinstance(value, Mapping) else {}
