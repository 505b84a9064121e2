"""The steps of a repair: each reads what it needs, asks one thing, and returns a small update."""

from __future__ import annotations

from langgraph.runtime import Runtime

from interlock.core.acting import act
from interlock.core.context import Context, context_of
from interlock.core.gate import Decision, ask_person
from interlock.core.repairs import Case, Change, Trial
from interlock.core.structured import ask as ask_model
from interlock.errors import ActionRefused
from interlock.repair.acts import promote, rehearse, workshop
from interlock.repair.asking import (
    Attempt,
    DiagnoseRequest,
    Diagnosis,
    Proposal,
    ProposeRequest,
)
from interlock.repair.question import help_wanted, promotion
from interlock.repair.state import HINTS, RepairState, Tried


async def read(state: RepairState) -> RepairState:
    """Read the letter: what failed, where, on which state, and what was done before."""
    case = await workshop().case(state["letter"])
    if case is None:
        return {"status": "closed", "message": f"Letter {state['letter']} is not open."}
    known: RepairState = {"case": case.model_dump(), "tried": [], "since": 0, "hints": 0}
    if case.hopeless:
        return {**known, "status": "hopeless", "message": case.hopeless}
    return known


async def diagnose(state: RepairState, runtime: Runtime[Context]) -> RepairState:
    """Say why the run died."""
    request = DiagnoseRequest(case=_case(state), hint=state.get("hint", ""))
    return {"cause": (await ask_model(runtime, request, Diagnosis)).cause}


async def propose(state: RepairState, runtime: Runtime[Context]) -> RepairState:
    """Propose one change, or say why there is none."""
    request = ProposeRequest(
        case=_case(state), cause=state["cause"], tried=_tried(state), hint=state.get("hint", "")
    )
    found = await ask_model(runtime, request, Proposal)
    if found.change is None:
        return {"change": None, "help": found.why_none or "No change was proposed."}
    return {"change": found.change.model_dump(), "since": state["since"] + 1, "help": ""}


async def try_(state: RepairState, runtime: Runtime[Context]) -> RepairState:
    """Try the change on a fork, without effects; what was tried already has its answer."""
    change = Change.model_validate(state["change"])
    tried = _tried(state)
    trial = next((each.trial for each in tried if each.change.same(change)), None)
    if trial is None:
        number = len(tried)
        trial = await act(runtime, rehearse, letter=state["letter"], change=change, number=number)
    entry: Tried = {"change": change.model_dump(), "trial": trial.model_dump()}
    return {"tried": [*state["tried"], entry]}


async def judge(state: RepairState) -> RepairState:
    """Say what is missing when the trial came no further: the next proposal has that to go by."""
    trial = Trial.model_validate(state["tried"][-1]["trial"])
    return {"help": "" if trial.good else f"No change helped; the last one: {trial.says}"}


async def ask(state: RepairState, runtime: Runtime[Context]) -> RepairState:
    """Wait for a person: whether the change may be promoted, or for a hint."""
    case, hints = _case(state), state["hints"] < HINTS
    cause, tried = state["cause"], _tried(state)
    if state["help"]:
        question = help_wanted(case, cause, state["help"], tried, hints=hints)
    else:
        by = context_of(runtime).model_for(ProposeRequest.role)
        question = promotion(case, cause, tried[-1], by=by, hints=hints)
    try:
        decision = await ask_person(runtime, question)
    except ActionRefused as refused:  # the policy denies it, whatever a person says
        return {"status": "refused", "message": str(refused), "change": None}
    return _answered(decision, state["hints"])


async def promote_(state: RepairState, runtime: Runtime[Context]) -> RepairState:
    """Let the dead run go on with the change that a person agreed to."""
    attempt = _tried(state)[-1]
    try:
        done = await act(
            runtime,
            promote,
            approval=state["approval"],
            letter=state["letter"],
            change=attempt.change,
            trial=attempt.trial.thread,
        )
    except ActionRefused as refused:
        return {"status": "refused", "message": str(refused), "change": None}
    message = f"Run {done.run} on thread {done.thread} goes on with the change."
    return {"status": "promoted", "message": message}


def _answered(decision: Decision, hints: int) -> RepairState:
    answered: RepairState = {"approval": decision}
    if decision["type"] == "respond":
        return {**answered, "hint": decision["message"], "hints": hints + 1, "since": 0}
    if decision["type"] == "reject":
        said = decision["message"].strip()
        because = f", because: {said}" if said else ""
        message = f"Rejected by {decision['by'] or 'a person'}{because}. Nothing was changed."
        return {**answered, "status": "rejected", "message": message, "change": None}
    return answered


def _case(state: RepairState) -> Case:
    return Case.model_validate(state["case"])


def _tried(state: RepairState) -> list[Attempt]:
    return [Attempt.model_validate(each) for each in state["tried"]]
