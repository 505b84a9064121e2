"""A node for any graph with messages: it folds the oldest into a manifest, and puts them into an archive."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core import offline_memory  # noqa: F401 - registers the rules of the offline mode
from interlock.core.context import Context, around_of, context_of
from interlock.core.folding import Bounds, after, replacing, to_fold, tokens_of
from interlock.core.manifest import Manifest, Memory, Plain, check_objective, read_manifest
from interlock.core.merging import Merged
from interlock.core.notetaking import NoteTaker
from interlock.core.remembering import FoldRequest
from interlock.core.reminding import message_of, shown_id, shows_manifest
from interlock.errors import ModelFailed, OutputInvalid, UsageError

logger = logging.getLogger(__name__)


class Conversation(Memory):
    """What the node reads."""

    messages: list[AnyMessage]


class Folded(TypedDict, total=False):
    """What the node changes; empty when there is nothing to fold."""

    messages: list[AnyMessage | RemoveMessage]
    manifest: Plain
    archive: list[AnyMessage]
    retired: list[Plain]


class Summarizer(Protocol):
    """The node, as LangGraph's types want one."""

    def __call__(self, state: Conversation, runtime: Runtime[Any]) -> Awaitable[Folded]:
        """Fold what no longer fits."""  # of a graph with any context
        ...


def summarize(
    *,
    threshold: int = 24_000,
    keep: int = 12,
    limit: int | None = None,
    model: str | BaseChatModel = "",
) -> Summarizer:
    """Return a node that folds a conversation's oldest messages when it takes more than `threshold` tokens.

    The graph needs messages with ids, as `add_messages` gives them. The keys `manifest`, `archive` and `retired` come
    with the node. A model that fails leaves everything as it is and says so in `manifest["fault"]`.

    Args:
        threshold: approximate tokens above which messages are folded.
        keep: how many of the newest messages stay as they are, with the tool calls that they belong to.
        limit: tokens above which a failed fold fails the run; twice the threshold by default.
        model: `provider:name`, or a chat model; by default the model of the context's role `memory`.
    """
    bounds = Bounds(threshold=threshold, keep=keep, limit=limit or 2 * threshold)

    async def summarize(state: Conversation, runtime: Runtime[Any]) -> Folded:
        """Fold what no longer fits."""
        messages = state["messages"]
        _refuse_nameless(messages)
        manifest = read_manifest(state.get("manifest")) or _first(messages)
        check_objective(manifest, _originals(state, manifest))
        if displaced := _displaced(manifest, messages):
            if displaced in state.get("archive", []):  # a client sent it again: it is folded
                return {"messages": [message_of(manifest, messages)]}
            manifest = manifest.model_copy(update={"shown_as": ""})
        folded = to_fold(messages, bounds, shown_as=shown_id(manifest))
        if not folded:
            return {}
        context = _context(runtime, model)
        taker = NoteTaker(bounds=bounds, runtime=runtime.override(context=context))
        try:
            merged = await taker.fold(manifest, folded)
        except (ModelFailed, OutputInvalid) as error:
            return _failed(runtime, manifest, error, over=tokens_of(messages) > bounds.limit)
        by = context.model_for(FoldRequest.role)
        return _update(runtime, messages, folded, merged, by)

    return summarize


def _refuse_nameless(messages: Sequence[AnyMessage]) -> None:
    if any(not each.id for each in messages):
        raise UsageError(
            "Messages without ids cannot be folded: nothing could name them as its source.",
            hint="Annotate the key `messages` with LangGraph's add_messages, which gives ids.",
        )


def _originals(state: Conversation, manifest: Manifest) -> list[AnyMessage]:
    """Return the archive and the conversation, without the message that took a folded one's id."""
    said = [each for each in state["messages"] if each.id != shown_id(manifest)]
    return [*state.get("archive", []), *said]


def _displaced(manifest: Manifest, messages: Sequence[AnyMessage]) -> AnyMessage | None:
    """Return what stands where the manifest was shown, if it is another message."""
    there = (each for each in messages if each.id == shown_id(manifest))
    return next((each for each in there if not shows_manifest(each)), None)


def _first(messages: Sequence[AnyMessage]) -> Manifest:
    """Return an empty manifest whose objective is the first thing that a person said."""
    first = next((each for each in messages if isinstance(each, HumanMessage)), None)
    if first is None:
        return Manifest(objective="")
    return Manifest(objective=first.text, objective_source=f"message:{first.id}")


def _context(runtime: Runtime[Any], model: str | BaseChatModel) -> Context:
    """Return a context whose role `memory` is played by the model that was given, or by that of the graph's context."""
    given = runtime.context
    ours = given is None or isinstance(given, Context)
    context = context_of(runtime) if ours else Context(ports=around_of(runtime).ports)
    if isinstance(model, BaseChatModel):
        ports = replace(context.ports, models=_Given(chat=model))
        return replace(context, model=_name(model), role_models={}, ports=ports)
    if model:
        return replace(context, model=model, role_models={})
    if ours:
        return context
    raise UsageError(
        "The graph has a context of its own, which names no model that could take notes.",
        hint="Write summarize(model='provider:name'), or give it a chat model.",
    )


def _name(model: BaseChatModel) -> str:
    params = model._get_ls_params()
    return f"{params.get('ls_provider', model._llm_type)}:{params.get('ls_model_name', model.get_name())}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A model source with the one model that the author gave."""

    chat: BaseChatModel

    def model(self, name: str) -> BaseChatModel:
        """Return it, whatever the name."""
        return self.chat


def _failed(runtime: Runtime[Any], manifest: Manifest, error: Exception, *, over: bool) -> Folded:
    """Leave everything as it is and tell why; raise where the conversation may not grow any further."""
    if over:
        raise error
    logger.warning("Messages were not folded: %s", error)
    runtime.stream_writer({"event": "fold_failed", "reason": str(error)})
    return {"manifest": manifest.model_copy(update={"fault": str(error)}).stored()}


def _update(
    runtime: Runtime[Any],
    messages: Sequence[AnyMessage],
    folded: list[AnyMessage],
    merged: Merged,
    by: str,
) -> Folded:
    manifest = _counted(merged.manifest, folded, by)
    shown = message_of(manifest, after(messages, folded, HumanMessage("")))
    left = after(messages, folded, shown)
    told = {"messages": len(folded), "before": tokens_of(messages), "after": tokens_of(left)}
    runtime.stream_writer({"event": "folded", **told, "dropped": manifest.dropped})
    return {
        "messages": replacing(messages, folded, shown),
        "manifest": manifest.stored(),
        "archive": folded,
        "retired": [note.model_dump(mode="json") for note in merged.retired],
    }


def _counted(manifest: Manifest, folded: Sequence[AnyMessage], by: str) -> Manifest:
    return manifest.model_copy(
        update={
            "shown_as": manifest.shown_as or f"message:{folded[0].id}",
            "folds": manifest.folds + 1,
            "folded": manifest.folded + len(folded),
            "by": by,
            "fault": "",
        }
    )
