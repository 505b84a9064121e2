"""How a model's notes come into a manifest, and how a manifest that grew is made smaller: pure, and never a loss.

What takes the place of a note names it as its source, and the old note is set aside, not deleted. So each note leads
back, over as many folds as there were, to messages in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import AnyMessage, ToolMessage

from interlock.core.manifest import SECTIONS, Manifest, Note, Section
from interlock.core.remembering import Condensed, Folding, Found

MOST = 40
"""Notes that one section may hold."""

_DONE_WITH: tuple[Section, ...] = ("questions", "pending")
"""What may be set aside without a note in its place: it was answered, or done."""
_NEVER_FROM_TOOLS: tuple[Section, ...] = ("decisions", "pending")
"""What a tool returns may come from anybody; it tells the agent nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A manifest, and the notes that others took the place of."""

    manifest: Manifest
    retired: tuple[Note, ...] = ()


def merge(manifest: Manifest, folding: Folding, messages: Sequence[AnyMessage]) -> Merged:
    """Add what a model noted of messages; what names no valid source is dropped and counted.

    Args:
        manifest: what is remembered so far; its notes are numbered as in `all_notes`.
        folding: the model's answer.
        messages: the messages that it was shown, numbered from 1.
    """
    known = _numbered(manifest)
    valid = [each for each in _all_found(folding, messages) if each.sources]
    count = sum(len(folding.found(section)) for section in SECTIONS)
    gone = {each for each in folding.settled if each in known and known[each][0] in _DONE_WITH}
    gone |= {number for each in valid for number in each.replaced(known)}
    retired = tuple(known[number][1] for number in sorted(gone))
    kept = _without(manifest, retired)
    for each in valid:
        names = [known[number][1].id for number in each.replaced(known)]
        kept = kept.noting(each.section, each.found.text, [*names, *each.sources])
    dropped = manifest.dropped + count - len(valid)
    return Merged(manifest=kept.model_copy(update={"dropped": dropped}), retired=retired)


_Numbered = Mapping[int, tuple[Section, Note]]


def _numbered(manifest: Manifest) -> _Numbered:
    pairs = ((section, note) for section in SECTIONS for note in manifest.notes(section))
    return dict(enumerate(pairs, start=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """Something that a model found, for a section, with the sources of it that are there."""

    section: Section
    found: Found
    sources: tuple[str, ...]

    def replaced(self, known: _Numbered) -> list[int]:
        """Return the notes that it may stand in for: of its own section, or what it answers."""
        homes = (self.section, *_DONE_WITH)
        numbers = dict.fromkeys(self.found.replaces)
        return [each for each in numbers if each in known and known[each][0] in homes]


def _all_found(folding: Folding, messages: Sequence[AnyMessage]) -> Iterator[_Noted]:
    for section in SECTIONS:
        for found in folding.found(section):
            yield _Noted(section=section, found=found, sources=_sources(found, section, messages))


def _sources(found: Found, section: Section, messages: Sequence[AnyMessage]) -> tuple[str, ...]:
    """Return the sources that are there; none where only tools say what nobody but the agent may decide."""
    named = [messages[each - 1] for each in found.sources if 1 <= each <= len(messages)]
    if section in _NEVER_FROM_TOOLS and all(isinstance(each, ToolMessage) for each in named):
        return ()
    return tuple(f"message:{each.id}" for each in named) if found.text.strip() else ()


def _without(manifest: Manifest, retired: Sequence[Note]) -> Manifest:
    gone = {note.id for note in retired}
    for section in SECTIONS:
        left = [note for note in manifest.notes(section) if note.id not in gone]
        manifest = manifest.with_notes(section, left)
    return manifest


def condense(manifest: Manifest, section: Section, condensed: Condensed) -> Merged:
    """Put joined notes in the place of those that they stand for; the others stay."""
    numbered = dict(enumerate(manifest.notes(section), start=1))
    joined: dict[int, Note] = {}
    gone: set[int] = set()
    for each in condensed.notes:
        covered = sorted({number for number in each.notes if number in numbered} - gone)
        if len(covered) > 1 and each.text.strip():
            names = [numbered[at].id for at in covered]
            manifest, joined[covered[0]] = manifest.numbered(each.text, names)
            gone.update(covered)
    notes = [
        joined.get(at, note) for at, note in numbered.items() if at in joined or at not in gone
    ]
    retired = tuple(numbered[at] for at in sorted(gone))
    return Merged(manifest=manifest.with_notes(section, notes), retired=retired)


def shorten(manifest: Manifest, most: int) -> Merged:
    """Set the oldest notes of each section aside that has more than `most`; one note of them leads there."""
    retired: list[Note] = []
    for section in SECTIONS:
        notes = manifest.notes(section)
        if len(notes) > most:
            old, new = notes[: len(notes) - most + 1], notes[len(notes) - most + 1 :]
            text = f"Older notes on {section} were set aside; their originals can be read."
            manifest, index = manifest.numbered(text, [note.id for note in old])
            manifest = manifest.with_notes(section, [index, *new])
            retired += old
    return Merged(manifest=manifest, retired=tuple(retired))
