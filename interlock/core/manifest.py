"""What a thread remembers of messages that were folded: its objective word for word, and notes with their sources.

State holds it as plain data under three keys, `manifest`, `archive` and `retired`. What was folded is not gone: the
archive holds the messages, and `retired` the notes that others took the place of. Both are part of the newest
checkpoint, so neither pruning nor a fork can part a note from what it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from langchain_core.messages import AnyMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from interlock.errors import ObjectiveChanged, UsageError

Section = Literal["decisions", "facts", "questions", "failures", "pending"]
SECTIONS: tuple[Section, ...] = get_args(Section)
VERSION: Literal[1] = 1
SOURCES = 20
"""Sources that one note may name when the same was said again and again; one would do."""

Plain = dict[str, Any]  # JSON


class Note(BaseModel):
    """One thing that is remembered.

    Attributes:
        id: its number on the thread, as `n17`: short for the model, and the same in each attempt and replay.
        text: a sentence.
        sources: where it came from: `message:ID`, `tool_call:ID`, `passage:COLLECTION/DOCUMENT/START-END`,
            `checkpoint:ID`, or the id of a note that it took the place of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    sources: tuple[str, ...] = Field(min_length=1)


class Manifest(BaseModel):
    """What is remembered of a thread; a change makes a copy.

    Attributes:
        version: of this schema; what an older version stored is read, what a newer one stored is refused.
        objective: word for word as it was given; no model is ever asked to write it.
        objective_source: the message that it was given in; empty where the application set it.
        decisions: what was settled, and what the person wants or forbids.
        facts: what was found out.
        questions: what is not known yet.
        failures: what was tried, and why it failed.
        pending: what is still to be done.
        shown_as: the message that shows the manifest to the model, as `message:ID`; empty while there is none.
        made: how many notes were ever made; numbers them.
        folds: how often messages were folded.
        folded: how many messages were folded.
        dropped: how many notes were refused because they named no valid source.
        by: the model that took the newest notes.
        fault: why the last attempt to fold failed; empty after one that succeeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    objective: str
    objective_source: str = ""
    decisions: tuple[Note, ...] = ()
    facts: tuple[Note, ...] = ()
    questions: tuple[Note, ...] = ()
    failures: tuple[Note, ...] = ()
    pending: tuple[Note, ...] = ()
    shown_as: str = ""
    made: int = 0
    folds: int = 0
    folded: int = 0
    dropped: int = 0
    by: str = ""
    fault: str = ""

    def notes(self, section: Section) -> tuple[Note, ...]:
        """Return the notes of a section, oldest first."""
        found: tuple[Note, ...] = getattr(self, section)
        return found

    def with_notes(self, section: Section, notes: Sequence[Note]) -> Manifest:
        """Return a copy with other notes in one section."""
        return self.model_copy(update={section: tuple(notes)})

    def numbered(self, text: str, sources: Sequence[str]) -> tuple[Manifest, Note]:
        """Return a new note with the next id, and a copy that has given the id away."""
        unique = tuple(dict.fromkeys(sources))
        note = Note(id=f"n{self.made + 1}", text=" ".join(text.split()), sources=unique)
        return self.model_copy(update={"made": self.made + 1}), note

    def noting(self, section: Section, text: str, sources: Sequence[str]) -> Manifest:
        """Return a copy with one more note; one that says the same already is given its sources instead."""
        manifest, note = self.numbered(text, sources)
        notes = self.notes(section)
        again = next((at for at, each in enumerate(notes) if _same(each, note)), None)
        if again is None:
            return manifest.with_notes(section, [*notes, note])
        changed = _said_again(notes[again], note)
        return self.with_notes(section, [*notes[:again], changed, *notes[again + 1 :]])

    def all_notes(self) -> list[Note]:
        """Return the notes of all sections."""
        return [note for section in SECTIONS for note in self.notes(section)]

    def stored(self) -> Plain:
        """Return it as the state holds it."""
        return self.model_dump(mode="json")


def _same(one: Note, other: Note) -> bool:
    first, second = (each.text.casefold().rstrip(".") for each in (one, other))
    return first == second


def _said_again(first: Note, again: Note) -> Note:
    """Return the first note with the other's sources too; it keeps its id, by which others may name it."""
    sources = tuple(dict.fromkeys((*first.sources, *again.sources)))
    return first.model_copy(update={"sources": sources[: max(SOURCES, len(first.sources))]})


def read_manifest(stored: Mapping[str, Any] | None) -> Manifest | None:
    """Return the manifest that a state holds; None where there is none.

    Raises:
        UsageError: it is not one, or newer code stored it.
    """
    if not stored:
        return None
    try:
        return Manifest.model_validate(stored, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"The manifest in the state cannot be read: {where}: {first['msg']} "
            f"(it says version {stored.get('version')!r}, this code reads {VERSION}).",
            hint="Run the code that stored it, or a newer one.",
        ) from error


def begin(objective: str) -> Plain:
    """Return an empty manifest with an objective, for the key `manifest` of a graph's input.

    Without it the objective is the first thing that a person said on the thread.
    """
    return Manifest(objective=objective).stored()


def keep_objective(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Plain:
    """Take a new manifest, but never another objective: the old one stays word for word, and `fault` says so.

    The reducer of `manifest`. It does not raise: a reducer that does makes the thread unreadable, also for `get_state`.
    `Overwrite` is the way to give a thread another objective on purpose.
    """
    before = old.get("objective") if old else None
    if not before or new.get("objective") == before:
        return dict(new)
    said = f"Refused to change the objective to {_brief(new.get('objective'))}."
    source = old.get("objective_source", "") if old else ""
    return {**new, "objective": before, "objective_source": source, "fault": said}


def check_objective(manifest: Manifest, messages: Iterable[AnyMessage]) -> None:
    """Raise `ObjectiveChanged` if the objective is not, word for word, what its message says.

    Args:
        manifest: what is remembered.
        messages: the archive, and the conversation.
    """
    for message in messages:
        if manifest.objective_source == f"message:{message.id}":
            if message.text != manifest.objective:
                raise ObjectiveChanged(
                    f"The manifest's objective is {_brief(manifest.objective)}, "
                    f"but the person said {_brief(message.text)}.",
                    hint="Fork the thread from before the change, or write an Overwrite with the objective.",
                )
            return


MessageT = TypeVar("MessageT", bound=AnyMessage)


def add_messages_once(old: Sequence[MessageT], new: Sequence[MessageT]) -> list[MessageT]:
    """Add messages that are not there yet; the reducer of `archive`, which never changes what it holds.

    Another message under an id that is there is added too: it was said.
    """
    known: dict[str | None, list[MessageT]] = {}
    for each in old:
        known.setdefault(each.id, []).append(each)
    return [*old, *(each for each in new if each not in known.get(each.id, []))]


def add_notes_once(old: Sequence[Plain], new: Sequence[Plain]) -> list[Plain]:
    """Add notes whose id is not there yet; the reducer of `retired`."""
    known = {each["id"] for each in old}
    return [*old, *(each for each in new if each["id"] not in known)]


def _brief(text: object) -> str:
    said = " ".join(str(text).split())
    return f"“{said[:60]}…”" if len(said) > 60 else f"“{said}”"


class Memory(TypedDict, total=False):
    """The keys that hold what was folded; a graph with a `summarize` node has them without declaring them."""

    manifest: Annotated[Plain, keep_objective]
    archive: Annotated[list[AnyMessage], add_messages_once]
    retired: Annotated[list[Plain], add_notes_once]
