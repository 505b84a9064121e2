"""Assistants that this process saw a moment ago."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from interlock.postgres.assistants import EVERYBODY, Assistant

FRESH_SECONDS = 1.0
"""How long an assistant that is everybody's is not asked for again: other processes see a change of it so late."""


@dataclass(slots=True)
class Known:
    """Assistants that are everybody's, as they were seen a moment ago: each run asks for one."""

    _seen: dict[UUID, tuple[float, Assistant]] = field(default_factory=dict)

    def get(self, assistant_id: UUID, now: float) -> Assistant | None:
        """Return an assistant that was seen less than a second ago.

        Of those who come after that, the first gets None, and looks; the others have what is known until then.
        """
        if (known := self._seen.get(assistant_id)) is None:
            return None
        at, assistant = known
        if now - at < FRESH_SECONDS:
            return assistant
        self._seen[assistant_id] = (now, assistant)
        return None

    def put(self, assistant: Assistant, now: float) -> None:
        """Remember an assistant, if it is everybody's."""
        if assistant.tenant == EVERYBODY:
            self._seen[assistant.assistant_id] = (now, assistant)

    def forget(self, assistant_id: UUID) -> None:
        """Ask for an assistant again the next time."""
        self._seen.pop(assistant_id, None)
