"""What applications with a conversation have in common: mix it into a state."""

from __future__ import annotations

from typing import Annotated

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

from interlock.core.manifest import Memory


class Conversation(Memory, total=False):
    """A conversation, and what was folded of it."""

    messages: Annotated[list[AnyMessage], add_messages]
