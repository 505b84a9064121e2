"""What a model is asked, and the form of its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from interlock.core.prompts import as_data
from interlock.core.repairs import Case, Change, Trial
from interlock.core.structured import Request


class Attempt(BaseModel):
    """A change that was tried, and what came of it."""

    model_config = ConfigDict(frozen=True)

    change: Change
    trial: Trial


class Diagnosis(BaseModel):
    """Why the run died."""

    cause: str


class Proposal(BaseModel):
    """A change to try; without one, why not."""

    change: Change | None = None
    why_none: str = ""


class DiagnoseRequest(Request):
    """Asks for the cause."""

    prompt: ClassVar[str] = "repair/diagnose"
    role: ClassVar[str] = "repair"

    case: Case
    hint: str = ""

    def variables(self) -> Mapping[str, str]:
        """Return the case fenced: none of it is an instruction."""
        return {"case": fenced(self.case), "hint": self.hint or "(nothing)"}


class ProposeRequest(Request):
    """Asks for a change."""

    prompt: ClassVar[str] = "repair/propose"
    role: ClassVar[str] = "repair"

    case: Case
    cause: str
    tried: Sequence[Attempt] = Field(default_factory=tuple)
    hint: str = ""

    def variables(self) -> Mapping[str, str]:
        """Return the case, and what was tried, fenced."""
        return {
            "case": fenced(self.case),
            "cause": as_data(self.cause, source="diagnosis"),
            "tried": _tried(self.tried),
            "hint": self.hint or "(nothing)",
        }


def fenced(case: Case) -> str:
    """Return a case as data that cannot close its own fence."""
    return as_data(case.model_dump_json(indent=1), source=f"dead letter {case.letter}")


def _tried(tried: Sequence[Attempt]) -> str:
    if not tried:
        return "(nothing)"
    lines = "\n".join(each.model_dump_json() for each in tried)
    return as_data(lines, source="trials")
