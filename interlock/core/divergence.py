"""Where a replay leaves what was recorded of its model calls: what was asked, beside the nearest that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from interlock.core.recordings import Asked, ModelRequest, SeenMessage
from interlock.errors import ReplayDiverged

HINT = "Fork the thread to run it live; nothing was asked or paid for now."


def diverged(request: ModelRequest, nearest: Asked | None) -> ReplayDiverged:
    """Return the report on a model call that was not recorded, beside the nearest one that was."""
    node = request.site.node
    differs = tuple(differences(nearest, request.asked)) if nearest else ()
    said = "; ".join(differs) or "no further call of this node was recorded"
    return ReplayDiverged(
        f"The replay stopped in node {node!r}: a model call was not recorded ({request.asked.line}): {said}.",
        hint=HINT,
        node=node,
        kind="model",
        requested=request.asked.line,
        recorded=nearest.line if nearest else "",
        differs=differs,
    )


def differences(recorded: Asked, requested: Asked) -> Iterator[str]:
    """Say, a line each, what differs between two requests."""
    if recorded.model != requested.model:
        yield f"the model was {recorded.model}, now {requested.model}"
    elif recorded.parameters != requested.parameters:
        yield f"parameters: {_parting(recorded.parameters, requested.parameters)}"
    if len(recorded.messages) != len(requested.messages):
        yield f"it had {len(recorded.messages)} messages, now {len(requested.messages)}"
    pairs = zip_longest(recorded.messages, requested.messages)
    for place, (was, now) in enumerate(pairs, start=1):
        if was is not None and now is not None and was.sha256 != now.sha256:
            yield _changed(place, was, now)


def _changed(place: int, was: SeenMessage, now: SeenMessage) -> str:
    if was.role != now.role:
        return f"message {place} was of role {was.role}, now {now.role}"
    return f"message {place} ({now.role}): {_parting(was.start, now.start)}"


def _parting(was: str, now: str) -> str:
    """Show two texts where they part."""
    pairs = enumerate(zip(was, now, strict=False))
    place = next((index for index, (a, b) in pairs if a != b), min(len(was), len(now)))
    if was == now:
        return f"it begins alike ({now[:40]!r}) and differs further on"
    start = max(0, place - 20)
    return f"was {was[start : place + 60]!r}, now {now[start : place + 60]!r}"
