"""From a note back to what it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, ToolMessage

from interlock.core.folding import calls_of
from interlock.core.manifest import Note, read_manifest
from interlock.errors import NotFound


def original(state: Mapping[str, Any], source: str) -> list[AnyMessage]:
    """Return the messages that a source leads to, oldest first, each as it was said.

    Args:
        state: values of a state with the keys of `Memory`, and `messages`.
        source: the id of a note, `message:ID`, or `tool_call:ID` (the call and its answers).

    Raises:
        NotFound: the state holds no such note or message, or the source is no message.
    """
    messages = _known(state)
    wanted = {each for leaf in leaves(state, source) for each in _named(leaf, messages)}
    if not wanted:
        raise NotFound(
            f"{source!r} leads to no message of this thread.",
            hint="Sources are ids of notes, message:ID and tool_call:ID; passages are in the corpus, and "
            "checkpoints in the history.",
        )
    return [message for at, message in enumerate(messages) if at in wanted]


def leaves(state: Mapping[str, Any], source: str) -> list[str]:
    """Return the sources behind a note, over all the notes that it took the place of; any other source is itself."""
    notes = _notes(state)
    found: dict[str, None] = {}
    waiting, done = [source], set[str]()
    while waiting:
        each = waiting.pop(0)
        if each in notes and each not in done:
            done.add(each)
            waiting += notes[each].sources
        elif each not in notes:
            found[each] = None
    return list(found)


def _notes(state: Mapping[str, Any]) -> dict[str, Note]:
    manifest = read_manifest(state.get("manifest"))
    retired = (Note.model_validate(each) for each in state.get("retired", []))
    return {note.id: note for note in (*retired, *(manifest.all_notes() if manifest else []))}


def _known(state: Mapping[str, Any]) -> Sequence[AnyMessage]:
    """Return the archive, and what is still in the conversation; the archive's wording comes first."""
    archive: list[AnyMessage] = state.get("archive", [])
    known = {each.id for each in archive}
    return [*archive, *(each for each in state.get("messages", []) if each.id not in known)]


def _named(source: str, messages: Sequence[AnyMessage]) -> Iterator[int]:
    for at, message in enumerate(messages):
        if source in (f"message:{message.id}", *(f"tool_call:{each}" for each in _calls(message))):
            yield at


def _calls(message: AnyMessage) -> list[str]:
    return [message.tool_call_id] if isinstance(message, ToolMessage) else calls_of(message)
