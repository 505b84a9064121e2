"""The scripted model keeps tests honest: it fails on surplus and on missing calls."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from interlock.core.context import OFFLINE_MODEL
from interlock.testing import ScriptBroken, ScriptedModel, Turn, make_context


class Colour(BaseModel):
    """A colour."""

    name: str


class Shape(BaseModel):
    """A shape."""

    corners: int


async def ask(model: ScriptedModel, schema: type[BaseModel], prompt: str = "Say.") -> object:
    """Ask for an object as nodes do."""
    structured = model.with_structured_output(schema, include_raw=True)
    answer = await structured.ainvoke(prompt)
    assert isinstance(answer, dict)
    return answer["parsed"]


async def test_calls_are_answered_by_schema() -> None:
    """Each call gets the first unused turn with its schema."""
    model = ScriptedModel.of(Colour(name="red"), Shape(corners=3), Colour(name="blue"))

    said = [await ask(model, each) for each in (Shape, Colour, Colour)]
    assert said == [Shape(corners=3), Colour(name="red"), Colour(name="blue")]
    assert model.schemas == ["Shape", "Colour", "Colour"]
    model.assert_done()


async def test_calls_side_by_side_are_answered_by_their_prompt() -> None:
    """A turn that is meant for one prompt waits for it."""
    left = Turn(reply=Colour(name="left"), when="left")
    right = Turn(reply=Colour(name="right"), when=lambda prompt: prompt.endswith("right?"))
    model = ScriptedModel.of(left, right)

    assert await ask(model, Colour, "Which is right?") == Colour(name="right")
    assert await ask(model, Colour, "Which is left?") == Colour(name="left")


async def test_surplus_call_fails_and_says_which() -> None:
    """The error names what was asked for, what is left, and the prompt."""
    model = ScriptedModel.of(Colour(name="red"))

    with pytest.raises(
        ScriptBroken, match=r"Call 1 asked for Shape, but .* Colour left.\n(.|\n)*Say\."
    ):
        await ask(model, Shape)


async def test_missing_call_fails() -> None:
    """A script that was not played to its end is a failed test."""
    model = ScriptedModel.of(Colour(name="red"), Turn(reply="text"))

    with pytest.raises(ScriptBroken, match="2 turns were never asked for: Colour, any"):
        model.assert_done()


async def test_error_is_raised() -> None:
    """A provider that fails is part of a script."""
    model = ScriptedModel.of(Turn(reply=TimeoutError("too slow"), schema="Colour"))

    with pytest.raises(TimeoutError, match="too slow"):
        await ask(model, Colour)


async def test_usage_is_reported() -> None:
    """A scripted run has figures for what reads them."""
    model = ScriptedModel.of(Turn(reply="Red, of course."))
    answer = await model.ainvoke([HumanMessage("Which colour has a fire engine?")])

    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] > 0
    assert answer.usage_metadata["output_tokens"] > 0


def test_context_uses_the_given_model_for_every_role() -> None:
    """One script plays all roles."""
    model = ScriptedModel()
    context = make_context(model=model)

    assert context.ports.models.model(context.model_for("critic")) is model


def test_context_is_offline_by_default() -> None:
    """Without a model there is none."""
    assert make_context().model == OFFLINE_MODEL
