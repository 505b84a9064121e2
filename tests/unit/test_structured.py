"""Typed answers: what is asked for, how an answer is read, and how it is repaired."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.runtime import Runtime
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from interlock.core.context import Context
from interlock.core.structured import Request, as_text, ask, wire_schema
from interlock.errors import OutputInvalid
from interlock.testing import ScriptedModel, Turn, make_context
from nodes.research import questions

JSON = dict[str, Any]  # JSON Schema


class CityRequest(Request):
    """Asks for a city."""

    prompt: ClassVar[str] = "test/city"
    role: ClassVar[str] = "planner"

    country: str

    def messages(self, pins: Mapping[str, str]) -> list[BaseMessage]:
        return [HumanMessage(f"The capital of {self.country}?")]


class City(BaseModel):
    """A city."""

    name: str = Field(min_length=2, max_length=80, description="As its people write it.")
    people: int = Field(ge=0)


BERN = City(name="Bern", people=134_000)
WHOLE = '{"name": "Bern", "people": 134000}'


class Circle(BaseModel):
    """Round."""

    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    """Not round."""

    kind: Literal["square"]
    side: float


class Drawing(BaseModel):
    """Shapes, with everything that strict schemas do not take."""

    first: Annotated[Circle, Field(description="The first one.")]
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]
    title: str = Field(default="untitled", max_length=10)
    note: str | None = None


def replies() -> list[type[BaseModel]]:
    mine = inspect.getmembers(questions, inspect.isclass)
    return [
        each
        for _, each in mine
        if issubclass(each, BaseModel)
        and not issubclass(each, Request)
        and each.__module__ == questions.__name__
    ]


async def asked(model: ScriptedModel) -> City:
    runtime: Runtime[Context] = Runtime(context=make_context(model=model))
    return await ask(runtime, CityRequest(country="Switzerland"), City)


def objects(schema: Any) -> Iterator[JSON]:  # any part of a schema
    """Yield every part of a schema that describes an object."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(each)
    elif isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for each in schema.values():
            yield from objects(each)


async def test_an_answer_is_an_object() -> None:
    """A good answer is returned at once."""
    model = ScriptedModel.of(BERN)

    assert await asked(model) == BERN
    model.assert_done()


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"  {WHOLE}\n",
        f"```json\n{WHOLE}\n```",
        f"Here it is:\n{WHOLE}\nAnything else?",
        f"<think>{{perhaps}} it is Bern</think>{WHOLE}",
    ],
)
async def test_an_object_is_found_in_text(text: str) -> None:
    """Fences, chatter and thinking aloud around the object do no harm."""
    assert await asked(ScriptedModel.of(Turn(reply=text))) == BERN


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ('{"name": "Bern"}', "people: Field required"),
        ('{"name": "B", "people": 1}', "name: String should have at least 2 characters"),
        ('{"name": "Bern", "people": -1}', "people: Input should be greater than or equal to 0"),
        ('{"name": "Bern", "people": 134', "answer: Invalid JSON"),
        ("Bern, I think", "answer: Invalid JSON"),
        ("", "answer: Invalid JSON"),
        (f"{WHOLE} {WHOLE}", "answer: Invalid JSON"),
        ("[1, 2]", "Input should be an object"),
    ],
)
async def test_a_bad_answer_goes_back_with_what_is_wrong(bad: str, fault: str) -> None:
    """The model is shown the fault and may answer again; nothing that was cut off is completed."""
    model = ScriptedModel.of(Turn(reply=bad), Turn(reply=BERN, when="was not accepted"))

    assert await asked(model) == BERN
    assert fault in model.calls[1].prompt


async def test_the_schema_goes_with_the_first_correction_only() -> None:
    """A model that was never told of the schema learns it once."""
    model = ScriptedModel.of(*[Turn(reply="no")] * 3, Turn(reply=BERN))
    await asked(model)

    assert [call.prompt.count("Its JSON Schema:") for call in model.calls] == [0, 1, 1, 1]


async def test_after_three_repairs_it_is_over() -> None:
    """Four bad answers end in an error that says what did not fit, and what to do."""
    model = ScriptedModel.of(*[Turn(reply='{"name": "Bern"}')] * 4)

    with pytest.raises(OutputInvalid) as caught:
        await asked(model)

    assert str(caught.value) == (
        "The answer of scripted:model to test/city did not fit City after 3 repairs:"
        " people: Field required. A larger model usually does; the run can be resumed with another"
        " --model."
    )
    model.assert_done()


def test_an_answers_schema_says_what_strict_servers_want() -> None:
    """Every field is required, nothing else may be there, and what cannot be said is left out."""
    assert wire_schema(City) == {
        "title": "City",
        "description": "A city.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "As its people write it."},
            "people": {"type": "integer", "minimum": 0},
        },
        "required": ["name", "people"],
        "additionalProperties": False,
    }


def test_unions_references_and_defaults_are_said_strictly() -> None:
    """A discriminated union is any of its forms, a reference stands alone, a default is required."""
    schema = wire_schema(Drawing)
    circle = {
        "description": "The first one.",
        "type": "object",
        "properties": {
            "kind": {"type": "string", "const": "circle"},
            "radius": {"type": "number"},
        },
        "required": ["kind", "radius"],
        "additionalProperties": False,
    }

    assert schema["required"] == ["first", "shapes", "title", "note"]
    assert schema["properties"] == {
        "first": circle,
        "shapes": {
            "type": "array",
            "items": {"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Square"}]},
        },
        "title": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    assert schema["$defs"]["Square"]["additionalProperties"] is False


@pytest.mark.parametrize("reply", replies())
def test_every_reply_of_the_research_team_can_be_asked_for_strictly(reply: type[BaseModel]) -> None:
    """Strictness takes nothing from them: no field has a default, no object is open, OpenAI's own converter agrees."""
    open_fields = [name for name, each in reply.model_fields.items() if not each.is_required()]
    ours, theirs = wire_schema(reply), to_strict_json_schema(reply)

    assert open_fields == []
    assert [each["required"] for each in objects(ours)] == [
        each["required"] for each in objects(theirs)
    ]
    assert all(each["additionalProperties"] is False for each in objects(ours))


def test_there_are_replies_to_check() -> None:
    """The test above sees the replies."""
    assert {"Plan", "Extraction", "Report", "Critique"} <= {each.__name__ for each in replies()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (["one", "two"], "- one\n- two"),
        ((), "(none)"),
        (None, "(none)"),
        (3, "3"),
        (BERN, '{"name":"Bern","people":134000}'),
    ],
)
def test_fields_become_text(value: object, text: str) -> None:
    """A field reads as a person would write it."""
    assert as_text(value) == text


def test_every_typed_answer_is_asked_for_here() -> None:
    """Nobody binds a schema to a model elsewhere, where a bad answer would not go back with its fault."""
    root = Path(__file__).parents[2]
    binding = re.compile(r"with_structured_output|response_format=|PydanticOutputParser")
    found = {
        str(path.relative_to(root))
        for package in ("interlock", "nodes", "graphs", "state")
        for path in (root / package).rglob("*.py")
        if binding.search(path.read_text())
    }

    assert found == {"interlock/core/structured.py"}
