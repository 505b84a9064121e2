"""How a run is submitted, checked before anything is saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from interlock.core.queueing import MultitaskStrategy, Options
from interlock.core.sleeping import EARLIEST, LATEST
from interlock.errors import UsageError
from interlock.postgres.timers import TimerStore

MOST_URGENT = 1000
KEY_LENGTH = 255


def check_options(options: Options) -> None:
    """Raise `UsageError` for options that mean nothing."""
    if options.multitask_strategy not in get_args(MultitaskStrategy):
        raise UsageError(
            f"There is no strategy {options.multitask_strategy!r}.",
            hint=f"It is one of {', '.join(get_args(MultitaskStrategy))}.",
        )
    if abs(options.priority) > MOST_URGENT:
        raise UsageError(f"The priority {options.priority} is not between -1000 and 1000.")
    if len(options.idempotency_key) > KEY_LENGTH or not options.idempotency_key.isprintable():
        raise UsageError(f"An idempotency key has up to {KEY_LENGTH} printable characters.")
    if options.start_at is not None and options.multitask_strategy in ("interrupt", "rollback"):
        raise UsageError(
            f"A run that starts later cannot {options.multitask_strategy} what runs now.",
            hint="Leave `start_at` out, or let it wait for its turn: `enqueue`.",
        )
    for name in ("start_at", "deadline"):
        _check_time(name, getattr(options, name))


async def check_deadline(options: Options, timers: TimerStore, tenant: str) -> None:
    """Raise `UsageError` for a run that would be cancelled at once; who submits again under its key is given it."""
    deadline, key = options.deadline, options.idempotency_key
    if deadline is None or deadline > datetime.now(UTC):
        return
    if await timers.has_passed(deadline, tenant=tenant, key=key):
        raise UsageError(
            f"The deadline {deadline.isoformat(timespec='seconds')} has passed.",
            hint="Give a later one, or none.",
        )


def _check_time(name: str, time: datetime | None) -> None:
    if time is not None and time.tzinfo is None:
        raise UsageError(
            f"{name} has no time zone: {time}.", hint="Write datetime(..., tzinfo=UTC) or the like."
        )
    if time is not None and not EARLIEST <= time <= LATEST:
        raise UsageError(f"{name} is too far away to be written down: {time}.")
