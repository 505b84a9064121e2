"""What a change means at the last checkpoint of a dead run: checked, and the same for its trial and its promotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from interlock.core import prompts
from interlock.core.effects import Effect
from interlock.core.letters import LetterDetail
from interlock.core.repairs import Change
from interlock.errors import PromptError, UsageError
from interlock.forks import changes_of
from interlock.postgres.repairs import Amendment
from interlock.repair.casebook import line_of
from interlock.repair.routes import gone_round

if TYPE_CHECKING:
    from interlock.repair.repairing import Repairing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change comes to.

    Attributes:
        amendment: what is written.
        skips: the node that is not run again; empty for none.
    """

    amendment: Amendment = field(default_factory=Amendment)
    skips: str = ""


async def plan_of(il: Repairing, detail: LetterDetail, change: Change) -> Plan:
    """Return what a change means for the run of a letter; raises `UsageError` when it does not fit."""
    match change.kind:
        case "prompt":
            return await _prompt(il, detail, change)
        case "state":
            return _state(il, detail, change)
        case "route":
            return await _route(il, detail, change)
        case "arguments":
            raise UsageError("Arguments cannot be changed yet.")
        case never:
            assert_never(never)


async def _prompt(il: Repairing, detail: LetterDetail, change: Change) -> Plan:
    try:
        prompts.load(change.prompt, change.version)
    except PromptError as error:
        raise UsageError(str(error.args[0])) from error
    stored = await il.store.stored(detail.letter.run_id)
    if change.prompt not in stored.context.get("prompts", {}):
        raise UsageError(f"The run uses no prompt {change.prompt!r}.")
    return Plan(amendment=Amendment(prompt=(change.prompt, change.version)))


def _state(il: Repairing, detail: LetterDetail, change: Change) -> Plan:
    if not (values := change.state()):
        raise UsageError("A change of the state names no key.")
    return Plan(amendment=Amendment(changes=changes_of(il.graph(detail.letter.graph), values)))


async def _route(il: Repairing, detail: LetterDetail, change: Change) -> Plan:
    remains = await il.remains(detail.letter)
    _refuse_doubt([each for each in detail.in_doubt if each.agent == remains.node])
    written = await gone_round(remains, change.goto, change.state())
    return Plan(amendment=Amendment(written=written), skips=remains.node)


def _refuse_doubt(acts: Sequence[Effect]) -> None:
    if acts:
        raise UsageError(
            f"{line_of(acts[0])} is in doubt: it may have been done.",
            hint=f"Find out, and settle it: `interlock effects show {acts[0].key[:12]}`.",
        )
