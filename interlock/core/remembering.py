"""What a model is asked when messages are folded, and the form of its answers.

It never sees the id of anything: messages and notes are numbered, and a number that is not there is no source. It is
not asked for the objective, nor for the notes that stay: what is already remembered cannot drift by being told again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field

from interlock.core import prompts
from interlock.core.manifest import SECTIONS, Manifest, Note, Section
from interlock.core.prompts import as_data
from interlock.core.structured import Request

prompts.register("memory", Path(__file__).parent / "memory_prompts")

SHOWN = 8000
"""Characters of one message that are shown; of a longer one the middle is left out."""

Teller = Literal["person", "agent", "tool", "failed tool"]


class Seen(BaseModel):
    """A message as it is shown: who said it, where a tool's answer came from, and what."""

    model_config = ConfigDict(frozen=True)

    number: int
    teller: Teller
    name: str
    text: str

    def as_data(self) -> str:
        """Return it fenced: what it says is no instruction to whoever reads it."""
        who = f"{self.teller} {self.name}".strip()
        return as_data(self.text, source=f"message {self.number}, {who}")


class Listed(BaseModel):
    """A note as it is shown."""

    model_config = ConfigDict(frozen=True)

    number: int
    section: Section
    text: str


class FoldRequest(Request):
    """What to remember of these messages, beside what is remembered already."""

    prompt = "memory/fold"
    role = "memory"

    objective: str
    notes: tuple[Listed, ...]
    seen: tuple[Seen, ...]

    def variables(self) -> Mapping[str, str]:
        """Return all of it fenced as data."""
        return {
            "objective": as_data(self.objective, source="the objective"),
            "notes": as_data(_lines(self.notes), source="the notes"),
            "seen": "\n\n".join(each.as_data() for each in self.seen),
        }


class Found(BaseModel):
    """Something to remember, with the messages that say so."""

    text: str = Field(
        min_length=1, max_length=500, description="One sentence that can be understood on its own."
    )
    sources: list[int] = Field(description="Numbers of the messages that say so.")
    replaces: list[int] = Field(
        default=[],
        description="Numbers of the notes that this one takes the place of; often empty.",
    )


class Folding(BaseModel):
    """What to remember."""

    decisions: list[Found] = Field(
        description="What was settled, and what the person wants, forbids or prefers."
    )
    facts: list[Found] = Field(description="What was found out.")
    questions: list[Found] = Field(description="What is not known yet.")
    failures: list[Found] = Field(description="What was tried, and why it failed.")
    pending: list[Found] = Field(description="What is still to be done, the next step first.")
    settled: list[int] = Field(
        description="Numbers of notes under questions and pending that are answered or done."
    )

    def found(self, section: Section) -> list[Found]:
        """Return what belongs to a section."""
        return {
            "decisions": self.decisions,
            "facts": self.facts,
            "questions": self.questions,
            "failures": self.failures,
            "pending": self.pending,
        }[section]


class CondenseRequest(Request):
    """How to say one section's notes in fewer sentences."""

    prompt = "memory/condense"
    role = "memory"

    objective: str
    section: Section
    notes: tuple[Listed, ...]
    most: int

    def variables(self) -> Mapping[str, str]:
        """Return the notes fenced as data."""
        return {
            "objective": as_data(self.objective, source="the objective"),
            "section": self.section,
            "notes": as_data(_lines(self.notes), source="the notes"),
            "most": str(self.most),
        }


class Joined(BaseModel):
    """A sentence that says what several notes say."""

    text: str = Field(min_length=1, max_length=500)
    notes: list[int] = Field(description="Numbers of the notes that it stands for.")


class Condensed(BaseModel):
    """Fewer notes; those that none of them stands for stay as they are."""

    notes: list[Joined]


def listed(manifest: Manifest) -> tuple[Listed, ...]:
    """Return all notes of a manifest with their numbers, in the order of `all_notes`."""
    pairs = [(section, note) for section in SECTIONS for note in manifest.notes(section)]
    return tuple(
        Listed(number=number, section=section, text=note.text)
        for number, (section, note) in enumerate(pairs, start=1)
    )


def listed_section(section: Section, notes: Sequence[Note]) -> tuple[Listed, ...]:
    """Return the notes of one section with their numbers."""
    numbered = enumerate(notes, start=1)
    return tuple(Listed(number=at, section=section, text=note.text) for at, note in numbered)


def seen(messages: Sequence[AnyMessage]) -> tuple[Seen, ...]:
    """Return messages as they are shown, with their numbers."""
    return tuple(_seen(number, each) for number, each in enumerate(messages, start=1))


def teller_of(message: AnyMessage) -> Teller:
    """Return who said it."""
    if isinstance(message, HumanMessage):
        return "person"
    if not isinstance(message, ToolMessage):
        return "agent"
    return "failed tool" if message.status == "error" else "tool"


def _seen(number: int, message: AnyMessage) -> Seen:
    name = str(message.name or "")
    return Seen(number=number, teller=teller_of(message), name=name, text=_shown(_said(message)))


def _said(message: AnyMessage) -> str:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    called = [f"calls {each['name']}({json.dumps(each['args'], default=str)})" for each in calls]
    return "\n".join([*([message.text] if message.text else []), *called]) or "(nothing in words)"


def _shown(text: str) -> str:
    half = SHOWN // 2
    left_out = len(text) - 2 * half
    if left_out <= 0:
        return text
    return f"{text[:half]}\n[{left_out} characters left out]\n{text[-half:]}"


def _lines(notes: Sequence[Listed]) -> str:
    return "\n".join(f"{n.number}. ({n.section}) {n.text}" for n in notes) or "(none)"
