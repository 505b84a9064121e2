"""What may be asked: the table of all methods, and how each is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from interlock.core.driving import Driving
from interlock.errors import UsageError
from interlock.facade import Interlock
from interlock.remote.codec import encode
from interlock.remote.signatures import shape_of
from interlock.server import limited
from interlock.server.asking import asked_by
from interlock.server.bridging import guards, own
from interlock.server.bridging.guards import Arguments, Guard
from interlock.server.callers import Right
from interlock.server.scope import Scope, require

Work = Callable[[Scope, Arguments], Awaitable[Any]]  # as the method returns


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A method: the right that it takes, and what does it."""

    right: Right
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How a method of the runtime is called that changes something.

    Attributes:
        guard: looks its arguments up as the caller sees them.
        act: what it is called in the audit log.
        subject: the argument that says what it was done to.
        signed: whether it takes `by`, which is the caller then.
        asked: whether it begins runs, which are the caller's.
    """

    guard: Guard
    act: str
    subject: str = ""
    signed: bool = False
    asked: bool = False


async def called(scope: Scope, method: str, given: Mapping[str, Any]) -> Any:  # JSON
    """Do what a command line asks, and return what came of it.

    Raises:
        UsageError: there is no such method, or it takes other arguments.
        Forbidden: the caller may not ask it.
        NotFound: of what the caller does not see.
    """
    if (served := SERVED.get(method)) is None:
        raise UsageError(f"The server does not do {method!r} for a command line.")
    require(scope.caller, served.right)
    return encode(await served.work(scope, shape_of(method).read(given)))


def _reading(method: str) -> Work:
    async def read(scope: Scope, given: Arguments) -> Any:  # as the method returns
        return await _done(scope.reader, method, given)

    return read


async def _written(method: str, writing: Writing, scope: Scope, given: Arguments) -> Any:
    """Look the arguments up, do it in the caller's name, and note it."""
    await writing.guard(scope, given)
    signed = {"by": scope.caller.identity} if writing.signed else {}
    asked = {"driving": _driven_for(scope, given.get("driving"))} if writing.asked else {}
    done = await _done(scope.il, method, given | signed | asked)
    subject = given.get(writing.subject, "") if writing.subject else ""
    reason = {"reason": given["reason"]} if given.get("reason") else {}
    await scope.house.audit.note(scope.caller, writing.act, str(subject or ""), reason)
    return done


def _driven_for(scope: Scope, driving: Driving | None) -> Driving:
    return replace(driving or Driving(), asker=asked_by(scope))


async def _done(il: Interlock, method: str, given: Arguments) -> Any:  # as the method returns
    part, dot, name = method.partition(".")
    if dot:
        return await getattr(getattr(il, part), name)(**given)
    if method in PLAIN:
        return getattr(il, method)(**given)
    return await getattr(il, "await_run" if method == "wait" else f"a{method}")(**given)


async def _budget_seen(method: str, scope: Scope, given: Arguments) -> Any:
    await guards.budget_seen(scope, given)
    return await _done(scope.reader, method, given)


def _own(function: Callable[..., Awaitable[Any]]) -> Work:
    async def answer(scope: Scope, given: Arguments) -> Any:  # as the function returns
        return await function(scope, **given)

    return answer


PLAIN = ("policy_problem",)
"""Methods that have no asynchronous twin, for they ask nobody."""

READ = (
    *("run", "history", "step", "tree", "diff", "threads", "pending", "standing"),
    *("questions", "question", "effects", "effect", "refusals", "budgets"),
    *("letters", "letter", "crons", "cron", "cron_clock", "timers"),
    *("health", "wait", "join", "policy_problem"),
    *("store.counts", "outbox.failed", "outbox.notifications"),
)

WRITTEN: Mapping[str, tuple[Right, Writing]] = {
    "submit": ("run", Writing(guard=guards.new_run, act="submit", subject="graph", asked=True)),
    "submit_fork": ("run", Writing(guard=guards.fork, act="fork", subject="thread_id", asked=True)),
    "cancel": ("run", Writing(guard=guards.run, act="cancel", subject="name", signed=True)),
    "resolve_effect": (
        "answer",
        Writing(guard=guards.effect, act="effect.resolve", subject="key", signed=True),
    ),
    "letter_replay": (
        "run",
        Writing(guard=guards.letter, act="letter.replay", subject="letter_id", signed=True),
    ),
    "letter_discard": (
        "run",
        Writing(guard=guards.letter, act="letter.discard", subject="letter_id", signed=True),
    ),
    "letter_repair": (
        "run",
        Writing(guard=guards.letter, act="letter.repair", subject="letter_id"),
    ),
    "letters_replay": ("run", Writing(guard=guards.letters, act="letters.replay", signed=True)),
    "letters_discard": ("run", Writing(guard=guards.letters, act="letters.discard", signed=True)),
    "cron_set": ("run", Writing(guard=guards.new_cron, act="cron.set", subject="name", asked=True)),
    "cron_pause": ("run", Writing(guard=guards.cron, act="cron.pause", subject="name")),
    "cron_resume": ("run", Writing(guard=guards.cron, act="cron.resume", subject="name")),
    "cron_remove": ("run", Writing(guard=guards.cron, act="cron.remove", subject="name")),
    "retry_timer": ("run", Writing(guard=guards.timer, act="timer.retry", subject="timer_id")),
    "set_budget": ("govern", Writing(guard=guards.budget, act="budget.set", subject="name")),
    "remove_budget": ("govern", Writing(guard=guards.budget, act="budget.remove", subject="name")),
    "set_rate": (
        "govern",
        Writing(guard=guards.everybodys, act="limit.set", subject="target", signed=True),
    ),
    "remove_rate": (
        "govern",
        Writing(guard=guards.everybodys, act="limit.remove", subject="target"),
    ),
    "outbox.try_again": ("govern", Writing(guard=guards.everybodys, act="notifications.retry")),
}

OWN: Mapping[str, tuple[Right, Callable[..., Awaitable[Any]]]] = {  # as each returns
    "graphs": ("read", own.graphs),
    "graph_input": ("read", own.graph_input),
    "drawing": ("read", own.drawing),
    "fitting": ("read", own.fitting),
    "policy_told": ("read", own.policy_told),
    "policy_explained": ("read", own.policy_explained),
    "rate": ("read", limited.rate),
    "rates": ("read", limited.rates),
    "rate_waits": ("read", limited.rate_waits),
    "kills_told": ("read", own.kills_told),
    "kill_told": ("read", own.kill_told),
    "kill_thrown": ("govern", own.kill_thrown),
    "kill_lifted": ("govern", own.kill_lifted),
    "submit_answers": ("answer", own.submit_answers),
    "go_on": ("run", own.go_on),
    "replayed": ("run", own.replayed),
}

SERVED: Mapping[str, Served] = {
    **{name: Served(right="read", work=_reading(name)) for name in READ},
    **{
        name: Served(right="read", work=partial(_budget_seen, name))
        for name in ("budget", "limits")
    },
    **{
        name: Served(right=right, work=partial(_written, name, writing))
        for name, (right, writing) in WRITTEN.items()
    },
    **{name: Served(right=right, work=_own(function)) for name, (right, function) in OWN.items()},
}
"""Everything that a command line may ask, by name."""
