"""The ledger against a model of a few lines: whatever several processes try, in any order, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from interlock.core.ledger import Entry, Refusal
from interlock.errors import EffectTakenOver
from tests.ledgers import Process, World, intention

T = TypeVar("T")
KEYS = st.sampled_from(["a", "b", "c"])
ATTEMPTS = st.integers(1, 3)
PROCESSES = st.integers(0, 1)
RESULTS = st.sampled_from(["one", "two"])
APPROVALS = st.sampled_from(["", "q1", "q2"])


@dataclass(slots=True)
class Model:
    """What an effect should look like.

    Attributes:
        owner: the process that acts; None when none does.
        acting: how often somebody set out to act without knowing that nobody else had acted.
    """

    status: str = ""
    attempt: int = 0
    owner: int | None = None
    result: str | None = None
    settled: bool = False
    approval: str = ""
    began: int = 0

    def standing(self) -> str:
        """Say how it stands."""
        if self.status == "intended":
            return "in_doubt" if self.owner is None else "underway"
        return "done" if self.status == "done" else "new"


@dataclass(slots=True)
class Models:
    """All effects, and what was refused, in their order."""

    effects: dict[str, Model] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def at(self, key: str) -> Model:
        """Return an effect; what nobody began is new."""
        return self.effects.setdefault(key, Model())

    def tick(self) -> int:
        """Return the next moment."""
        self.clock += 1
        return self.clock

    def row(self, key: str) -> int:
        """Return which refusal in a row this is."""
        since = max(
            (each.began for each in self.effects.values() if each.standing() != "new"), default=0
        )
        return sum(since < each <= self.refused[key] for each in self.refused.values())


class Ledgers(RuleBasedStateMachine):
    """Two processes that try everything on three effects."""

    url: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.model = Models()
        self.performed: list[tuple[str, int]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """End all processes."""
        self.run(self.stack.aclose())
        self.loop.close()

    @initialize()
    def open(self) -> None:
        """Start both processes, on nothing."""
        if self.url:
            self.run(_emptied(self.url))
        world = World(self.stack, self.url)
        self.processes: list[Process] = [self.run(world.process(size=1)) for _ in range(2)]
        for question in ("q1", "q2"):
            self.run(world.asked(question, intention(""), granted=True))

    @rule(process=PROCESSES, key=KEYS, permitted=st.booleans(), approval=APPROVALS)
    def begin(self, process: int, key: str, permitted: bool, approval: str) -> None:
        """Look, or begin; an approval that another effect has permits nothing."""
        ledger, seen = self.processes[process].ledger, self.model.at(key)
        approval = approval if permitted else ""
        entry = self.run(ledger.begin(intention(key), permitted=permitted, approval=approval))
        if seen.standing() != "new":
            self.check(entry, seen)
        elif approval and self.used(approval, key):
            assert (entry.standing, entry.attempt) == ("unapproved", 0)
        elif permitted:
            self.set_out(entry, key, process, approval)
        else:
            assert (entry.standing, entry.attempt) == ("new", 0)

    @rule(process=PROCESSES, key=KEYS, attempt=ATTEMPTS)
    def claim(self, process: int, key: str, attempt: int) -> None:
        """Take an effect in doubt on; only who saw the present attempt may."""
        seen = self.model.at(key)
        if not seen.status:
            return
        entry = self.run(self.processes[process].ledger.claim(key, attempt))
        if seen.standing() == "in_doubt" and seen.attempt == attempt:
            self.set_out(entry, key, process, seen.approval, began=seen.began)
        else:
            self.check(entry, seen)

    @rule(process=PROCESSES, key=KEYS, attempt=ATTEMPTS, result=RESULTS)
    def finish(self, process: int, key: str, attempt: int, result: str) -> None:
        """Write a result; only that of the present attempt is taken, and nobody's word is overwritten."""
        seen = self.model.at(key)
        if not seen.status:
            return
        owned = seen.attempt == attempt and seen.status != "not_done" and not seen.settled
        if not owned:
            with pytest.raises(EffectTakenOver):
                self.run(self.processes[process].ledger.finish(key, attempt, result))
            return
        self.run(self.processes[process].ledger.finish(key, attempt, result))
        seen.status, seen.owner, seen.result = "done", None, result

    @rule(process=PROCESSES, key=KEYS, attempt=ATTEMPTS, happened=st.sampled_from([False, None]))
    def release(self, process: int, key: str, attempt: int, happened: bool | None) -> None:
        """Note that an attempt raised."""
        seen = self.model.at(key)
        if not seen.status:
            return
        ledger = self.processes[process].ledger
        self.run(ledger.release(key, attempt, "raised", happened=happened))
        if seen.status == "intended" and seen.attempt == attempt:
            seen.owner = None
            seen.status = "not_done" if happened is False else "intended"

    @rule(process=PROCESSES, key=KEYS, attempt=ATTEMPTS, happened=st.booleans(), result=RESULTS)
    def settle(self, process: int, key: str, attempt: int, happened: bool, result: str) -> None:
        """Say what became of an effect; only one that is in doubt listens."""
        seen = self.model.at(key)
        if not seen.status:
            return
        ledger = self.processes[process].ledger
        said = result if happened else None
        entry = self.run(ledger.settle(key, attempt, happened=happened, result=said, by="Bob"))
        if seen.standing() == "in_doubt" and seen.attempt == attempt:
            seen.status = "done" if happened else "not_done"
            seen.result, seen.settled = said, True
        self.check(entry, seen)

    @rule(process=PROCESSES, key=KEYS)
    def refuse(self, process: int, key: str) -> None:
        """Refuse; the same refusal keeps its place."""
        self.model.refused.setdefault(key, self.model.tick())
        refusal = Refusal(kind="policy", reason="No.")
        counted = self.run(self.processes[process].ledger.refuse(intention(key), refusal))
        assert counted == self.model.row(key)

    @precondition(lambda self: bool(self.url))
    @rule(process=PROCESSES)
    def die(self, process: int) -> None:
        """Lose the connection that tells that a process lives: what it was doing is in doubt."""
        self.run(self.processes[process].die(self.url))
        for each in self.model.effects.values():
            if each.owner == process:
                each.owner = None

    @invariant()
    def everything_stands_as_in_the_model(self) -> None:
        """Every process sees the same."""
        for process in getattr(self, "processes", []):
            for key, seen in self.model.effects.items():
                self.check(self.run(process.ledger.begin(intention(key), permitted=False)), seen)

    @invariant()
    def each_attempt_is_somebody_s(self) -> None:
        """Nobody set out on the same attempt twice."""
        assert len(set(self.performed)) == len(self.performed)

    def used(self, approval: str, key: str) -> bool:
        """Say whether another effect has the approval."""
        others = (each for other, each in self.model.effects.items() if other != key)
        return any(each.approval == approval for each in others)

    def set_out(
        self, entry: Entry, key: str, process: int, approval: str, *, began: int = 0
    ) -> None:
        """Expect that the process may act now."""
        before = self.model.at(key)
        assert (entry.standing, entry.attempt) == ("new", before.attempt + 1)
        self.performed.append((key, entry.attempt))
        self.model.effects[key] = Model(
            status="intended",
            attempt=entry.attempt,
            owner=process,
            approval=approval,
            began=began or self.model.tick(),
        )

    def check(self, entry: Entry, seen: Model) -> None:
        """Compare what was told with the model."""
        told = (entry.standing, entry.attempt, entry.result)
        expected = seen.standing()
        attempt = 0 if expected == "new" else seen.attempt
        assert told == (expected, attempt, seen.result if expected == "done" else None)


async def _emptied(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "truncate interlock.effects, interlock.refusals, interlock.questions cascade"
        )


def tried(url: str, *, examples: int, steps: int) -> None:
    """Let hypothesis try that many times."""
    machine = type("Ledgers", (Ledgers,), {"url": url})
    run_machine(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_ledger_in_memory_is_what_the_model_says() -> None:
    """Many short stories."""
    tried("", examples=150, steps=25)


def test_ledger_in_postgres_is_what_the_model_says(database_url: str) -> None:
    """Some stories, in which processes die too."""
    tried(database_url, examples=8, steps=15)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ledgers_are_what_the_model_says_in_long_stories(database_url: str) -> None:
    """Many long ones, on both."""
    tried("", examples=2000, steps=60)
    tried(database_url, examples=150, steps=50)
