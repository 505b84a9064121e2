"""A LangGraph checkpointer on Postgres that saves in groups and stores equal content once."""

from interlock.postgres.checkpointer.core import Core
from interlock.postgres.checkpointer.saver import Checkpointer
from interlock.postgres.checkpointer.stats import Stats

__all__ = ["Checkpointer", "Core", "Stats"]
