"""What is looked at before something is written for a caller: that it is theirs, under its whole name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from interlock.core.answers import AnswerForm
from interlock.core.questions import OpenQuestion
from interlock.errors import Forbidden, NotFound, UsageError
from interlock.postgres.letters import LetterStore
from interlock.postgres.timers import TimerStore
from interlock.server.requests import see_thread
from interlock.server.routes.budgets import check_owned, check_seen
from interlock.server.scope import Scope

Arguments = dict[str, Any]  # as the method takes them
Guard = Callable[[Scope, Arguments], Awaitable[None]]
"""Makes a method's arguments whole, or raises: `NotFound` for what the caller does not see."""


async def anything(scope: Scope, given: Arguments) -> None:
    """Let everything pass."""


async def thread(scope: Scope, given: Arguments) -> None:
    """The thread is the caller's."""
    given["thread_id"] = await scope.reader.store.full_thread_id(given["thread_id"])


async def new_run(scope: Scope, given: Arguments) -> None:
    """The thread, if one is named, is the caller's, or there is none of that name yet; workers do the run."""
    given.pop("attended", None)
    if (name := given.get("thread_id")) is not None:
        await see_thread(scope, name, create=True)


async def fork(scope: Scope, given: Arguments) -> None:
    """The thread is the caller's; workers run the fork."""
    given.pop("attended", None)
    await thread(scope, given)


async def run(scope: Scope, given: Arguments) -> None:
    """The run is the caller's; it is named, not what its thread is at a moment later."""
    given["name"] = await scope.reader.endings.named(given["name"])


async def effect(scope: Scope, given: Arguments) -> None:
    """The effect is the caller's."""
    given["key"] = (await scope.reader.aeffect(given["key"])).key


async def letter(scope: Scope, given: Arguments) -> None:
    """The letter is the caller's."""
    given["letter_id"] = await LetterStore(scope.reader.pool).full_id(given["letter_id"])


async def letters(scope: Scope, given: Arguments) -> None:
    """Of all letters, a tenant means its own."""
    if scope.caller.tenant is None:
        return
    if given.get("tenant") not in (None, scope.caller.tenant):
        raise NotFound(f"There is no tenant {given['tenant']!r}.")
    given["tenant"] = scope.caller.tenant


async def cron(scope: Scope, given: Arguments) -> None:
    """The cron is the caller's."""
    await scope.reader.acron(given["name"])


async def new_cron(scope: Scope, given: Arguments) -> None:
    """The cron is the caller's, or there is none of that name yet; so with its thread."""
    try:
        await scope.reader.acron(given["name"])
    except NotFound:
        if await _is_others(scope, given["name"]):
            raise
    if given.get("thread_id"):
        await see_thread(scope, given["thread_id"], create=True)


async def timer(scope: Scope, given: Arguments) -> None:
    """The timer is the caller's; all of them are no tenant's."""
    if scope.caller.tenant is None:
        return
    if given.get("timer_id") is None:
        raise Forbidden("Timers of several tenants would be tried again.", hint="Name one.")
    found = await TimerStore(scope.reader.pool).timers(states=("failed",), limit=10_000)
    if given["timer_id"] not in [each.id for each in found]:
        raise NotFound(f"There is no timer {given['timer_id']} that was set aside.")


async def budget(scope: Scope, given: Arguments) -> None:
    """The budget is the caller's to set."""
    given["name"] = await check_owned(scope, given["kind"], given["name"])


async def budget_seen(scope: Scope, given: Arguments) -> None:
    """The budget is one that the caller may see."""
    given["name"] = await check_seen(scope, given["kind"], given["name"])


async def everybodys(scope: Scope, given: Arguments) -> None:
    """It holds for all tenants, so that none of them may say it."""
    if scope.caller.tenant is not None:
        raise Forbidden("This holds for several tenants.")


async def answers(
    scope: Scope, thread_id: str, given: list[AnswerForm]
) -> list[tuple[OpenQuestion, AnswerForm]]:
    """Return answers with their questions, which are the caller's and one thread's, and who gives them."""
    full, who = await scope.reader.store.full_thread_id(thread_id), scope.caller.identity
    asked = [(await scope.reader.aquestion(each.question_id))[0] for each in given]
    if not asked or {each.thread_id for each in asked} != {full}:
        raise UsageError(
            "The answers are not of one thread's questions.", hint="Answer one thread at a time."
        )
    return [
        (question, replace(answer, question_id=question.id, by=who))
        for question, answer in zip(asked, given, strict=True)
    ]


async def _is_others(scope: Scope, name: str) -> bool:
    try:
        await scope.house.il.acron(name)
    except NotFound:
        return False
    return True
