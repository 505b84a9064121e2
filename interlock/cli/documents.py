"""What `--json` prints: plain documents made from the runtime's values. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from interlock.cli.texts import plain
from interlock.core.offline import NOTICE
from interlock.core.runs import OpenQuestion, Run, Step, Usage

if TYPE_CHECKING:
    from interlock.core.runs import ThreadSummary
    from interlock.differences import Difference

JSON = dict[str, Any]  # a JSON object


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
        "asked_at": question.asked_at.isoformat(),
        "action": question.action,
        "arguments": dict(question.arguments),
        "summary": question.summary,
        "evidence": question.evidence,
        "consequences": dict(question.consequences),
        "decisions": question.decisions,
        "payload": plain(question.payload),
    }


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
        "questions": list(step.questions),
        "seconds": step.seconds,
        "usage": usage_document(step.usage),
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
    }


def _side(thread: str, path: tuple[str, ...], usage: Usage, effects: tuple[str, ...]) -> JSON:
    return {
        "thread_id": thread,
        "path": list(path),
        "usage": usage_document(usage),
        "effects": list(effects),
    }


def _model(model: str) -> JSON:
    notice = notice_of(model)
    return {"model": model} | ({"notice": notice} if notice else {})
