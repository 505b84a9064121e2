"""Fold a conversation's oldest messages: the node that applications with messages share.

It lives in `interlock.core`, so that graphs of other repositories have it too, and its prompts beside it there.
"""

from interlock.core.summarizing import summarize

__all__ = ["summarize"]
