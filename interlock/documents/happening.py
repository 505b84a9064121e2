"""What happens to runs as documents. Pure functions."""

from __future__ import annotations

from typing import Any

from interlock.core.happening import Event
from interlock.documents.runs import plain


def event_document(event: Event) -> dict[str, Any]:  # a JSON object
    """Return an event as one JSON object, with the values that a step changed where somebody has read them."""
    values = event.values
    changed = {} if values is None else {"values": {key: plain(values[key]) for key in values}}
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
        **changed,
    }
