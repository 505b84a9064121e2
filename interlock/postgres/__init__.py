"""Adapters of the core's ports on Postgres, and the tables under them."""

from interlock.postgres.checkpointer import Checkpointer

__all__ = ["Checkpointer"]
