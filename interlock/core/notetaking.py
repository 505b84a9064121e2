"""Takes notes of messages by asking a model, in as many questions as it takes, and keeps them few."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AnyMessage
from langgraph.runtime import Runtime

from interlock.core.context import Context
from interlock.core.folding import Bounds, batches, tokens_of
from interlock.core.manifest import SECTIONS, Manifest, Note, Section
from interlock.core.merging import MOST, Merged, condense, merge, shorten
from interlock.core.remembering import (
    Condensed,
    CondenseRequest,
    Folding,
    FoldRequest,
    listed,
    listed_section,
    seen,
)
from interlock.core.reminding import notes_size
from interlock.core.structured import ask
from interlock.errors import OutputInvalid

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteTaker:
    """Asks a model what to remember, in as many questions as it takes."""

    bounds: Bounds
    runtime: Runtime[Context]

    async def fold(self, manifest: Manifest, messages: Sequence[AnyMessage]) -> Merged:
        """Return the manifest with what must stay in mind of messages, small enough to gain by it."""
        before, retired = notes_size(manifest), list[Note]()
        for batch in batches(messages, self.bounds.threshold):
            request = FoldRequest(
                objective=manifest.objective, notes=listed(manifest), seen=seen(batch)
            )
            merged = merge(manifest, await ask(self.runtime, request, Folding), batch)
            manifest, retired = merged.manifest, [*retired, *merged.retired]
        room = min(self.bounds.room, before + tokens_of(messages) // 2)
        small = await self._condensed(manifest, room)
        return Merged(manifest=small.manifest, retired=(*retired, *small.retired))

    async def _condensed(self, manifest: Manifest, room: int) -> Merged:
        """Make a manifest fit: ask once a section for fewer sentences, then set the oldest aside."""
        retired: list[Note] = []
        for section in SECTIONS:
            if _too_long(manifest, section, room):
                merged = await self._joined(manifest, section)
                manifest, retired = merged.manifest, [*retired, *merged.retired]
        most = MOST
        while most and (most == MOST or notes_size(manifest) > room):
            cut = shorten(manifest, most)
            manifest, retired, most = cut.manifest, [*retired, *cut.retired], most // 2
        return Merged(manifest=manifest, retired=tuple(retired))

    async def _joined(self, manifest: Manifest, section: Section) -> Merged:
        request = CondenseRequest(
            objective=manifest.objective,
            section=section,
            notes=listed_section(section, manifest.notes(section)),
            most=max(1, len(manifest.notes(section)) // 2),
        )
        try:
            return condense(manifest, section, await ask(self.runtime, request, Condensed))
        except OutputInvalid as error:
            logger.warning("The notes on %s were not joined: %s", section, error)
            return Merged(manifest=manifest)  # the oldest are set aside instead


_FEW = 6
"""Notes of a section that are not worth a model call."""


def _too_long(manifest: Manifest, section: Section, room: int) -> bool:
    count = len(manifest.notes(section))
    return count > MOST or (count > _FEW and notes_size(manifest) > room)
