"""Dead letters: runs that workers did and that failed for good, with what a person needs to decide about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from interlock.core.effects import Effect
from interlock.core.failures import FailureKind
from interlock.core.runs import Run

LetterStatus = Literal["open", "replayed", "discarded", "repaired"]

LETTER_STATUSES: tuple[LetterStatus, ...] = get_args(LetterStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLetter:
    """What is told of a run as it dies.

    Attributes:
        kind: of its failure.
        error: what was raised, as a sentence.
        error_type: the name of its class.
        traceback: where it was raised, without keys.
        because: why it is not tried again.
        node: the nodes that lead to where it failed, from the thread's own graph inwards.
        holds: what is queued on its thread waits until the letter is closed.
    """

    kind: FailureKind
    error: str = ""
    error_type: str = ""
    traceback: str = ""
    because: str = ""
    node: str = ""
    holds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter.

    Attributes:
        kind: of the failure, as in `interlock.core.failures.FailureKind`.
        error: what was raised; keys are blotted out.
        because: why it was not tried again.
        node: the nodes that lead to where it failed, from the thread's own graph inwards; empty when that is not known.
        checkpoint_id: the last of the thread; empty when there is none.
        attempts: how often somebody began to work on the run.
        holds: what is queued on its thread waits until the letter is closed.
        closed_by: who closed it; empty where nobody said so.
        proposal: the change that repaired it, as JSON; None without one.
        about: what a list shows of its thread.
    """

    id: str
    run_id: str
    thread_id: str
    graph: str
    tenant: str
    kind: FailureKind
    error: str
    error_type: str
    traceback: str = field(repr=False)
    because: str
    node: str
    checkpoint_id: str
    attempts: int
    holds: bool
    status: LetterStatus
    buried_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""
    closed_why: str = ""
    proposal: Mapping[str, Any] | None = None
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened to a run, as in `interlock.run_events`."""

    run_id: str
    kind: str
    worker_id: str
    detail: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsOf:
    """The model calls of one node to one model; `cost` is None where a price is not known."""

    node: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDetail:
    """A letter with all that is known of its run.

    Attributes:
        run: as it stands now.
        step: number of the last step; None before the first.
        state: at the last checkpoint; None when `state_problem` says why it cannot be read.
        next: the nodes that would run.
        events: what happened to the run, oldest first.
        effects: what it did to the world, or may have done; with it the runs that it went on with after an answer.
        calls: the model calls of the same runs.
        refused: why it cannot be replayed now; empty when it can.
        behind: how many runs wait on its thread.
    """

    letter: Letter
    run: Run
    step: int | None = None
    state: Mapping[str, Any] | None = field(default=None, repr=False)
    state_problem: str = ""
    next: tuple[str, ...] = ()
    events: tuple[RunEvent, ...] = ()
    effects: tuple[Effect, ...] = ()
    calls: tuple[CallsOf, ...] = ()
    refused: str = ""
    behind: int = 0

    @property
    def tries(self) -> list[RunEvent]:
        """The failures that were tried again, oldest first."""
        return [each for each in self.events if each.kind == "retried"]

    @property
    def done(self) -> list[Effect]:
        """What was done to the world."""
        return [each for each in self.effects if each.status == "done"]

    @property
    def in_doubt(self) -> list[Effect]:
        """What may have been done."""
        return [each for each in self.effects if each.status == "in_doubt"]

    @property
    def replaying(self) -> list[str]:
        """What a replay would do, a sentence each."""
        if self.refused:
            return [self.refused]
        where = "from its input" if self.step is None else f"after step {self.step}"
        nodes = f", with {', '.join(self.next)}" if self.next else ""
        lines = [f"The same run goes on {where}{nodes}; its tries are counted anew."]
        if self.done:
            lines.append(
                f"{_acts(len(self.done))} already done: an equal request is answered from the ledger."
            )
        if self.in_doubt:
            names = ", ".join(sorted({each.action for each in self.in_doubt}))
            lines.append(
                f"In doubt: {names}; it is probed, repeated with its key, or a person is asked."
            )
        if self.letter.kind in _ASKED_ANEW:
            lines.append("Models are asked anew in the node that failed.")
        if self.letter.kind in _SAME_AGAIN:
            lines.append(_SAME_AGAIN[self.letter.kind])
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of one letter of several; `refused` says why it is still open, and is empty otherwise."""

    letter: Letter
    refused: str = ""


KEEPS_ANSWERS: frozenset[FailureKind] = frozenset({"transient", "rate_limit", "budget"})
"""Failures whose cause is no answer of a model: what was answered and recorded is not paid for again."""

_ASKED_ANEW: frozenset[FailureKind] = frozenset({"bug", "invalid_output", "refused", "limit"})

_SAME_AGAIN: Mapping[FailureKind, str] = {
    "bug": "It fails again unless the code, or what it works on, has changed.",
    "refused": "It is refused again unless a key, a right, a rule or the request has changed.",
    "changed": "It fails again unless the code fits what is stored.",
    "budget": "It stops again unless more is allowed: `interlock budget`.",
    "limit": "It stops again unless it takes fewer steps, or may take more.",
    "poison": "It may end its worker again; it is then worked on alone.",
}


def _acts(count: int) -> str:
    return "1 act was" if count == 1 else f"{count} acts were"
