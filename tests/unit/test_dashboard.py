"""What pages are made of: differences, outlines, forms, charts, drawings. Pure."""

from __future__ import annotations

import operator
import xml.etree.ElementTree as ET  # of pictures that were drawn here
from typing import Annotated, Literal, NotRequired
from urllib.parse import unquote

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from interlock.application import Graph
from interlock.drawing import shape_of
from interlock.server.dashboard.changes import Change, change_of
from interlock.server.dashboard.chart import Chart, Series, meter
from interlock.server.dashboard.drawn import Marked, draw
from interlock.server.dashboard.fields import input_fields, state_fields
from interlock.server.dashboard.forms import read
from interlock.server.dashboard.navigation import place_of
from interlock.server.dashboard.talk import conversations
from interlock.server.dashboard.words import from_segment, outline, segment


class Given(TypedDict):
    """What a run is given."""

    topic: str
    count: NotRequired[int]
    share: NotRequired[float]
    loud: NotRequired[bool]
    tone: NotRequired[Literal["kind", "stern"]]
    places: NotRequired[list[str]]
    extra: NotRequired[dict[str, int]]
    messages: NotRequired[Annotated[list[AnyMessage], add_messages]]


class Known(Given, total=False):
    """What it knows."""

    done: Annotated[list[int], operator.add]


def _graph() -> Graph:
    builder = StateGraph(Known, input_schema=Given)
    builder.add_node("work", lambda state: {"done": [1]})
    builder.add_node("check", lambda state: {})
    builder.add_edge(START, "work")
    builder.add_edge("work", "check")
    builder.add_conditional_edges("check", lambda state: "work", {"again": "work"})
    return builder.compile()


def _parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314  # as above


def _told(change: Change) -> list[tuple[str, str]]:
    return [(each.op, each.text) for each in change.pieces]


def test_a_long_report_is_compared_sentence_by_sentence() -> None:
    """Of a text as long as a book's chapter only the words of sentences that were changed are told apart; at once."""
    sentences = [f"Sentence {n} says what was found in place {n}. " for n in range(1500)]
    edited = list(sentences)
    edited[700] = "Sentence 700 says what was lost in place 700. "
    del edited[900]

    change = change_of("report", "".join(sentences), "".join(edited))

    told = [(each.op, each.text) for each in change.pieces if each.op in ("add", "drop")]
    assert told == [
        ("drop", "found"),
        ("add", "lost"),
        ("drop", "Sentence 900 says what was found in place 900. "),
    ]
    assert sum(each.op == "gap" for each in change.pieces) == 3


def test_a_list_that_became_another_is_told_in_part() -> None:
    """However long it is and however often its items repeat: its comparison takes no time, and its page has an end."""
    change = change_of("log", [n % 7 for n in range(3000)], [n % 5 for n in range(3000)])

    assert len(change.pieces) == 201
    assert change.pieces[-1].text.endswith(" more")


def test_texts_differ_by_words() -> None:
    """A text that was changed a little shows which words went and came."""
    change = change_of("q", "the cat sat on the mat", "the cat lay on the mat")

    assert change.kind == "text"
    assert _told(change) == [
        ("same", "the cat "),
        ("drop", "sat"),
        ("add", "lay"),
        ("same", " on the mat"),
    ]


def test_texts_with_little_in_common_are_shown_whole() -> None:
    """Of two texts that say other things no words are picked out."""
    change = change_of("q", "What is a cat?", "How do generators work in Python")

    assert (change.kind, change.old, change.new) == (
        "value",
        "What is a cat?",
        "How do generators work in Python",
    )


def test_what_is_the_same_in_a_long_text_is_left_out() -> None:
    """Far from a change nothing is repeated; it says how much was left out."""
    text = "word " * 100
    change = change_of("q", f"{text}old", f"{text}new")

    assert [each.op for each in change.pieces] == ["gap", "same", "drop", "add"]
    assert change.pieces[0].text == "440 characters"


def test_lists_differ_by_items() -> None:
    """A list shows what was added and dropped, with a neighbour on each side."""
    change = change_of("xs", ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"])

    assert _told(change) == [("gap", "3 unchanged"), ("same", "d"), ("add", "e")]


def test_mappings_differ_by_keys() -> None:
    """A mapping shows the keys that changed, each by its own kind."""
    change = change_of("m", {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4})

    assert [(each.key, each.old, each.new) for each in change.inner] == [
        ("b", "2", "5"),
        ("c", "3", None),
        ("d", None, "4"),
    ]


def test_values_are_outlined() -> None:
    """A value reads as keys and values, a line each."""
    value = {"title": "Names", "parts": [{"n": 1, "tags": ["x"]}, "end"], "none": None, "empty": []}

    assert outline(value).split("\n") == [
        "title: Names",
        "parts:",
        "  - n: 1",
        "    tags:",
        "      - x",
        "  - end",
        "none: null",
        "empty: []",
    ]


@pytest.mark.parametrize("name", ["plain", "a/b", "~2F", "a ~/?#%"])
def test_names_pass_through_paths(name: str) -> None:
    """Any name of a thread is one segment of a path, and comes back as it was."""
    assert "/" not in segment(name)
    assert from_segment(unquote(segment(name))) == name


def test_fields_are_made_from_a_schema() -> None:
    """Each key of an input has a field of a kind that fits its type; what must be given is marked."""
    fields = {each.key: each for each in input_fields(_graph())}

    assert {key: each.kind for key, each in fields.items()} == {
        "topic": "text",
        "count": "integer",
        "share": "number",
        "loud": "flag",
        "tone": "choice",
        "places": "lines",
        "extra": "json",
        "messages": "message",
    }
    assert [key for key, each in fields.items() if each.required] == ["topic"]
    assert fields["tone"].choices == ("kind", "stern")


def test_what_a_form_gives_is_read() -> None:
    """Each kind of field is read into its type; empty ones are left out."""
    given = {
        "value:topic": "tea",
        "value:count": "3",
        "value:share": "0.5",
        "value:loud": "on",
        "value:tone": "kind",
        "value:places": "here\r\n\r\n there ",
        "value:extra": '{"a": 1}',
        "value:messages": "",
    }

    values, fields = read(input_fields(_graph()), given)

    assert values == {
        "topic": "tea",
        "count": 3,
        "share": 0.5,
        "loud": True,
        "tone": "kind",
        "places": ["here", "there"],
        "extra": {"a": 1},
    }
    assert [each.fault for each in fields if each.fault] == []


def test_what_does_not_fit_is_told_by_field() -> None:
    """Each value that does not fit is told at its own field, and what is needed but missing."""
    given = {"value:count": "x", "value:tone": "odd", "value:extra": '{"a": "b"}'}

    _, fields = read(input_fields(_graph()), given)

    faults = {each.key: each.fault for each in fields if each.fault}
    assert faults.keys() == {"topic", "count", "tone", "extra"}
    assert faults["topic"] == "This is needed."
    assert faults["count"] == "This is not a whole number."
    assert "valid integer" in faults["extra"]


def test_a_fork_takes_what_was_changed_alone() -> None:
    """Of a state's form only what differs is read; a key with a reducer begins empty, and is added to."""
    fields = state_fields(_graph(), {"topic": "tea", "count": 2, "done": [1, 2], "loud": True})
    sent = {each.name: each.given for each in fields} | {"value:count": "4", "value:done": "[3]"}

    values, _ = read(fields, sent, changed_only=True)

    assert values == {"count": 4, "done": [3]}
    adds = {each.key: each.now for each in fields if each.adds}
    assert adds["done"].split() == ["[", "1,", "2", "]"]


def test_a_flag_can_be_taken_back() -> None:
    """A box that is not ticked any more changes the value to no."""
    fields = state_fields(_graph(), {"loud": True})
    sent = {each.name: each.given for each in fields if each.key != "loud"}

    values, _ = read(fields, sent, changed_only=True)

    assert values == {"loud": False}


def test_messages_are_told_as_a_conversation() -> None:
    """Messages say who speaks, what they ask tools for, and what came back."""
    call = {"name": "search", "args": {"q": "tea"}, "id": "1"}
    talk = [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("found", tool_call_id="1"),
    ]

    (said,) = conversations({"messages": talk, "other": ["text"], "none": []}).values()

    assert [(each.who, each.text) for each in said] == [
        ("Person", "Hi"),
        ("Model", ""),
        ("Tool · 1", "found"),
    ]
    assert [name for name, _ in said[1].calls] == ["search"]


def test_a_chart_is_a_picture_and_a_table() -> None:
    """A chart is well-formed, tells its values to who hovers and to who listens, and escapes what it is given."""
    series = (Series(name="<in>", values=[1, None, 3]), Series(name="out", values=[2, 2, 2]))
    chart = Chart(title="Tokens & more", labels=["a", "b", "<c>"], series=series)

    for drawn in (chart.bars(), chart.lines()):
        root = _parsed(drawn)
        rows = [[cell.text for cell in row] for row in root.iter("tr")][1:]
        assert rows == [["a", "1", "2"], ["b", "0", "2"], ["<c>", "3", "2"]]
        titles = [each.text or "" for each in root.iter("title")]
        assert any("<in>" in each and "<c>" in each for each in titles)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1], ["0", "1", "2", "3"]),
        ([4, 2], ["0", "2", "4", "6"]),
        ([23], ["0", "8", "16", "24"]),
        ([200], ["0", "80", "160", "240"]),
        ([12345], ["0", "5,000", "10,000", "15,000"]),
        ([0.3, None], ["0", "0.10", "0.20", "0.30"]),
        ([7.5], ["0", "3", "6", "9"]),
        ([], ["0", "1", "2", "3"]),
    ],
)
def test_lines_stand_at_round_numbers(values: list[float | None], told: list[str]) -> None:
    """What is counted has no fractions beside it."""
    drawn = _parsed(
        Chart(
            title="t", labels=[""] * len(values), series=[Series(name="s", values=values)]
        ).lines()
    )

    assert [each.text for each in drawn.iter("text") if each.get("text-anchor") == "end"] == told


def test_every_second_label_may_be_left_out_on_a_phone() -> None:
    """They are as far apart as they were, and the first one stays."""
    labels = [f"{n}" for n in range(16)]
    drawn = _parsed(
        Chart(title="t", labels=labels, series=[Series(name="s", values=[1] * 16)]).bars()
    )

    below = [each for each in drawn.iter("text") if each.get("text-anchor") == "middle"]
    assert [each.text for each in below] == ["0", "2", "4", "6", "8", "10", "12", "14"]
    assert [each.text for each in below if each.get("class") == "tick below"] == [
        "0",
        "4",
        "8",
        "12",
    ]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        *(("/ui/", "Runs"), ("/ui/threads/a", "Runs"), ("/ui/crons/a/change", "Crons")),
        *(("/ui/budgets/set", "Budgets"), ("/ui/nowhere", "Runs")),
    ],
)
def test_the_place_of_a_page(path: str, title: str) -> None:
    """An error leads back to where it was met."""
    assert place_of(path).title == title


def test_a_meter_never_overflows() -> None:
    """Parts that are more than the whole fill it, and no more."""
    root = _parsed(meter([("spent", 8, "bad"), ("held", 9, "warning")], 10, "Budget"))
    widths = [float(each.attrib["width"]) for each in root.iter("rect")][1:]

    assert widths == [80.0, 20.0]


def test_a_graph_is_drawn_with_where_its_thread_is() -> None:
    """The picture is well-formed, and marks what ran, how often, and what is next."""
    shape = shape_of(_graph().get_graph(xray=True))
    marked = Marked(
        counts={("work",): 2},
        current=frozenset({("check",)}),
        tone="waiting",
        links={("work",): "?at=1&inside=1"},
    )

    root = _parsed(draw(shape, marked, about="A <graph>"))

    classes = [each.attrib.get("class", "") for each in root.iter("rect")]
    assert sum("ran" in each.split() for each in classes) == 1
    assert sum("at-waiting" in each.split() for each in classes) == 1
    assert root.attrib["aria-label"] == "A <graph>"
    assert [each.attrib["href"] for each in root.iter("a")] == ["?at=1&inside=1"]
    assert "work ran 2 times" in [each.text for each in root.iter("title")]
    assert "again" in [each.text for each in root.iter("text")]
