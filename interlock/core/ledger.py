"""What was done to the world: an intention before each act, its result after it, so that nothing happens twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal, Protocol, runtime_checkable

from interlock.core.lineage import Lineage, Source
from interlock.core.site import Asked, Site
from interlock.errors import EffectTakenOver

Standing = Literal[
    "new", "done", "underway", "in_doubt", "asked", "unapproved", "refused", "another"
]
"""How an intention stands for the one who wants to act on it.

`new`: it is yours, so act. `done`: use the recorded result. `underway`: somebody who lives is acting. `in_doubt`: an
earlier attempt wrote the intention and no result, and does not live; whether it acted is unknown. `asked`: a person
was asked about it, so only the answer may open it. `unapproved`: the approval that was shown is not this act's, or
was used. `refused`: a replay, and it was refused then. `another`: where it cannot be undone, the same action was done
by an earlier attempt at the task that this one does not make, on a fork, or in steps that the run was taken back from:
only a person may let it happen again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """An act that is about to happen.

    Attributes:
        key: names this act in all attempts; derived from thread, task, request and its number in the task.
        request: SHA-256 of the action's name and arguments: equal requests ask for the same thing.
        site: where in the run it is asked for.
        action: the action's name.
        arguments: its validated arguments, as JSON.
        cost: the declared estimate, in US dollars.
        reversible: whether it can be undone.
        reads: whether it changes nothing.
        verdict: what the policy said, as JSON; kept for whoever looks later.
        asked: what this attempt at the task asked for so far, this act among it; None: not known.
        edited_from: the request as the agent made it, where a person agreed to other arguments; else empty.
        abandoned: the parts of its own thread that the run was taken back from by a loop guard.
    """

    key: str
    request: str
    site: Site
    action: str
    arguments: Mapping[str, Any]  # JSON
    cost: float = 0.0
    reversible: bool = False
    reads: bool = False
    verdict: Mapping[str, Any] = field(default_factory=dict)  # JSON
    edited_from: str = ""
    asked: Asked | None = field(default=None, compare=False, repr=False)
    abandoned: tuple[Source, ...] = ()

    @property
    def asked_for(self) -> str:
        """The request as the agent made it: by it a fork or a replay finds what came of it."""
        return self.edited_from or self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an act was not permitted: a word, a sentence, and the policy's rule."""

    kind: str
    reason: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How an intention stands.

    Attributes:
        key: of the effect that this is told of: the intention's own, or the one on the parent thread.
        attempt: how often somebody set out to act; who goes on with an effect names the attempt that was seen. A
            `new` entry with attempt 0 was not written: nobody may act on it yet.
        result: JSON, and only there when it is done.
        error: what the last attempt raised, if it lived to tell.
        refusal: how it was refused then; only there when it is refused.
        request: of the attempt that is underway or in doubt: a person may have agreed to other arguments.
        arguments: of that request, as JSON.
    """

    standing: Standing
    key: str = ""
    attempt: int = 1
    result: Any = None  # JSON
    error: str = ""
    refusal: Refusal | None = None
    request: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)  # JSON


Relation = Literal["parent", "fork", "attempt", "abandoned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """What the same action did beside an act that cannot be undone.

    Attributes:
        relation: on a thread that this one was forked from, on another branch, in an earlier attempt at the same
            task, which asked for something else, or in steps that the run was taken back from.
        thread_id: where.
        arguments: with these, as JSON.
    """

    relation: Relation
    thread_id: str
    key: str
    arguments: Mapping[str, Any]  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An action with its arguments, as JSON."""

    action: str
    arguments: Mapping[str, Any]  # JSON


@runtime_checkable
class Ledger(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.ledger`."""

    async def begin(self, intention: Intention, *, permitted: bool, approval: str = "") -> Entry:
        """Tell how an intention stands, and write it first if it is `new` and permitted.

        Args:
            intention: what is about to happen.
            permitted: whether it may happen now; if not, nothing is written, and `new` means that nobody did it.
            approval: the question whose answer permits it; it permits one act only.
        """
        ...

    async def claim(self, key: str, attempt: int) -> Entry:
        """Take on an effect that is in doubt: `new` with the next attempt for exactly one caller."""
        ...

    async def finish(self, key: str, attempt: int, result: Any) -> None:  # JSON
        """Write the result of an act, again if need be; raises `EffectTakenOver` when somebody else has taken it on."""
        ...

    async def release(self, key: str, attempt: int, error: str, *, happened: bool | None) -> None:
        """Note that an attempt raised: `False` when it is known that nothing happened, `None` when it is not known.

        Changes nothing when somebody else has taken it on.
        """
        ...

    async def settle(
        self, key: str, attempt: int, *, happened: bool, result: Any, by: str
    ) -> Entry:  # JSON
        """Write down what became of an effect that is in doubt, and who says so; return how it stands then."""
        ...

    async def wait(self, key: str) -> None:
        """Return when an effect is no longer underway, or after a while."""
        ...

    async def parallel(self, intention: Intention) -> Parallel | None:
        """Return what the same action did beside this act: before the fork's parents, its forks, or an attempt."""
        ...

    async def done_since(self, thread_id: str, checkpoint_id: str) -> list[Act]:
        """Return what a thread did to the world, or may have done, from a checkpoint on; oldest first."""
        ...

    async def refuse(self, intention: Intention, refusal: Refusal) -> int:
        """Note a refusal, once for each intention, and tell which it is of those that its agent had in a row.

        A row is broken by an act of the agent on the thread that was permitted and did not turn out to have done
        nothing. A refusal that was noted before keeps its number.
        """
        ...

    async def times(self, intention: Intention) -> int:
        """Return how often its thread did the same with the same arguments before."""
        ...


@dataclass(slots=True)
class _Effect:
    intention: Intention
    attempt: int = 1
    status: Literal["intended", "done", "not_done"] = "intended"
    underway: bool = True
    result: Any = None  # JSON
    error: str = ""
    approval: str = ""
    settled_by: str = ""
    number: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Refused:
    agent: tuple[str, str]
    number: int


class MemoryLedger:
    """A ledger for one process: it protects retries within the process, not from its death."""

    def __init__(self, lineage: Lineage | None = None) -> None:
        self._effects: dict[str, _Effect] = {}
        self._refusals: dict[str, _Refused] = {}
        self._numbers = count(1)

    async def begin(self, intention: Intention, *, permitted: bool, approval: str = "") -> Entry:
        """Tell how an intention stands, and write it first if it is `new` and permitted."""
        found = self._effects.get(intention.key)
        if found is not None and found.status != "not_done":
            return _entry(found)
        if approval and self._used(approval, intention.key):
            return Entry(standing="unapproved", key=intention.key, attempt=0)
        if permitted and not approval and await self.parallel(intention) is not None:
            return Entry(standing="another", key=intention.key, attempt=0)
        if permitted:
            attempt = found.attempt + 1 if found else 1
            self._effects[intention.key] = _Effect(
                intention, attempt, approval=approval, number=next(self._numbers)
            )
            return Entry(standing="new", key=intention.key, attempt=attempt)
        return _entry(found) if found else Entry(standing="new", key=intention.key, attempt=0)

    async def claim(self, key: str, attempt: int) -> Entry:
        """Take on an effect that is in doubt: `new` with the next attempt for exactly one caller."""
        found = self._effects[key]
        if found.attempt != attempt or _entry(found).standing != "in_doubt":
            return _entry(found)
        self._effects[key] = replace(
            found, attempt=attempt + 1, underway=True, error="", settled=asyncio.Event()
        )
        return Entry(standing="new", key=key, attempt=attempt + 1)

    async def finish(self, key: str, attempt: int, result: Any) -> None:  # JSON
        """Write the result of an act; raises `EffectTakenOver` when somebody else has taken it on."""
        found = self._effects[key]
        if found.attempt != attempt or found.status == "not_done" or found.settled_by:
            raise EffectTakenOver(f"Effect {key[:12]} was taken on by somebody else.")
        found.status, found.result, found.underway = "done", result, False
        found.settled.set()
        if found.intention.reads:  # nobody replays a thread in memory
            del self._effects[key]

    async def release(self, key: str, attempt: int, error: str, *, happened: bool | None) -> None:
        """Note that an attempt raised: `False` when it is known that nothing happened, `None` when it is not known."""
        found = self._effects[key]
        if found.attempt != attempt or found.status != "intended":
            return  # somebody else has taken it on
        found.status = "not_done" if happened is False else "intended"
        found.error, found.underway = error, False
        found.settled.set()

    async def settle(
        self, key: str, attempt: int, *, happened: bool, result: Any, by: str
    ) -> Entry:  # JSON
        """Write down what became of an effect that is in doubt, and who says so; return how it stands then."""
        found = self._effects[key]
        if found.attempt == attempt and _standing(found) == "in_doubt":
            found.status, found.result = ("done", result) if happened else ("not_done", None)
            found.settled_by = by
        return _entry(found)

    async def wait(self, key: str) -> None:
        """Return when an effect is no longer underway."""
        if (found := self._effects.get(key)) is not None:  # what was only read is not kept
            await found.settled.wait()

    async def parallel(self, intention: Intention) -> Parallel | None:
        """Return what the same action did in an earlier attempt at the task; threads in memory have no forks."""
        if intention.reversible or intention.asked is None:
            return None
        for key, each in self._effects.items():
            beside = key not in intention.asked.keys and each.status != "not_done"
            if beside and (relation := _relation(each.intention, intention)):
                return Parallel(
                    relation=relation,
                    thread_id=intention.site.thread_id,
                    key=key,
                    arguments=each.intention.arguments,
                )
        return None

    async def done_since(self, thread_id: str, checkpoint_id: str) -> list[Act]:
        """Return what a thread did to the world, or may have done, from a checkpoint on; oldest first."""
        return [
            Act(action=each.intention.action, arguments=each.intention.arguments)
            for each in self._effects.values()
            if each.intention.site.thread_id == thread_id
            and each.intention.site.checkpoint_id >= checkpoint_id
            and each.status != "not_done"
            and not each.intention.reads
        ]

    async def refuse(self, intention: Intention, refusal: Refusal) -> int:
        """Note a refusal, once for each intention, and tell which it is of those that its agent had in a row."""
        agent = _agent(intention)
        if intention.key not in self._refusals:
            self._refusals[intention.key] = _Refused(agent, next(self._numbers))
        last, since = self._refusals[intention.key].number, self._permitted(agent)
        return sum(
            each.agent == agent and since < each.number <= last for each in self._refusals.values()
        )

    async def times(self, intention: Intention) -> int:
        """Return how often its thread did the same with the same arguments before."""
        return sum(
            each.intention.request == intention.request
            and each.intention.site.thread_id == intention.site.thread_id
            and each.status == "done"
            and each.intention.key != intention.key
            for each in self._effects.values()
        )

    def _permitted(self, agent: tuple[str, str]) -> int:
        acts = (each for each in self._effects.values() if _agent(each.intention) == agent)
        return max((each.number for each in acts if each.status != "not_done"), default=0)

    def _used(self, approval: str, key: str) -> bool:
        return any(
            each.approval == approval and other != key for other, each in self._effects.items()
        )


def _entry(found: _Effect) -> Entry:
    intention, standing = found.intention, _standing(found)
    attempt = 0 if standing == "new" else found.attempt
    entry = Entry(standing=standing, key=intention.key, attempt=attempt, error=found.error)
    match standing:
        case "done":
            return replace(entry, result=found.result)
        case "underway" | "in_doubt":
            return replace(entry, request=intention.request, arguments=intention.arguments)
        case _:
            return entry


def _standing(found: _Effect) -> Standing:
    if found.status == "done":
        return "done"
    if found.status == "not_done":
        return "new"
    return "underway" if found.underway else "in_doubt"


def _relation(done: Intention, intention: Intention) -> Relation | None:
    if _place(done) == _place(intention):
        return "attempt"
    same = done.action == intention.action and done.site.thread_id == intention.site.thread_id
    at = done.site.checkpoint_id
    back = same and any(each.since <= at < each.before for each in intention.abandoned)
    return "abandoned" if back else None


def _place(intention: Intention) -> tuple[str, str, str]:
    return intention.site.thread_id, intention.site.task, intention.action


def _agent(intention: Intention) -> tuple[str, str]:
    return intention.site.thread_id, intention.site.agent
