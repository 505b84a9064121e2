"""Actions: declared, validated, permitted, keyed, and done once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import Field
from typing_extensions import TypedDict

from interlock.core import actions
from interlock.core.actions import Action, act, action, digest, find
from interlock.core.context import Context
from interlock.core.ledger import Entry, Intention, MemoryLedger
from interlock.errors import ActionRefused, UsageError
from interlock.testing import RecordingLedger, make_context


class Purse(TypedDict, total=False):
    """The state of a graph that pays."""

    balance: int
    arguments: dict[str, Any]
    paid: int


class Paying:
    """An action, and what it did."""

    def __init__(self, *, idempotent: bool = False) -> None:
        self.payments: list[tuple[int, str]] = []

        def too_much(state: Any, arguments: Any) -> str | None:  # as declared
            balance = state["balance"]
            return None if arguments["amount"] <= balance else f"the balance is only {balance}"

        @action(
            name="unit_pay",
            touches="the purse",
            nodes=("pay",),
            reversible=False,
            idempotent=idempotent,
            precondition=too_much,
        )
        async def pay(amount: int, to: str = "Ada", *, state: Purse) -> int:
            self.payments.append((amount, to))
            return state["balance"] - amount

        self.action: Action[int] = pay


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    before = dict(actions._ACTIONS)
    yield
    actions._ACTIONS.clear()
    actions._ACTIONS.update(before)


async def run(
    paying: Paying,
    ledger: MemoryLedger,
    *,
    node: str = "pay",
    balance: int = 10,
    **arguments: Any,
) -> int:
    """Pay from inside a node."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        paid = await act(runtime, paying.action, state["arguments"], state=state)
        return {"paid": paid}

    builder = StateGraph(Purse, Context)
    builder.add_node(node, step)
    builder.add_edge(START, node)
    graph = builder.compile(checkpointer=InMemorySaver())
    given: Any = {"balance": balance, "arguments": arguments}
    output = await graph.ainvoke(
        given, {"configurable": {"thread_id": "t"}}, context=make_context(ledger=ledger)
    )
    return int(output["paid"])


async def test_act_is_done_with_validated_arguments() -> None:
    """Defaults are filled in, the state is given, the result comes back."""
    paying, ledger = Paying(), RecordingLedger()
    left = await run(paying, ledger, amount="3")

    assert (left, paying.payments) == (7, [(3, "Ada")])
    assert [(each.action, each.node, each.arguments) for each in ledger.begun] == [
        ("unit_pay", "pay", {"amount": 3, "to": "Ada"})
    ]
    assert ledger.done == ["unit_pay"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "The arguments of unit_pay are wrong: amount: Field required"),
        ({"amount": "much"}, "The arguments of unit_pay are wrong: amount: Input should be"),
        ({"amount": 1, "when": "now"}, "The arguments of unit_pay are wrong: when: Extra inputs"),
        ({"amount": 11}, "unit_pay was not run: the balance is only 10"),
    ],
    ids=["missing", "type", "extra", "precondition"],
)
async def test_wrong_act_is_refused_before_anything_is_written(
    arguments: dict[str, Any], said: str
) -> None:
    """A refused act leaves no trace, neither in the world nor in the ledger."""
    paying, ledger = Paying(), RecordingLedger()
    with pytest.raises(ActionRefused, match=said):
        await run(paying, ledger, **arguments)

    assert (paying.payments, ledger.begun) == ([], [])


async def test_act_in_a_node_that_is_not_declared_is_refused() -> None:
    """An action belongs to its nodes."""
    paying, ledger = Paying(), RecordingLedger()
    with pytest.raises(ActionRefused, match="may not be called in node 'steal'; it may in pay"):
        await run(paying, ledger, node="steal", amount=1)

    assert (paying.payments, ledger.begun) == ([], [])


class Found(MemoryLedger):
    """A ledger that already knows every act."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self._entry = entry

    async def begin(self, intention: Intention) -> Entry:
        return self._entry


async def test_act_that_was_done_is_not_repeated() -> None:
    """The recorded result is the answer."""
    paying = Paying()
    left = await run(paying, Found(Entry(standing="done", result=42)), amount=1)

    assert (left, paying.payments) == (42, [])


async def test_act_in_doubt_is_not_repeated() -> None:
    """Whether an act happened is never guessed."""
    paying = Paying()
    with pytest.raises(ActionRefused, match=r"Whether unit_pay already happened is unknown"):
        await run(paying, Found(Entry(standing="in_doubt")), amount=1)

    assert paying.payments == []


async def test_idempotent_act_in_doubt_is_repeated() -> None:
    """Doing it again changes nothing, so it is done again."""
    paying = Paying(idempotent=True)
    left = await run(paying, Found(Entry(standing="in_doubt")), amount=1)

    assert (left, paying.payments) == (9, [(1, "Ada")])


async def test_memory_ledger_tells_how_an_act_stands() -> None:
    """New at first, in doubt until the result is there, then done."""
    ledger = MemoryLedger()
    intention = Intention(key="k", thread_id="t", node="n", action="a", arguments={})

    first = await ledger.begin(intention)
    second = await ledger.begin(intention)
    await ledger.finish("k", {"x": 1})
    third = await ledger.begin(intention)

    assert (first.standing, second.standing) == ("new", "in_doubt")
    assert third == Entry(standing="done", result={"x": 1})


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    """The same arguments have the same digest, wherever they come from."""
    # By hand: printf '{"a":1,"b":"\\303\\251"}' | sha256sum
    expected = "09ad9fd2fb648cb2f62141215828ea00"

    assert digest({"b": "é", "a": 1}) == digest({"a": 1, "b": "é"})
    assert digest({"b": "é", "a": 1})[:32] == expected


def test_unknown_action_is_an_error_that_names_the_known_ones() -> None:
    """Who asks for an action that is not there learns which are."""
    Paying()

    with pytest.raises(
        ActionRefused, match=r"There is no action 'fly'. Declared actions: .*unit_pay"
    ):
        find("fly")


def test_annotated_parameter_keeps_its_bounds() -> None:
    """What an application says of an argument beyond its type is checked before anything is done."""

    @action(name="unit_lend", touches="the purse", nodes=("lend",), reversible=True)
    async def lend(amount: Annotated[int, Field(gt=0)]) -> int:
        return amount

    with pytest.raises(ActionRefused, match="amount: Input should be greater than 0"):
        lend.validate({"amount": 0})


def test_parameter_without_annotation_is_refused() -> None:
    """What cannot be validated cannot be declared."""

    async def pay(amount) -> int:  # type: ignore[no-untyped-def]  # the missing annotation is the point
        return int(amount)

    with pytest.raises(UsageError, match="Parameter 'amount' of action 'bad' has no annotation"):
        action(name="bad", touches="", nodes=(), reversible=True)(pay)


def test_schema_of_an_action_is_that_of_its_arguments() -> None:
    """The state is not an argument of the act."""
    schema = Paying().action.schema()

    assert sorted(schema["properties"]) == ["amount", "to"]
    assert schema["required"] == ["amount"]
