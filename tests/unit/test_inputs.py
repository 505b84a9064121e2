from pathlib import Path
from typing import Annotated, NotRequired
from typing import TypedDict as PlainTypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from graphs.research import graph
from interlock.core.context import Context
from interlock.errors import UsageError
from interlock.inputs import absolute, check_input, input_properties


class Talk(TypedDict):
    messages: NotRequired[Annotated[list[AnyMessage], add_messages]]


async def listen(state: Talk) -> Talk:
    return {}


TALK = StateGraph(Talk, Context).add_node(listen).add_edge(START, "listen").compile()


def test_paths_are_made_absolute_and_all_other_sources_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process, in another folder, can go on with what was given."""
    monkeypatch.chdir(tmp_path)
    given = ["./docs", "https://example.org/a", "search:tavily", "search:package.tools:Search"]

    checked = check_input(graph, {"question": "Why?", "sources": given})

    assert checked["sources"] == [str(tmp_path / "docs"), *given[1:]]


def test_what_checks_an_input_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three inputs of one graph are checked by the same adapter."""
    made: list[type[object]] = []

    def noting(schema: type[object]) -> TypeAdapter[object]:
        made.append(schema)
        return TypeAdapter(schema)

    class Named(TypedDict):
        name: str

    async def greet(state: Named) -> Named:
        return state

    compiled = StateGraph(Named, Context).add_node(greet).add_edge(START, "greet").compile()
    monkeypatch.setattr("interlock.inputs.TypeAdapter", noting)

    checked = [check_input(compiled, {"name": name}) for name in ("a", "b", "c")]

    assert checked == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert made == [Named]


def test_a_file_may_be_called_like_a_search_tool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Written with the folder before it, it is a path."""
    monkeypatch.chdir(tmp_path)

    assert absolute("./search:notes") == str(tmp_path / "search:notes")


@pytest.mark.parametrize(
    "given",
    [
        [("user", "Hello"), ("ai", "Good day")],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}],
        [HumanMessage("Hello"), AIMessage("Good day")],
    ],
)
def test_messages_may_have_each_form_that_langgraph_takes(given: list[object]) -> None:
    """They are stored as messages."""
    checked = check_input(TALK, {"messages": given})

    assert [(each.type, each.text) for each in checked["messages"]] == [
        ("human", "Hello"),
        ("ai", "Good day"),
    ]


def test_what_is_no_message_is_refused() -> None:
    """Before anything is saved."""
    with pytest.raises(UsageError, match="what is no message"):
        check_input(TALK, {"messages": [17]})


class Table:
    """A type of an application, of which pydantic knows nothing."""


class Foreign(PlainTypedDict):
    amount: float
    table: NotRequired[Table]


def test_the_keys_of_a_state_that_pydantic_cannot_describe_are_options() -> None:
    """`typing.TypedDict` before Python 3.12, and types of an application's own: each key is described by itself."""

    def add(state: Foreign) -> dict[str, float]:
        return {"amount": 1.0}

    compiled = StateGraph(Foreign).add_node(add).add_edge(START, "add").compile()

    assert input_properties(compiled) == {
        "amount": {"type": "number", "required": True},
        "table": {"required": False},
    }
