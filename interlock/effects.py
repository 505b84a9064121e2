"""What a person says of an act whose outcome is unknown: checked against the action, then written to the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from interlock.core.actions import find
from interlock.core.answers import AnswerForm, Approve, Edit, Reject
from interlock.core.doubt import accepts_nothing
from interlock.core.effects import Effect
from interlock.errors import UsageError


def check_in_doubt(effect: Effect) -> None:
    """Raise `UsageError` when it is known what became of an effect, or somebody is at work on it."""
    if effect.status == "in_doubt":
        return
    said = {
        "done": "is done",
        "underway": "is underway: its process lives",
        "not_done": "was written down as not having happened",
    }
    raise UsageError(
        f"Effect {effect.key[:12]} {said[effect.status]}; only one in doubt can be resolved.",
        hint="`interlock effects --in-doubt` lists those.",
    )


def checked_result(effect: Effect, result: Any) -> Any:  # JSON
    """Return what an act that happened returned, as it is stored; raises `UsageError` when it cannot be that."""
    declared = find(effect.action)
    if result is None and not accepts_nothing(declared):
        raise UsageError(
            f"{effect.action} returns something, and the agent waits for it.",
            hint=f"Say what it returned: --result JSON, as {_schema(effect.action)}.",
        )
    try:
        return declared.result.dump_python(declared.result.validate_python(result), mode="json")
    except ValidationError as error:
        faults = "; ".join(each["msg"] for each in error.errors())
        raise UsageError(
            f"That is not what {effect.action} returns: {faults}.",
            hint=f"Give JSON as {_schema(effect.action)}.",
        ) from error


def answer_to(question_id: str, *, happened: bool, result: Any, by: str) -> AnswerForm:  # JSON
    """Return the same as an answer to the question that a thread asks about an effect in doubt."""
    if not happened:
        return Reject(question_id, by=by)
    return Approve(question_id, by) if result is None else Edit(question_id, {"result": result}, by)


def doubted(payload: Mapping[str, Any]) -> str:  # an interrupt's value
    """Return the key of the effect that a question asks about; empty for any other question."""
    asked = payload.get("question")
    if not isinstance(asked, Mapping) or asked.get("kind") != "in_doubt":
        return ""
    return str(asked.get("effect", ""))


def _schema(action: str) -> str:
    schema = find(action).result.json_schema()
    return str(schema.get("type") or schema.get("title") or schema)
