"""A run's callback handlers as two, one of each kind.

LangChain goes through all handlers for each node, and copies them for each step of it, also those that it need not
tell of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent


class Inline(GraphCallbackHandler):
    """Tells synchronous handlers of calls, one after the other; what one raises is told to no other.

    It passes on what handlers of ours listen to, and nothing else; a test holds that.

    Args:
        handlers: are told.
        interrupted: is called when the run's own graph was interrupted: by a question, or at a breakpoint.
    """

    raise_error = True
    run_inline = True
    ignore_chain = True

    def __init__(
        self, handlers: Sequence[BaseCallbackHandler], interrupted: Callable[[], None]
    ) -> None:
        self.handlers = tuple(handlers)
        self._interrupted = interrupted

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Tell that the graph was interrupted."""
        self._interrupted()

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:  # LangChain's arguments
        """Tell of a call of a chat model."""
        for each in self.handlers:
            each.on_chat_model_start(*args, **kwargs)

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a call of a text model."""
        for each in self.handlers:
            each.on_llm_start(*args, **kwargs)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a piece of an answer."""
        for each in self.handlers:
            each.on_llm_new_token(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of an answer."""
        for each in self.handlers:
            each.on_llm_end(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a call that failed."""
        for each in self.handlers:
            each.on_llm_error(*args, **kwargs)

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a tool."""
        for each in self.handlers:
            each.on_tool_start(*args, **kwargs)


class Awaited(AsyncCallbackHandler):
    """Does the same with handlers that are awaited, and tells those of nodes that want it."""

    raise_error = True
    run_inline = True

    def __init__(self, handlers: Sequence[AsyncCallbackHandler]) -> None:
        self.handlers = tuple(handlers)

    @property
    def ignore_chain(self) -> bool:
        """Whether none of them wants to be told of nodes now."""
        return all(each.ignore_chain for each in self.handlers)

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:  # LangChain's arguments
        """Tell of a call of a chat model."""
        for each in self.handlers:
            await each.on_chat_model_start(*args, **kwargs)

    async def on_llm_start(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a call of a text model."""
        for each in self.handlers:
            await each.on_llm_start(*args, **kwargs)

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of an answer."""
        for each in self.handlers:
            await each.on_llm_end(*args, **kwargs)

    async def on_llm_error(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell of a call that failed."""
        for each in self.handlers:
            await each.on_llm_error(*args, **kwargs)

    async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell those that want it of the end of a node."""
        for each in self.handlers:
            if not each.ignore_chain:
                await each.on_chain_end(*args, **kwargs)

    async def on_chain_error(self, *args: Any, **kwargs: Any) -> None:  # as above
        """Tell those that want it of a node that failed."""
        for each in self.handlers:
            if not each.ignore_chain:
                await each.on_chain_error(*args, **kwargs)


def _nothing() -> None:
    """Do nothing."""


def joined(
    handlers: Sequence[BaseCallbackHandler], interrupted: Callable[[], None] = _nothing
) -> list[BaseCallbackHandler]:
    """Return handlers as two, in their order, the synchronous ones first; `interrupted` as for `Inline`."""
    awaited = [each for each in handlers if isinstance(each, AsyncCallbackHandler)]
    inline = [each for each in handlers if not isinstance(each, AsyncCallbackHandler)]
    return [Inline(inline, interrupted), Awaited(awaited)]


def single(handlers: Sequence[object]) -> list[object]:
    """Return handlers with those that were joined, each for itself."""
    return [
        inner
        for each in handlers
        for inner in (each.handlers if isinstance(each, Inline | Awaited) else (each,))
    ]
