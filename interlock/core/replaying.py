"""What holds a replay to what was recorded, and each run to recording its model calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, chat_models

from interlock.core import actions
from interlock.core.context import Around, around_here
from interlock.core.divergence import HINT
from interlock.core.recorded_calls import CALLS
from interlock.core.refusing import refusing
from interlock.errors import ActionRefused, ReplayDiverged

_ASKING = ("generate", "agenerate")
"""The functions of LangChain's chat models that ask the cache before their provider."""


class RecordingGuard(BaseCallbackHandler):
    """See that model calls are recorded, and stop, before it costs anything, what a replay could only do live.

    Its methods are synchronous: LangChain drops what asynchronous ones raise in synchronous calls.
    """

    raise_error = True
    run_inline = True
    ignore_chain = True  # LangChain would tell it of every node

    def __init__(self, around: Around) -> None:
        self._around = around
        self._replays = around.lineage.recorded_only
        self._asks_no_model = around.lineage.asks_no_model

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: Any, **kwargs: Any
    ) -> None:  # LangChain's signature
        """See that the recordings are asked; in a replay, stop a model call that would not ask them."""
        CALLS.take_place()
        with refusing():
            self._around.check_replay()
            if self._asks_no_model and (reason := unrecorded(self._around)):
                raise self._stopped("model", f"a model call that {reason}", kwargs)

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any
    ) -> None:  # LangChain's signature
        """Stop a replay's call of a text model: one that was recorded is answered without coming here."""
        self._around.check_replay()
        if self._asks_no_model:
            raise self._stopped("model", "a call of a text model that was not recorded", kwargs)

    def on_tool_start(
        self, serialized: dict[str, Any], input_str: str, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Stop a replay's tool that is no action: what it did was not recorded."""
        self._around.check_replay()
        name = str(serialized.get("name", ""))
        if self._replays and not (_is_action(name) or name in self._around.live_tools):
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
