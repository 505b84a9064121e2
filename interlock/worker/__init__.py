"""Workers: processes that take on the runs which were submitted, and run them to their end."""

from interlock.worker.working import Plan, work

__all__ = ["Plan", "work"]
