"""What a repair does, as actions: a trial, which changes nothing; the promotion; and the question for help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlock.core.actions import action
from interlock.core.context import around_here
from interlock.core.repairs import Change, NoWorkshop, Promoted, Trial, Workshop
from interlock.errors import ActionRefused, Killed, UsageError


@action(name="interlock_repair_try", touches="nothing", reads=True, nodes=("try",))
async def rehearse(letter: str, change: Change, number: int) -> Trial:
    """Try a change on a fork of the dead run, without effects; `number` keeps equal trials apart."""
    return await workshop().rehearse(letter, change)


@action(
    name="interlock_repair_promote",
    touches="the thread of a dead run, which goes on with the change",
    nodes=("promote",),
    risk="high",
)
async def promote(
    letter: str, change: Change, trial: str, state: Mapping[str, Any], idempotency_key: str
) -> Promoted:
    """Let a dead run go on with a change that was tried."""
    by = str(state.get("approval", {}).get("by", ""))
    try:
        return await workshop().promote(letter, change, by=by, key=idempotency_key)
    except (UsageError, Killed) as error:
        raise ActionRefused(
            f"Letter {letter} was not repaired: {error.args[0]}", kind="refused"
        ) from error


@action(name="interlock_repair_help", touches="nothing", reversible=True, idempotent=True)
async def ask_for_help(letter: str, found: str) -> str:
    """Stand in a question to a person: a hint is wanted; it is never done."""
    return found


def workshop() -> Workshop:
    """Return where the running node's dead runs are repaired."""
    around = around_here()
    return around.ports.workshop if around is not None else NoWorkshop()
