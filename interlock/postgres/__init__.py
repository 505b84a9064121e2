"""Adapters of the core's ports on Postgres, and the tables under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.postgres.checkpointer import Checkpointer

__all__ = ["Checkpointer"]


def __getattr__(
    name: str,
) -> Any:  # the one public name, imported when it is asked for: it is heavy
    if name == "Checkpointer":
        from interlock.postgres.checkpointer import Checkpointer

        return Checkpointer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
