"""What stands in for a model where there is none: three rules, and otherwise the word that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from interlock.core.offline import NOTICE, rule
from interlock.core.repairs import Case, Change, KeyInfo, Setting
from interlock.repair.asking import DiagnoseRequest, Diagnosis, Proposal, ProposeRequest

UNKNOWN = f"Not known ({NOTICE})."

_EMPTY = {"array": "[]", "object": "{}"}


@rule(DiagnoseRequest, Diagnosis)
def diagnose(request: DiagnoseRequest) -> Diagnosis:
    """Say what the rules see, or that they see nothing."""
    first = next(_changes(request.case), None)
    return Diagnosis(cause=first.reason if first else UNKNOWN)


@rule(ProposeRequest, Proposal)
def propose(request: ProposeRequest) -> Proposal:
    """Propose the first change that the rules allow and that was not tried."""
    tried = [each.change for each in request.tried]
    for change in _changes(request.case):
        if not any(change.same(each) for each in tried):
            return Proposal(change=change)
    more = "nothing else" if tried else "nothing"
    return Proposal(why_none=f"The rules know {more} ({NOTICE}); a model, or a hint, may help.")


def _changes(case: Case) -> Iterator[Change]:
    yield from _misfits(case)
    yield from _missing(case)
    yield from _older_prompts(case)


def _misfits(case: Case) -> Iterator[Change]:
    """Give a value that does not fit its type the type, where that is beyond doubt."""
    for key, info in case.state.items():
        if info.fitting and not info.adds:
            reason = f"{key} is {info.value}, which does not fit its type: {info.fault}."
            yield _state(key, info.fitting, reason)


def _missing(case: Case) -> Iterator[Change]:
    """Set a key that was looked for and is not there, where its type says what an empty one is."""
    found = re.fullmatch(r"KeyError: '(\w+)'", case.error)
    info = case.state.get(found[1]) if found else None
    if found and info and not info.value and (default := _default(info)):
        yield _state(found[1], default, f"{found[1]} was looked for, and is not in the state.")


def _default(info: KeyInfo) -> str:
    schema = json.loads(info.type or "{}")
    if "default" in schema:
        return json.dumps(schema["default"])
    return _EMPTY.get(schema.get("type", ""), "")


def _older_prompts(case: Case) -> Iterator[Change]:
    """Go back to the release before, of a prompt that the error names."""
    for name, info in case.prompts.items():
        before = info.released[: info.released.index(info.pinned)]
        if before and name in case.error:
            reason = f"An answer to {name} did not fit, and {before[-1]} is the release before."
            yield Change(kind="prompt", prompt=name, version=before[-1], reason=reason)


def _state(key: str, value: str, reason: str) -> Change:
    return Change(kind="state", values=[Setting(key=key, value=value)], reason=reason)
