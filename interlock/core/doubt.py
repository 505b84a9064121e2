"""In doubt: an intention without a result. It is probed, repeated, or a person is asked; it is never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from langgraph.runtime import Runtime
from pydantic import AfterValidator, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from interlock.core.actions import Action, action, find
from interlock.core.context import Around
from interlock.core.gate import DecisionType, Question, ask_person
from interlock.core.ledger import Entry, Intention
from interlock.errors import EffectInDoubt


def _fits(result: Any, told: ValidationInfo) -> Any:  # JSON
    """Refuse a result that the action cannot return; pydantic asks nobody about a result that was not given."""
    try:
        find(str(told.data.get("action"))).result.validate_python(result)
    except ValidationError as error:
        raise PydanticCustomError(
            "result", "it is not what {action} returns", {"action": told.data.get("action")}
        ) from error
    return result


@action(name="did_it_happen", touches="the ledger alone", reversible=True)
async def DID_IT_HAPPEN(  # noqa: N802  # an action, once it is declared
    effect: str,
    attempt: int,
    action: str,  # the name that a person reads
    arguments: dict[str, Any],  # JSON
    result: Annotated[Any, AfterValidator(_fits)] = None,  # JSON
) -> None:
    """Say whether an act happened whose outcome is unknown."""


async def settle(
    runtime: Runtime[Any],
    around: Around,
    declared: Action[Any],
    intention: Intention,
    entry: Entry,
    *,
    may_act: bool,
) -> Entry:
    """Find out what became of an earlier attempt, and return how the effect stands then.

    Args:
        runtime: the node's.
        around: the run's.
        declared: the action.
        intention: what was about to happen.
        entry: in doubt.
        may_act: whether it may be done again; without that it is only found out.

    Raises:
        EffectInDoubt: only doing it again would tell, and that may not be; or the probe tells no result.
    """
    ledger = around.ports.ledger
    # First: an action must be given the key to leave it where its probe looks, and that alone makes nothing repeatable.
    if declared.probe is not None:
        found = await declared.probe(entry.key)
        result = None if found is None else _stored(declared, found.result)
        return await ledger.settle(
            entry.key, entry.attempt, happened=found is not None, result=result, by="probe"
        )
    if declared.repeatable:
        if not may_act:
            raise EffectInDoubt(
                f"Whether {declared.name} happened is not known, and it may not be repeated now.",
                hint=f"Look at {declared.touches}, then `interlock effects resolve {entry.key[:12]}`.",
            )
        return await ledger.claim(entry.key, entry.attempt)
    decision = await ask_person(runtime, _question(declared, intention, entry))
    happened = decision["type"] in ("approve", "edit")
    result = decision["arguments"].get("result") if happened else None
    return await ledger.settle(
        entry.key, entry.attempt, happened=happened, result=result, by=decision["by"] or "a person"
    )


def _stored(declared: Action[Any], result: Any) -> Any:  # what a probe found -> JSON
    try:
        return declared.result.dump_python(declared.result.validate_python(result), mode="json")
    except ValidationError as error:
        raise EffectInDoubt(
            f"The probe of {declared.name} found what {declared.name} cannot return: {result!r}.",
            hint=f"Mend the probe, then resume the run; until then {declared.name} is in doubt.",
        ) from error


IN_DOUBT = "In doubt: "


def in_doubt(declared: Action[Any], key: str) -> str:
    """Return the note on an error after which it is not known whether an act happened: what will be done about it."""
    if declared.probe is not None:
        then = "it is probed when the run is resumed"
    elif declared.repeatable:
        then = "it is done again, with the same key, when the run is resumed"
    else:
        then = (
            f"a person is asked when the run is resumed, or `interlock effects resolve {key[:12]}`"
        )
    return f"{IN_DOUBT}{declared.name} may have happened; {then}."


def doubts(error: BaseException) -> list[str]:
    """Return what an error says of acts whose outcome is not known."""
    return [each for each in getattr(error, "__notes__", ()) if each.startswith(IN_DOUBT)]


def accepts_nothing(declared: Action[Any]) -> bool:
    """Say whether an action may return None, so that "it happened" says all there is to say."""
    try:
        declared.result.validate_python(None)
    except ValidationError:
        return False
    return True


def _question(declared: Action[Any], intention: Intention, entry: Entry) -> Question:
    decisions: tuple[DecisionType, ...] = ("approve", "edit", "reject")
    return Question(
        action=DID_IT_HAPPEN,
        arguments={
            "effect": entry.key,
            "attempt": entry.attempt,
            "action": declared.name,
            "arguments": dict(intention.arguments),
        },
        summary=f"Did {declared.name} happen? An earlier attempt stopped before its outcome was known.",
        evidence=tuple(_evidence(declared, intention, entry)),
        consequences=_CONSEQUENCES,
        decisions=decisions if accepts_nothing(declared) else decisions[1:],
        fixed=("effect", "attempt", "action", "arguments"),
        kind="in_doubt",
        effect=entry.key,
        terms={"who": list(intention.verdict.get("terms", {}).get("who", ()))},
    )


_CONSEQUENCES: Mapping[DecisionType, str] = {
    "approve": "It is written down as having happened, and is not done again.",
    "edit": "The same, with what it returned: --set result=…",
    "reject": "It is written down as not having happened; it is done now, if it still may be.",
}


def _evidence(declared: Action[Any], intention: Intention, entry: Entry) -> list[str]:
    lines = [
        f"look at: {declared.touches}",
        f"key given to the outside: none; key of the effect: {entry.key}",
        f"attempt {entry.attempt} in node {intention.site.node} of thread {intention.site.thread_id}",
    ]
    if entry.error:
        lines.append(f"that attempt raised {entry.error}")
    return lines if declared.reversible else [*lines, "it cannot be undone"]
