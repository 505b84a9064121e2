"""What happens to runs as documents. Pure functions."""

from __future__ import annotations

from typing import Any

from interlock.core.happening import Event
from interlock.documents.runs import plain


def event_document(event: Event) -> dict[str, Any]:  # a JSON object
    """Return an event as one JSON object."""
    return {
        "key": event.key,
        "cursor": event.cursor,
        "kind": event.kind,
        "at": event.at.isoformat(),
        "run_id": event.run_id,
        "thread_id": event.thread_id,
        "node": event.node,
        "worker": event.worker,
        "detail": plain(event.detail),
    }
