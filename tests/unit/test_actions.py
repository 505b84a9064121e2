"""Actions: what a declaration says, and what it makes of arguments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr

from interlock.core.actions import RESERVED, Action, action, digest, find, is_declared
from interlock.errors import ActionRefused, UsageError
from tests.acting import own_actions


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_actions():
        yield


def payment() -> Action[int]:
    """Declare an action."""

    @action(name="unit_pay", touches="the purse", nodes=("pay",), amount="amount")
    async def pay(amount: int, to: str = "Ada", *, state: Any) -> int:
        """Pay somebody."""
        return int(state["balance"]) - amount

    return pay


def test_arguments_are_stored_as_json_with_their_defaults() -> None:
    """What is written down is what the function will be called with."""

    @action(name="unit_book", touches="the diary", reversible=True)
    async def book(day: date, seats: int = 1) -> None: ...

    assert book.validate_arguments({"day": "2026-03-01", "seats": "2"}) == {
        "day": "2026-03-01",
        "seats": 2,
    }
    assert book.validate_arguments({"day": date(2026, 3, 1)}) == {"day": "2026-03-01", "seats": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "amount: Field required"),
        ({"amount": "much"}, "amount: Input should be a valid integer"),
        ({"amount": 1, "when": "now"}, "when: Extra inputs are not permitted"),
        ({"amount": 1, "state": {"balance": 9}}, "state: Extra inputs are not permitted"),
        ({"amount": 1, "idempotency_key": "k"}, "idempotency_key: Extra inputs"),
        ({"amount": "much", "to": 3}, "amount: Input should .*; to: Input should be a valid str"),
    ],
    ids=["missing", "type", "extra", "state", "key", "each fault"],
)
def test_wrong_arguments_are_refused_with_each_fault(arguments: Any, said: str) -> None:
    """Who made them reads what is wrong, and can correct it."""
    with pytest.raises(ActionRefused, match=f"The arguments of unit_pay are wrong: {said}") as told:
        payment().validate_arguments(arguments)

    assert told.value.kind == "arguments"


def test_annotated_parameter_keeps_its_bounds() -> None:
    """What an application says of an argument beyond its type is checked before anything is done."""

    @action(name="unit_lend", touches="the purse", reversible=True)
    async def lend(amount: Annotated[int, Field(gt=0)]) -> int:
        return amount

    with pytest.raises(ActionRefused, match="amount: Input should be greater than 0"):
        lend.validate_arguments({"amount": 0})


def test_request_names_the_action_with_its_arguments() -> None:
    """The same arguments are one request, however they were written; others, or another action, another one."""
    pay = payment()
    three = pay.request(pay.validate_arguments({"amount": 3}))
    also_three = pay.request(pay.validate_arguments({"to": "Ada", "amount": "3"}))
    four = pay.request(pay.validate_arguments({"amount": 4}))

    @action(name="unit_owe", touches="the purse")
    async def owe(amount: int, to: str = "Ada") -> int:
        return amount

    assert three == also_three
    assert len({three, four, owe.request(owe.validate_arguments({"amount": 3}))}) == 3


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    """The same arguments have the same digest, wherever they come from."""
    # By hand: printf '{"a":1,"b":"\\303\\251"}' | sha256sum
    expected = "09ad9fd2fb648cb2f62141215828ea00"

    assert digest({"b": "é", "a": 1}) == digest({"a": 1, "b": "é"})
    assert digest({"b": "é", "a": 1})[:32] == expected


def test_state_and_key_are_no_arguments_of_the_act() -> None:
    """A model and a person see what they may set, and nothing else."""
    schema = payment().argument_schema()

    assert sorted(schema["properties"]) == ["amount", "to"]
    assert schema["required"] == ["amount"]


def test_action_is_a_tool_that_a_model_can_be_told_of() -> None:
    """Its name, its words and its arguments, as LangChain asks for them; the graph's own parts are left out."""
    pay = payment()

    assert (pay.name, pay.description) == ("unit_pay", "Pay somebody.")
    assert sorted(pay.tool_call_schema.model_json_schema()["properties"]) == ["amount", "to"]  # type: ignore[union-attr]  # a model here


def test_action_is_no_synchronous_tool() -> None:
    """The error says how to run the graph."""
    with pytest.raises(
        UsageError, match=r"unit_pay was called as a synchronous tool. Run the graph"
    ):
        payment().run({"amount": 1, "runtime": None})


@pytest.mark.parametrize("name", RESERVED)
def test_name_that_acting_takes_itself_is_refused(name: str) -> None:
    """An argument that `act` would swallow cannot be declared."""
    parameters = {"amount": "int", name: "str", "return": "int"}

    def pay() -> int:
        return 1

    pay.__annotations__ = parameters
    with pytest.raises(UsageError, match=f"has a parameter named '{name}', which `act` takes"):
        action(name="bad", touches="")(pay)


def test_parameter_without_annotation_is_refused() -> None:
    """What cannot be validated cannot be declared."""

    async def pay(amount) -> int:  # type: ignore[no-untyped-def]  # the missing annotation is the point
        return int(amount)

    with pytest.raises(UsageError, match="Parameter 'amount' of action 'bad' has no annotation"):
        action(name="bad", touches="", reversible=True)(pay)


def test_action_that_does_not_say_what_it_returns_is_refused() -> None:
    """A result is stored and given again, so its type must be known."""

    async def pay(amount: int):  # type: ignore[no-untyped-def]  # the missing annotation is the point
        return amount

    with pytest.raises(UsageError, match="Action 'bad' does not say what it returns"):
        action(name="bad", touches="")(pay)


def test_amount_must_be_an_argument() -> None:
    """A policy that compares amounts would otherwise compare nothing."""

    async def pay(amount: int) -> int:
        return amount

    with pytest.raises(UsageError, match="Action 'bad' has no argument 'sum' to be its amount"):
        action(name="bad", touches="", amount="sum")(pay)


def test_amount_and_cost_come_from_the_arguments() -> None:
    """Each may be told by name, as a constant or as a function."""

    @action(name="unit_a", touches="", amount="sum", cost=lambda given: given["sum"] / 10)
    async def first(sum: float) -> None: ...  # noqa: A002  # an argument's name

    @action(name="unit_b", touches="", amount=lambda given: len(given["to"]), cost=0.5)
    async def second(to: list[str]) -> None: ...

    assert (first.amount({"sum": 20.0}), first.cost({"sum": 20.0})) == (20.0, 2.0)
    assert (second.amount({"to": ["a", "b"]}), second.cost({"to": []})) == (2, 0.5)
    assert payment().amount({"amount": None}) is None


def test_action_with_an_undo_is_reversible() -> None:
    """What names its undoing can be undone."""

    @action(name="unit_take", touches="the purse")
    async def take() -> None: ...

    @action(name="unit_give", touches="the purse", undo=take)
    async def give() -> None: ...

    assert (take.reversible, give.reversible, give.undo) == (False, True, "unit_take")


def test_two_functions_cannot_declare_one_name() -> None:
    """Effects are stored by name: one name is one act."""
    payment()

    async def rob(amount: int) -> int:
        return amount

    with pytest.raises(UsageError, match="Two functions declare the action 'unit_pay'"):
        action(name="unit_pay", touches="another purse")(rob)


def test_unknown_action_is_an_error_that_names_the_known_ones() -> None:
    """Who asks for an action that is not there learns which are."""
    payment()

    with pytest.raises(
        ActionRefused, match=r"There is no action 'fly'. Declared actions: .*unit_pay"
    ) as told:
        find("fly")
    assert (told.value.kind, is_declared("fly"), is_declared("unit_pay")) == (
        "unknown",
        False,
        True,
    )


def test_arguments_that_are_not_called_by_name_are_refused() -> None:
    """What the function cannot be given by name would fail only after the intention was written."""

    async def before(amount: int, /) -> int:
        return amount

    async def some(*amounts: int) -> int:
        return sum(amounts)

    async def named(**amounts: int) -> int:
        return sum(amounts.values())

    for function in (before, some, named):
        with pytest.raises(UsageError, match="by name"):
            action(name="unit_unnamed", touches="money")(function)


def test_argument_with_an_alias_is_stored_by_its_name() -> None:
    """An agent may use the alias; what is stored can be read again."""

    @action(name="unit_move", touches="money")
    async def move(source: Annotated[str, Field(alias="from")]) -> str:
        return source

    stored = move.validate_arguments({"from": "A"})
    assert stored == {"source": "A"} == move.validate_arguments(stored)


def test_default_of_none_may_be_none() -> None:
    """`limit: int = None` is common; the stored arguments can be read again."""

    @action(name="unit_limit", touches="money")
    async def set_limit(limit: int = None) -> int:  # type: ignore[assignment]  # noqa: RUF013  # the mistake itself
        return limit or 0

    stored = set_limit.validate_arguments({})
    assert stored == {"limit": None} == set_limit.validate_arguments(stored)


def test_argument_that_json_would_lose_is_refused() -> None:
    """A secret is stored as stars, and the function would be called with them."""

    @action(name="unit_log_in", touches="a session")
    async def log_in(password: SecretStr) -> str:
        return password.get_secret_value()

    with pytest.raises(UsageError, match="'password'"):
        log_in.validate_arguments({"password": "hunter2"})


def test_argument_that_has_no_json_is_refused() -> None:
    """Bytes that are no text cannot be stored."""

    @action(name="unit_upload", touches="a bucket")
    async def upload(data: bytes) -> int:
        return len(data)

    with pytest.raises(ActionRefused, match="stored as JSON"):
        upload.validate_arguments({"data": b"\xff"})


def test_tuples_and_nan_are_kept() -> None:
    """What JSON only writes in another way is no loss."""

    @action(name="unit_note", touches="a note")
    async def note(what: Any, number: float) -> str:
        return str(what)

    stored = note.validate_arguments({"what": (1, 2), "number": float("nan")})
    assert stored["what"] == [1, 2]


def test_amount_that_no_float_holds_is_unknown() -> None:
    """An integer too large for a float fails no policy: an unknown number never helps."""

    @action(name="unit_huge", touches="money", amount="amount")
    async def pay(amount: int) -> int:
        return amount

    assert pay.amount({"amount": 10**400}) is None


def test_estimate_is_never_negative() -> None:
    """An agent that asks for minus a thousand nights earns no budget."""

    @action(name="unit_book", touches="a hotel", cost=lambda arguments: arguments["nights"] * 100.0)
    async def book(nights: int) -> int:
        return nights

    assert (book.cost({"nights": 2}), book.cost({"nights": -1000})) == (200.0, 0.0)
