"""What holds a replay to what was recorded, and tells where it leaves that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import zip_longest
from types import FrameType
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, chat_models

from interlock.core import actions
from interlock.core.context import Around, around_here
from interlock.core.recordings import Asked, ModelRequest, SeenMessage
from interlock.errors import ActionRefused, ReplayDiverged

HINT = "Fork the thread to run it live; nothing was asked or paid for now."

_ASKING = ("generate", "agenerate")
"""The functions of LangChain's chat models that ask the cache before their provider."""


class ReplayGuard(BaseCallbackHandler):
    """Stop, before it costs anything, what a replay could only do live.

    Its methods are synchronous: LangChain drops what asynchronous ones raise in synchronous calls.
    """

    raise_error = True
    run_inline = True

    def __init__(self, around: Around) -> None:
        self._around = around

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: Any, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Stop a model call that would not ask for its recorded answer."""
        self._around.check_replay()
        if reason := unrecorded(self._around):
            raise self._stopped("model", f"a model call that {reason}", kwargs)

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any
    ) -> None:  # LangChain's signature
        """Stop a call of a text model: one that was recorded is answered without coming here."""
        self._around.check_replay()
        raise self._stopped("model", "a call of a text model that was not recorded", kwargs)

    def on_tool_start(
        self, serialized: dict[str, Any], input_str: str, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Stop a tool that is no action: what it did was not recorded."""
        self._around.check_replay()
        name = str(serialized.get("name", ""))
        if not (_is_action(name) or name in self._around.live_tools):
            shown = f"{name}({input_str[:200]})"
            raise self._stopped("tool", f"the tool {shown}, which is no action", kwargs)

    def _stopped(self, kind: str, what: str, kwargs: dict[str, Any]) -> ReplayDiverged:
        node = str((kwargs.get("metadata") or {}).get("langgraph_node", ""))
        return self._around.stop(
            ReplayDiverged(
                f"The replay stopped in node {node!r}: it came to {what}.",
                hint=HINT,
                node=node,
                kind=kind,
                requested=what,
            )
        )


def unrecorded(around: Around) -> str:
    """Return why the model call that runs the callback would go past the recordings; empty if it would not."""
    function, model = calling_model(sys._getframe(1))
    if function not in _ASKING:
        return "streams" if "stream" in function or function == "ensure_started" else "is unknown"
    own = getattr(model, "cache", None)
    if own is False or isinstance(own, BaseCache):
        return "has the cache turned off, or one of its own"
    return "" if around_here() is around else "was made outside of its node's context"


def calling_model(frame: FrameType | None) -> tuple[str, BaseChatModel | None]:
    """Return the innermost function of LangChain's chat models that is under way, and its model."""
    for each in _outwards(frame):
        if each.f_code.co_filename == chat_models.__file__:
            model = each.f_locals.get("self")
            return each.f_code.co_name, model if isinstance(model, BaseChatModel) else None
    return "", None


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


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_action(name: str) -> bool:
    try:
        actions.find(name)
    except ActionRefused:
        return False
    return True
