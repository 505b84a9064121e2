"""In doubt: an act whose outcome is unknown is repeated, probed, or asked about; never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.runtime import Runtime
from pydantic import ValidationError

from interlock.core.acting import act
from interlock.core.actions import Action, Happened, action
from interlock.core.context import Context
from interlock.core.ledger import Ledger
from interlock.core.verdict import Ruling
from interlock.errors import ActionRefused, EffectInDoubt
from interlock.testing import RecordingLedger
from tests.acting import (
    APPROVE,
    REJECT,
    Purse,
    Rules,
    Thread,
    context,
    edit,
    one_node,
    own_actions,
)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_actions():
        yield


class World:
    """What was done, by key; its first answers get lost, after the act or before it."""

    def __init__(self, *lost: str) -> None:
        self.done: list[str] = []
        self.keys: list[str] = []
        self.looked: list[str] = []
        self._lost = list(lost)
        self.rules = Rules()
        self.ledger = RecordingLedger()

    def pay(self, key: str = "") -> str:
        """Pay, or lose the connection."""
        self.keys.append(key)
        lost = self._lost.pop(0) if self._lost else ""
        if lost == "before":
            raise ConnectionError("cut before")
        self.done.append(key)
        if lost:
            raise ConnectionError("cut after")
        return f"receipt {len(self.done)}"

    def thread(self, declared: Action[Any]) -> Thread:
        """Return a thread that does it."""

        async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
            try:
                return {"said": await act(runtime, declared)}
            except ActionRefused as refusal:
                return {"said": refusal.kind}

        return Thread(graph=one_node(step), context=context(self.ledger, self.rules))

    async def lose(self, declared: Action[Any]) -> Thread:
        """Run it until the answer of its act is lost."""
        thread = self.thread(declared)
        with pytest.raises(ConnectionError, match="cut"):
            await thread.start()
        return thread

    async def standing(self) -> str:
        """Say how the ledger has it."""
        return (await self.ledger.begin(self.ledger.begun[0], permitted=False)).standing


def keyed(world: World) -> Action[str]:
    """An action that takes its effect's key."""

    @action(name="unit_keyed", touches="the bank", reversible=True)
    async def pay(idempotency_key: str) -> str:
        return world.pay(idempotency_key)

    return pay


def idempotent(world: World) -> Action[str]:
    """An action that may be done twice."""

    @action(name="unit_idempotent", touches="the bank", reversible=True, idempotent=True)
    async def pay() -> str:
        return world.pay()

    return pay


def probed(world: World, found: Happened[Any] | None) -> Action[str]:
    """An action that can be looked for."""

    async def look(key: str) -> Happened[Any] | None:
        world.looked.append(key)
        return found

    @action(name="unit_probed", touches="the bank", reversible=True, probe=look)
    async def pay() -> str:
        return world.pay()

    return pay


def plain(world: World) -> Action[str]:
    """An action about which only a person can tell; it returns something."""

    @action(name="unit_plain", touches="the bank")
    async def pay() -> str:
        return world.pay()

    return pay


def silent(world: World) -> Action[None]:
    """The same, and it returns nothing."""

    @action(name="unit_silent", touches="the bank", reversible=True)
    async def pay() -> None:
        world.pay()

    return pay


# --- repeated ---


async def test_act_that_takes_a_key_is_repeated_with_the_same_one() -> None:
    """The bank keeps it apart from others by its key, so that it happens once there."""
    world = World("after")
    thread = await world.lose(keyed(world))
    output = await thread.again()

    assert output["said"] == "receipt 2"
    assert (len(world.keys), len(set(world.keys))) == (2, 1)
    assert world.keys[0] == world.ledger.begun[0].key


async def test_idempotent_act_is_repeated() -> None:
    """Doing it again changes nothing."""
    world = World("before", "before")
    thread = await world.lose(idempotent(world))
    with pytest.raises(ConnectionError):
        await thread.again()
    output = await thread.again()

    assert (output["said"], len(world.keys), await world.standing()) == ("receipt 1", 3, "done")


# --- probed ---


async def test_probe_that_finds_it_gives_its_result() -> None:
    """It is not done again."""
    world = World("after")
    thread = await world.lose(probed(world, Happened("receipt 1")))
    output = await thread.again()

    assert (output["said"], len(world.keys), await world.standing()) == ("receipt 1", 1, "done")
    assert world.looked == [world.ledger.begun[0].key]


async def test_act_that_the_probe_does_not_find_is_done() -> None:
    """It is known now that it did not happen."""
    world = World("before")
    thread = await world.lose(probed(world, None))
    output = await thread.again()

    assert (output["said"], len(world.keys)) == ("receipt 1", 2)


async def test_probe_that_finds_nonsense_settles_nothing() -> None:
    """What the action cannot return is no result; the doubt stays, and the error says whose fault it is."""
    world = World("after")
    thread = await world.lose(probed(world, Happened({"receipt": 1})))
    with pytest.raises(EffectInDoubt, match="The probe of unit_probed found what unit_probed"):
        await thread.again()

    assert (len(world.keys), await world.standing()) == (1, "in_doubt")


async def test_probe_that_fails_settles_nothing() -> None:
    """It is asked again in the next attempt."""
    world, answers = World("after"), [Happened("receipt 1")]

    async def look(key: str) -> Happened[str] | None:
        if not world.looked:
            world.looked.append(key)
            raise TimeoutError("no answer")
        return answers.pop()

    @action(name="unit_shaky", touches="the bank", reversible=True, probe=look)
    async def pay() -> str:
        return world.pay()

    thread = await world.lose(pay)
    with pytest.raises(TimeoutError, match="no answer"):
        await thread.again()
    between = await world.standing()
    output = await thread.again()

    assert (between, output["said"], len(world.keys)) == ("in_doubt", "receipt 1", 1)


# --- asked about ---


async def test_question_shows_what_can_be_known() -> None:
    """A person reads what was about to happen, where to look, and what came of the attempt."""
    world = World("after")
    thread = await world.lose(silent(world))
    await thread.again()
    (payload,) = await thread.questions()

    key = world.ledger.begun[0].key
    assert payload["action_requests"] == [
        {
            "name": "did_it_happen",
            "args": {
                "effect": key,
                "attempt": 1,
                "action": "unit_silent",
                "arguments": {},
                "result": None,
            },
            "description": (
                "Did unit_silent happen? An earlier attempt stopped before its outcome was known."
            ),
        }
    ]
    assert (payload["question"]["kind"], payload["question"]["effect"]) == ("in_doubt", key)
    assert payload["question"]["evidence"] == [
        "look at: the bank",
        f"key given to the outside: none; key of the effect: {key}",
        "attempt 1 in node pay of thread t",
        "that attempt raised ConnectionError: cut after",
    ]


@pytest.mark.parametrize(
    ("decision", "said", "times", "standing"),
    [
        (APPROVE, None, 1, "done"),
        (edit("did_it_happen", result=None), None, 1, "done"),
        (REJECT, None, 2, "done"),
    ],
    ids=["approve", "edit", "reject"],
)
async def test_person_says_whether_a_silent_act_happened(
    decision: Any, said: Any, times: int, standing: str
) -> None:
    """Approve: it happened. Reject: it did not, so it is done now."""
    world = World("after")
    thread = await world.lose(silent(world))
    await thread.again()
    output = await thread.answer(decision, by="Bob")

    assert (output["said"], len(world.keys)) == (said, times)
    assert await world.standing() == standing


async def test_person_says_what_an_act_returned() -> None:
    """Who says that it happened must say what came of it: a plain approval is not offered."""
    world = World("after")
    thread = await world.lose(plain(world))
    await thread.again()
    (payload,) = await thread.questions()
    output = await thread.answer(edit("did_it_happen", result="receipt 7"))

    assert payload["review_configs"][0]["allowed_decisions"] == ["edit", "reject"]
    assert payload["question"]["evidence"][-1] == "it cannot be undone"
    assert (output["said"], len(world.keys), await world.standing()) == ("receipt 7", 1, "done")


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (edit("did_it_happen", result=7), "it is not what unit_plain returns"),
        (edit("did_it_happen", result=None), "it is not what unit_plain returns"),
        (edit("did_it_happen"), "it is not what unit_plain returns"),
        (edit("did_it_happen", action="unit_silent"), "action may not be changed here"),
        (edit("did_it_happen", effect="k", attempt=2), "effect, attempt may not be changed"),
        (APPROVE, "'approve' is not offered here; choose from edit, reject"),
    ],
    ids=["type", "nothing", "no result", "action", "effect", "approve"],
)
async def test_answer_that_cannot_be_true_is_refused(decision: Any, said: str) -> None:
    """The question stays open, and the doubt too."""
    world = World("after")
    thread = await world.lose(plain(world))
    await thread.again()
    with pytest.raises(ValidationError, match=said):
        await thread.answer(decision)
    between = (await world.standing(), len(world.keys))
    output = await thread.answer(edit("did_it_happen", result="receipt 7"))

    assert (between, output["said"]) == (("in_doubt", 1), "receipt 7")


async def test_each_lost_attempt_is_asked_about_anew() -> None:
    """An answer about the first attempt says nothing of the second."""
    world = World("before", "after")
    thread = await world.lose(silent(world))
    await thread.again()
    (first,) = await thread.questions()
    with pytest.raises(ConnectionError):
        await thread.answer(REJECT)
    await thread.again()
    (second,) = await thread.questions()
    output = await thread.answer(APPROVE)

    attempts = [each["action_requests"][0]["args"]["attempt"] for each in (first, second)]
    assert (attempts, len(world.keys), output["said"]) == ([1, 2], 2, None)


async def test_act_that_did_not_happen_is_asked_about_where_the_policy_asks() -> None:
    """That it did not happen is no permission to do it."""
    world = World("before")
    thread = await world.lose(silent(world))
    world.rules.ruling = "ask"
    await thread.again()
    await thread.answer(REJECT)
    (payload,) = await thread.questions()
    between = len(world.keys)
    output = await thread.answer(APPROVE)

    assert payload["action_requests"][0]["name"] == "unit_silent"
    assert (between, len(world.keys), output["said"]) == (1, 2, None)


# --- the policy denies by now ---


@pytest.mark.parametrize(
    ("make", "decision", "said"),
    [
        (lambda world: probed(world, None), None, "policy"),
        (lambda world: probed(world, Happened("receipt 1")), None, "receipt 1"),
        (silent, REJECT, "policy"),
        (silent, APPROVE, None),
    ],
    ids=["probed, not found", "probed, found", "did not happen", "happened"],
)
async def test_denied_act_is_found_out_about_but_not_done(
    make: Any, decision: Any, said: Any
) -> None:
    """What happened is told; what did not happen is refused."""
    world = World("after")
    thread = await world.lose(make(world))
    world.rules.ruling = "deny"
    output = await thread.again()
    if decision is not None:
        output = await thread.answer(decision)

    assert (output["said"], len(world.keys)) == (said, 1)


@pytest.mark.parametrize("make", [keyed, idempotent])
@pytest.mark.parametrize("then", ["deny", "ask"])
async def test_repeatable_act_is_not_repeated_against_the_policy(make: Any, then: Ruling) -> None:
    """Denied by now: nothing is done. Asked about by now: it was permitted when it began, and is repeated."""
    world = World("after")
    thread = await world.lose(make(world))
    world.rules.ruling = then
    if then == "ask":
        assert (await thread.again())["said"] == "receipt 2"
        return
    with pytest.raises(EffectInDoubt, match="interlock effects resolve"):
        await thread.again()

    assert (len(world.keys), await world.standing()) == (1, "in_doubt")


async def test_somebody_else_takes_it_on_first() -> None:
    """Between the look and the claim another process was faster: its act is waited for, not repeated."""
    world = World("after")
    thread = await world.lose(keyed(world))
    ledger: Ledger = world.ledger
    taken = await ledger.claim(world.ledger.begun[0].key, 1)
    await ledger.finish(taken.key, taken.attempt, "receipt of another")
    output = await thread.again()

    assert (output["said"], len(world.keys)) == ("receipt of another", 1)
