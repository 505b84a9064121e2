"""What a run is told of its thread's latest checkpoint as it begins, so that it does not have to ask."""

from __future__ import annotations

from psycopg.rows import DictRow

MOST_BYTES = 128 << 10
"""Of a larger checkpoint nothing is told: a run reads it when it looks at it, and none is held by runs that wait."""

Latest = list[tuple[DictRow, ...]]
"""The rows that a checkpointer would read, none for a thread without checkpoints; the first look takes them out.

It is empty where nothing is known.
"""

_FOUND = (
    "checkpoint_id",
    "parent_checkpoint_id",
    "checkpoint",
    "metadata",
    "channels",
    "types",
    "bodies",
)
_CONTENT = ("content_hash", "content_kind", "content_body")
_NOTHING = dict.fromkeys(("tasks", "paths", "numbers", "written", "kinds", "values", "hash"))


def latest_of(row: DictRow, thread_id: str) -> Latest:
    """Return what the row of a run that is begun tells of its thread."""
    if row["fresh"]:
        return [()]
    if row["checkpoint"] is None:
        return []
    found = {name: row[name] for name in _FOUND}
    place = {"thread_id": thread_id, "checkpoint_ns": ""}
    parts = zip(*(row[name] or () for name in _CONTENT), strict=True)
    content = (dict(zip(("hash", "kind", "content"), each, strict=True)) for each in parts)
    return [({**place, **found, **_NOTHING}, *content)]
