"""Runs, questions, steps, threads and comparisons as documents. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from interlock.core.offline import NOTICE
from interlock.core.questions import Notification, OpenQuestion, QuestionEvent, Swept
from interlock.core.runs import Run, Step, Usage

if TYPE_CHECKING:
    from interlock.core.effects import Effect
    from interlock.core.runs import ThreadSummary, Tree
    from interlock.differences import Difference

JSON = dict[str, Any]  # a JSON object


def plain(value: Any) -> Any:  # a value of any state -> JSON
    """Return a value as JSON, whatever it is made of."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=str, serialize_unknown=True)


def notice_of(model: str) -> str:
    """Return what every screen of a run without a language model says; empty for a run with one."""
    return NOTICE if model.startswith("offline:") else ""


def run_document(run: Run) -> JSON:
    """Return a run with its questions and its output."""
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "graph": run.graph,
        "status": run.status,
        "alive": run.alive,
        **_model(run.model),
        "questions": [question_document(each) for each in run.interrupts],
        "output": plain(run.output),
        "partial": run.partial or None,
        "wakes_at": run.wakes_at.isoformat() if run.wakes_at else None,
        "error": {"kind": run.error_kind, "message": run.error} if run.error else None,
    }


def question_document(question: OpenQuestion) -> JSON:
    """Return a question with all that an answer can be decided by."""
    return {
        "id": question.id,
        "thread_id": question.thread_id,
        "run_id": question.run_id,
        "graph": question.graph,
        "node": question.node,
        "status": question.status,
        "answered_by": question.answered_by,
        "asked_at": question.asked_at.isoformat(),
        "kind": question.kind,
        "effect": question.effect,
        "action": question.action,
        "arguments": dict(question.arguments),
        "summary": question.summary,
        "evidence": question.evidence,
        "consequences": dict(question.consequences),
        "decisions": question.decisions,
        "digest": question.request,
        "cost": question.cost,
        "verdict": plain(question.verdict),
        "assignees": list(question.assignees),
        "needed": question.needed,
        "votes": [asdict(each) for each in question.votes],
        "deadline": _time(question.deadline),
        "default": question.default if question.deadline else None,
        "level": question.level,
        "payload": plain(question.payload),
    }


def event_document(event: QuestionEvent) -> JSON:
    """Return something that happened to a question."""
    return {
        "kind": event.kind,
        "who": event.who,
        "at": event.at.isoformat(),
        "detail": plain(event.detail),
    }


def swept_document(swept: Swept) -> JSON:
    """Return a step that time made a question take."""
    return asdict(swept)


def notification_document(notification: Notification) -> JSON:
    """Return a notification; its target is named without what is secret of it."""
    times = {"due_at": _time(notification.due_at), "sent_at": _time(notification.sent_at)}
    return asdict(notification) | times


def step_document(step: Step, *, values: bool = False) -> JSON:
    """Return a step, on request with the whole state."""
    document = {
        "step": step.number,
        "checkpoint_id": step.checkpoint_id,
        "created_at": step.created_at.isoformat(),
        "run_id": step.run_id,
        "source": step.source,
        "nodes": list(step.nodes),
        "next": list(step.next),
        "changed": list(step.changed),
        "inside": step.inside,
        "path": list(step.path),
        "questions": list(step.questions),
        "seconds": step.seconds,
        "usage": usage_document(step.usage),
        "folded": step.folded,
    }
    return document | ({"values": plain(step.values)} if values else {})


def usage_document(usage: Usage) -> JSON:
    """Return what model calls took; a cost of null is not known."""
    return asdict(usage)


def thread_document(thread: ThreadSummary) -> JSON:
    """Return a thread as a list shows it."""
    return {
        "thread_id": thread.thread_id,
        "graph": thread.graph,
        "title": thread.title,
        "status": thread.status,
        "alive": thread.alive,
        "updated_at": thread.updated_at.isoformat(),
        "parent_thread_id": thread.parent_thread_id,
        "error": thread.error,
        **_model(thread.model),
    }


def tree_document(tree: Tree) -> JSON:
    """Return a thread with all that was forked from it."""
    return {
        "thread_id": tree.thread_id,
        "title": tree.title,
        "status": tree.status,
        "purpose": tree.purpose,
        "forked_at": tree.forked_at,
        "forked_inside": list(tree.forked_inside),
        "created_at": tree.created_at.isoformat(),
        "effects": tree.effects,
        "tokens": tree.tokens,
        "asked": tree.asked,
        "children": [tree_document(child) for child in tree.children],
    }


def difference_document(difference: Difference, model: str) -> JSON:
    """Return how two threads differ."""
    return {
        **_model(model),
        "common_steps": difference.common_steps,
        "changed": {
            key: {"a": plain(a), "b": plain(b)} for key, (a, b) in difference.changed.items()
        },
        "a": _side(difference.a, difference.path_a, difference.usage_a, difference.effects_a),
        "b": _side(difference.b, difference.path_b, difference.usage_b, difference.effects_b),
        "effects": {
            "both": [_act(each) for each in difference.effects_both],
            "only_a": [_act(each) for each in difference.effects_only_a],
            "only_b": [_act(each) for each in difference.effects_only_b],
        },
    }


def _act(effect: Effect) -> JSON:
    return {
        "key": effect.key,
        "thread_id": effect.thread_id,
        "node": effect.node,
        "action": effect.action,
        "arguments": plain(effect.arguments),
        "cost": effect.cost,
    }


def _side(thread: str, path: tuple[str, ...], usage: Usage, effects: tuple[str, ...]) -> JSON:
    return {
        "thread_id": thread,
        "path": list(path),
        "usage": usage_document(usage),
        "effects": list(effects),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _model(model: str) -> JSON:
    notice = notice_of(model)
    return {"model": model} | ({"notice": notice} if notice else {})
