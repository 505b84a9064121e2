"""Answers of people to the questions of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Approve:
    """Let the action run with the arguments that were asked about.

    `digest` is the question's `request` as it was read, or its first characters: an answer to anything else is refused.
    """

    question_id: str
    by: str = ""
    message: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "approve", "message": self.message}


@dataclass(frozen=True, slots=True)
class Edit:
    """Let the action run with other arguments; those not named stay as they are."""

    question_id: str
    arguments: Mapping[str, Any]
    by: str = ""
    message: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {
            "type": "edit",
            "edited_action": {"args": dict(self.arguments)},
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not let the action run; a message tells the agents what to change."""

    question_id: str
    message: str = ""
    by: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "reject", "message": self.message}


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer in words instead of deciding."""

    question_id: str
    message: str
    by: str = ""
    digest: str = ""

    def decision(self) -> dict[str, Any]:
        """Return the decision in `HITLResponse` form."""
        return {"type": "respond", "message": self.message}


@dataclass(frozen=True, slots=True)
class Resume:
    """Answer an interrupt that is not an approval with a plain value."""

    question_id: str
    value: Any  # whatever the graph's own interrupt expects
    by: str = ""


AnswerForm = Approve | Edit | Reject | Respond | Resume
Answers = AnswerForm | Sequence[AnswerForm]
"""One answer, or several that are taken together or not at all."""
