"""Where a replay leaves what was recorded: which node asked for what, and what the nearest record was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import DictRow

from interlock.core.ledger import Intention
from interlock.errors import ReplayDiverged

SHOWN = 200
"""Characters of a value that a report shows."""

UNKNOWN = "it was begun, and what became of it is not known"


def diverged(intention: Intention, unused: Sequence[DictRow]) -> ReplayDiverged:
    """Return the report on an act that was not recorded, given what was recorded of the same action and not used."""
    node, requested = intention.site.node, _call(intention.action, intention.arguments)
    nearest = next((row for row in unused if row["node"] == node), unused[0] if unused else None)
    if nearest is None:
        return ReplayDiverged(
            f"The replay stopped in node {node!r}: {requested} was not recorded, and no other {intention.action}.",
            hint="Fork the thread to do it; nothing was done now.",
            node=node,
            kind="action",
            requested=requested,
        )
    differs = tuple(_differences(nearest["arguments"], intention.arguments)) or (UNKNOWN,)
    return ReplayDiverged(
        f"The replay stopped in node {node!r}: {requested} was not recorded. {'; '.join(differs)}.",
        hint="Fork the thread to do it; nothing was done now.",
        node=node,
        kind="action",
        requested=requested,
        recorded=_call(intention.action, nearest["arguments"]),
        differs=differs,
    )


def _differences(recorded: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:  # JSON
    names = sorted(recorded.keys() | requested.keys())
    return [
        f"{name} was {_shown(recorded.get(name))}, now {_shown(requested.get(name))}"
        for name in names
        if recorded.get(name) != requested.get(name)
    ]


def _call(action: str, arguments: Mapping[str, Any]) -> str:  # JSON
    return f"{action}({', '.join(f'{name}={_shown(value)}' for name, value in arguments.items())})"


def _shown(value: object) -> str:  # JSON
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
