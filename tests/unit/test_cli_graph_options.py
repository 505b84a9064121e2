from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from interlock.cli.graph_options import check_complete, options_of, read_input, spread, values_of
from interlock.errors import UsageError

PROPERTIES: dict[str, dict[str, Any]] = {  # JSON Schema
    "question": {"type": "string", "description": "What to find out.", "required": True},
    "sources": {"type": "array", "items": {"type": "string"}, "required": True},
    "max_rounds": {"type": "integer", "default": 3, "required": False},
    "strict": {"type": "boolean", "required": False},
    "weight": {"anyOf": [{"type": "number"}, {"type": "null"}], "required": False},
    "style": {"enum": ["short", "long"], "required": False},
    "extra": {"type": "object", "required": False},
    "model": {"type": "string", "required": False},
}


def given(*arguments: str) -> dict[str, Any]:  # graph input
    command = click.Command("run", params=[*options_of(PROPERTIES, taken=["--model"])])
    context = command.make_context("run", spread(arguments, ["--sources"]))
    return values_of(context.params)


def test_types() -> None:
    """Each kind of value is read as what the schema says; what was not given is not there."""
    assert given(
        "--question",
        "Why?",
        "--max-rounds",
        "2",
        "--weight",
        "0.5",
        "--no-strict",
        "--style",
        "long",
    ) == {
        "question": "Why?",
        "max_rounds": 2,
        "weight": 0.5,
        "strict": False,
        "style": "long",
    }


def test_objects() -> None:
    """An object is JSON."""
    assert given("--extra", '{"a": [1]}') == {"extra": {"a": [1]}}


def test_many() -> None:
    """A list is given by repeating the option, or with several values behind it."""
    assert given("--sources", "a", "b", "--question", "q", "--sources", "c") == {
        "sources": ["a", "b", "c"],
        "question": "q",
    }


@pytest.mark.parametrize(
    "arguments", [["--max-rounds", "many"], ["--style", "loud"], ["--model", "x"]]
)
def test_refused(arguments: list[str]) -> None:
    """A value of a wrong type is refused, and a key whose name is taken has no option."""
    with pytest.raises(click.UsageError):
        given(*arguments)


def test_help() -> None:
    """An option tells its meaning, whether it is required, and its default."""
    texts = {str(option.name): str(option.help) for option in options_of(PROPERTIES, taken=())}

    assert texts["input__question"] == "What to find out  [required]"
    assert texts["input__max_rounds"] == "[default: 3]"


def test_missing() -> None:
    """Missing keys are named as the options that they are."""
    with pytest.raises(UsageError, match=r"needs --question, --sources\."):
        check_complete("research", PROPERTIES, {"max_rounds": 1})


def test_whole_input(tmp_path: Path) -> None:
    """A whole input is JSON on the command line or in a file."""
    file = tmp_path / "input.json"
    file.write_text('{"question": "Why?"}')

    assert read_input('{"a": 1}') == {"a": 1}
    assert read_input(f"@{file}") == {"question": "Why?"}


@pytest.mark.parametrize("text", ["{", "[1]", "@missing.json"])
def test_whole_input_refused(text: str) -> None:
    """What is no JSON object is refused in one line."""
    with pytest.raises(UsageError):
        read_input(text)
