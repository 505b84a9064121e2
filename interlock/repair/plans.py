"""What a change means at the last checkpoint of a dead run: checked, and the same for its trial and its promotion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from interlock.core import actions, prompts
from interlock.core.actions import State
from interlock.core.effects import Effect
from interlock.core.letters import LetterDetail
from interlock.core.repairs import Change
from interlock.core.runs import Run
from interlock.errors import PromptError, UsageError
from interlock.forks import changes_of
from interlock.postgres.divergence import SHOWN
from interlock.postgres.repairs import Amendment
from interlock.repair.calls import Call, check
from interlock.repair.casebook import line_of
from interlock.repair.remains import Remains
from interlock.repair.routes import gone_round
from interlock.repair.sources import changes_for

if TYPE_CHECKING:
    from interlock.repair.repairing import Repairing


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A call with other arguments.

    Attributes:
        arguments: those that changed, as JSON.
    """

    name: str
    arguments: Mapping[str, Any]  # JSON

    @property
    def is_action(self) -> bool:
        """Whether a trial tells the arguments that it is called with."""
        return actions.is_declared(self.name)

    def __str__(self) -> str:
        """Return it as it would be called."""
        return f"{self.name}({', '.join(self._given)})"

    def is_in(self, request: str) -> bool:
        """Say whether an act, as a trial tells it, is this one."""
        begins = request.startswith(f"{self.name}(")
        return begins and all(
            f"{each}," in request or f"{each})" in request for each in self._given
        )

    @property
    def _given(self) -> list[str]:
        return [f"{name}={_told(value)}" for name, value in self.arguments.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change comes to.

    Attributes:
        amendment: what is written.
        skips: the node that is not run again; empty for none.
        expects: what a trial must come to; None for anything.
    """

    amendment: Amendment = field(default_factory=Amendment)
    skips: str = ""
    expects: Expected | None = None


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
            return await _arguments(il, detail, change)
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
    _refuse_unbegun(detail.run, remains)
    written = await gone_round(remains, change.goto, change.state())
    return Plan(amendment=Amendment(written=written), skips=remains.node)


def _refuse_unbegun(run: Run, remains: Remains) -> None:
    """Refuse to go round a node in a step that another run made: this one would begin with its input again."""
    if (remains.found.metadata or {}).get("run_id") == run.run_id or run.kind == "fork":
        return
    if run.kind == "invoke":
        raise UsageError(
            f"The run died before it ended a step of its own; {remains.node} cannot be gone round there.",
            hint="Change the state instead, or fork the thread from the step before.",
        )


async def _arguments(il: Repairing, detail: LetterDetail, change: Change) -> Plan:
    remains = await il.remains(detail.letter)
    call = _call(await il.calls(remains), change)
    _refuse_doubt([each for each in detail.in_doubt if each.action == call.name])
    given = change.state()
    if not given:
        raise UsageError("A change of arguments names none.")
    arguments = check(remains.graph, call.name, {**call.arguments, **given})
    changed = {key: each for key, each in arguments.items() if call.arguments.get(key) != each}
    if not changed:
        raise UsageError(f"The arguments of {call.name} are these already.")
    changes, state = changes_for(remains, call, arguments)
    _refuse_unmet(call.name, state, arguments)
    return Plan(
        amendment=Amendment(changes=changes),
        expects=Expected(name=call.name, arguments=changed),
    )


def _told(value: object) -> str:  # JSON
    """Return an argument as the report on a trial tells it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _call(calls: Sequence[Call], change: Change) -> Call:
    for each in calls:
        if each.id == change.call:
            return each
    known = ", ".join(f"{each.id} ({each.name})" for each in calls) or "none"
    raise UsageError(
        f"No call {change.call!r} waits or was refused at the last checkpoint.",
        hint=f"There are: {known}. One that was answered cannot be changed any more.",
    )


def _refuse_unmet(name: str, state: State, arguments: Mapping[str, Any]) -> None:
    """Refuse what a precondition of the action would refuse."""
    if not actions.is_declared(name):
        return
    for holds in actions.find(name).preconditions:
        if reason := holds(state, arguments):
            raise UsageError(f"{name} would be refused again: {reason}.")


def _refuse_doubt(acts: Sequence[Effect]) -> None:
    if acts:
        raise UsageError(
            f"{line_of(acts[0])} is in doubt: it may have been done.",
            hint=f"Find out, and settle it: `interlock effects show {acts[0].key[:12]}`.",
        )
