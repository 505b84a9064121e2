"""What a person is asked: to promote a change, shown with its trial; or for a hint where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interlock.core import actions
from interlock.core.gate import DecisionType, Question
from interlock.core.repairs import Case, Change, Trial
from interlock.repair.acts import ask_for_help, promote
from interlock.repair.asking import Attempt

SHOWN = 300
"""Characters of a value that a question shows."""

TO_PROMOTE: Mapping[DecisionType, str] = {
    "approve": "The change is written to the dead run's thread, and workers go on with the run.",
    "reject": "Nothing is changed; the letter stays open.",
    "respond": "What you say is a hint, and another change is looked for.",
}

TO_HELP: Mapping[DecisionType, str] = {
    "reject": "The repair ends; the letter stays open.",
    "respond": "What you say is a hint, and a change is looked for again.",
}

WORDS: Mapping[str, str] = {
    "ended": "it came to its end",
    "asks": "it came to a question for a person",
    "sleeps": "it came to where it sleeps",
    "would_act": "it came to an act that was not done before, and stopped there",
    "would_repeat": "it would do a second time, with other arguments, what was done before",
    "stopped": "it came to what a trial may not do",
    "failed": "it failed again",
    "refused": "the change does not fit",
}


def promotion(case: Case, cause: str, attempt: Attempt, *, by: str, hints: bool) -> Question:
    """Return the question whether a change may be promoted."""
    change, trial = attempt.change, attempt.trial
    arguments = {"letter": case.letter, "change": change.model_dump(), "trial": trial.thread}
    decisions: tuple[DecisionType, ...] = ("approve", "reject", "respond")
    return Question(
        action=promote,
        arguments=arguments,
        summary=f"Let the dead run of {case.graph} go on with this change? In the trial {WORDS[trial.outcome]}.",
        evidence=(
            *_told(case, cause),
            *_diff(case, change),
            *_outcome(trial),
            f"proposed by {by}",
        ),
        consequences=_offered(TO_PROMOTE, hints=hints),
        decisions=decisions if hints else decisions[:2],
    )


def help_wanted(case: Case, cause: str, why: str, tried: list[Attempt], *, hints: bool) -> Question:
    """Return the question for a hint: what was found, and what was tried in vain."""
    decisions: tuple[DecisionType, ...] = ("respond", "reject")
    lines = [
        line
        for number, each in enumerate(tried, start=1)
        for line in (f"tried {number}: {_named(each.change)}", f"  {_said(each.trial)}")
    ]
    return Question(
        action=ask_for_help,
        arguments={"letter": case.letter, "found": _cut(why)},
        summary=f"No change was found that helps the dead run of {case.graph}. Do you know more?",
        evidence=(*_told(case, cause), *lines),
        consequences=_offered(TO_HELP, hints=hints),
        decisions=decisions if hints else decisions[1:],
    )


def _offered(texts: Mapping[DecisionType, str], *, hints: bool) -> dict[DecisionType, str]:
    return {each: text for each, text in texts.items() if hints or each != "respond"}


def _told(case: Case, cause: str) -> Iterator[str]:
    yield f"letter {case.letter}: {case.kind} in {case.node or 'no node'}"
    yield f"it failed of: {_cut(case.error)}"
    yield f"the cause, as the repair sees it: {_cut(cause)}"


def _diff(case: Case, change: Change) -> Iterator[str]:
    if change.kind == "prompt":
        pinned = case.prompts[change.prompt].pinned if change.prompt in case.prompts else "?"
        yield f"change: prompt {change.prompt}: {pinned} → {change.version}"
    if change.kind == "route":
        yield f"change: {_route(case, change)}"
        yield f"what {_failed(case)} checks, asks or does is then not checked, asked or done"
    if change.kind == "arguments":
        yield from _arguments(case, change)
    for each in change.values if change.kind != "arguments" else ():
        info = case.state.get(each.key)
        before = (info.value if info else "") or "not set"
        arrow = "adds" if info and info.adds else "→"
        yield f"change: {each.key}: {_cut(before)} {arrow} {_cut(each.value)}"
    yield f"because: {_cut(change.reason)}"


def _arguments(case: Case, change: Change) -> Iterator[str]:
    call = next((each for each in case.calls if each.id == change.call), None)
    name = call.name if call else change.call
    yield f"call: {name}({_cut(call.arguments)})" if call else f"call: {name}"
    yield from (f"change: {name}: {each.key} → {_cut(each.value)}" for each in change.values)
    if not actions.is_declared(name):
        yield f"{name} is no action: whether it did something before it failed is not recorded"


def _failed(case: Case) -> str:
    return case.node.partition(" / ")[0]


def _route(case: Case, change: Change) -> str:
    where = f"at {', '.join(change.goto)}" if change.goto else "where its edges lead"
    return f"{_failed(case)} is not run; the run goes on {where}"


def _outcome(trial: Trial) -> Iterator[str]:
    shown = WORDS[trial.outcome] if trial.outcome == "would_act" else _said(trial)
    yield f"trial {trial.thread}: {shown}"
    if trial.passed:
        yield f"nodes that it finished: {', '.join(trial.passed)}"
    yield from (f"stays done: {each}" for each in trial.stays)
    yield from (f"used again from the ledger: {each}" for each in trial.reused)
    yield from (f"state: {each}" for each in trial.changed)
    if trial.outcome == "would_act":
        hard = "; it cannot be undone" if trial.irreversible else ""
        yield f"it would do: {trial.says}{hard}. What follows is not known."


def _said(trial: Trial) -> str:
    said = f": {_cut(trial.says)}" if trial.says else ""
    return f"{WORDS[trial.outcome]}{said}"


def _named(change: Change) -> str:
    if change.kind == "prompt":
        return f"prompt {change.prompt} at {change.version}"
    values = ", ".join(f"{each.key} = {_cut(each.value)}" for each in change.values)
    if change.kind == "arguments":
        return f"call {change.call} with {values}"
    if change.kind == "route":
        where = f"on to {', '.join(change.goto)}" if change.goto else "on behind it"
        return f"{where}, with {values}" if values else where
    return values


def _cut(text: Any) -> str:  # anything that has a text
    said = " ".join(str(text).split())
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
