"""Forms that are made from schemas, and what they give: what is nested, entries of lists, messages, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from pydantic import Field as Limited
from typing_extensions import TypedDict

from interlock.application import Graph
from interlock.server.dashboard.fields import Field, input_fields, state_fields
from interlock.server.dashboard.forms import read


class Line(BaseModel):
    """What is bought."""

    sku: str
    many: int = Limited(ge=1)


class Order(BaseModel):
    """Who buys what."""

    customer: str
    country: Literal["IT", "DE"] = "IT"
    due: str | None = None
    lines: list[Line]


class State(TypedDict, total=False):
    """Everything that a form may hold."""

    order: Order
    limits: dict[str, float]
    messages: Annotated[list[AnyMessage], add_messages]


def _graph() -> Graph:
    return StateGraph(State).add_node("n", lambda state: {}).add_edge(START, "n").compile()


ORDER = {
    "customer": "Ada",
    "country": "IT",
    "due": None,
    "lines": [{"sku": "A", "many": 2}, {"sku": "B", "many": 1}],
}
STATE = {
    "order": ORDER,
    "messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2")],
}


def test_a_nested_value_has_a_field_for_each_part() -> None:
    """Parts of models, entries of lists, choices; what has no known keys is JSON, with an example."""
    order, limits, messages = input_fields(_graph())

    assert [(each.path, each.kind) for each in _all(order)] == [
        ("order", "group"),
        ("order.customer", "text"),
        ("order.country", "choice"),
        ("order.due", "text"),
        ("order.lines", "items"),
    ]
    assert limits.example == 'JSON, such as {"name": 1.5}'
    assert messages.kind == "message"


def test_parts_are_put_together() -> None:
    """What is left empty and was not there is left out, so that its default holds."""
    given = {
        "value:order.customer": "Ada",
        "value:order.lines.0.sku": "A",
        "value:order.lines.0.many": "2",
        "value:order.lines.3.sku": "B",
        "value:order.lines.3.many": "1",
    }
    values, fields = read(input_fields(_graph()), given)

    assert values["order"] == {
        "customer": "Ada",
        "country": "IT",
        "lines": [{"sku": "A", "many": 2}, {"sku": "B", "many": 1}],
    }
    assert not any(each.faulty for each in fields)


def test_what_is_wrong_is_told_at_its_part() -> None:
    """What is no number, what a model refuses, and what is missing; nothing of that key is given."""
    given = {"value:order.customer": "Ada", "value:order.lines.0.many": "lots"}
    assert _faults(given) == {"order.lines.0.many": "This is not a whole number."}

    given["value:order.lines.0.many"] = "0"
    faults = _faults(given)
    assert "greater than or equal to 1" in faults["order.lines.0.many"]
    assert faults["order.lines.0.sku"] == "Field required"


def test_only_what_was_changed_is_changed() -> None:
    """A form that is sent as it was changes nothing, also where something is None; the other parts stay."""
    assert _changed({}) == {}
    assert _changed({"value:order.due": "", "value:order.lines.0.many": "2"}) == {}

    changed = _changed({"value:order.lines.1.many": "7"})

    lines = [{"sku": "A", "many": 2}, {"sku": "B", "many": 7}]
    assert changed == {"order": {**ORDER, "lines": lines}}


def test_entries_are_taken_out() -> None:
    """By a mark; those behind stay what they were."""
    changed = _changed({"drop:order.lines.0": "on"})

    assert changed == {"order": {**ORDER, "lines": [{"sku": "B", "many": 1}]}}


def test_a_model_stays_a_model() -> None:
    """Where the state holds one, what takes its place is one."""
    order = Order(customer="Ada", lines=[Line(sku="A", many=2)])
    values, _ = read(
        state_fields(_graph(), {"order": order}), {"value:order.customer": "Bob"}, changed_only=True
    )

    assert values == {"order": Order(customer="Bob", lines=[Line(sku="A", many=2)])}


def test_what_was_said_is_changed_under_its_id() -> None:
    """And something is added, said by whom the form names."""
    given = {"value:messages.1": "ho ho", "value:messages": "be short", "role:messages": "system"}
    changed, added = _changed(given)["messages"]

    assert (changed, changed.id) == (AIMessage("ho ho", id="2"), "2")
    assert isinstance(added, SystemMessage)
    assert added.text == "be short"


def _changed(given: Mapping[str, str]) -> dict[str, Any]:  # values of keys
    values, fields = read(state_fields(_graph(), STATE), given, changed_only=True)
    assert not any(each.faulty for each in fields)
    return values


def _faults(given: Mapping[str, str]) -> dict[str, str]:
    values, fields = read(input_fields(_graph()), given)
    assert values == {}
    return {each.path: each.fault for field in fields for each in _all(field) if each.fault}


def _all(field: Field) -> Iterator[Field]:
    yield field
    for each in field.inner:
        yield from _all(each)
