"""What the repair agent proposes without a model, and what it is shown of a dead run."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from interlock.core.repairs import Case, Change, KeyInfo, PromptInfo, Setting, Trial
from interlock.errors import UsageError
from interlock.repair.asking import Attempt, ProposeRequest
from interlock.repair.casebook import _keys, cut
from interlock.repair.rules import propose


class State(TypedDict, total=False):
    """A state of several types."""

    number: int
    words: list[str]
    maybe: int | None
    text: str


def case(error: str = "", **more: Any) -> Case:
    """Return what is known of some dead run."""
    facts: dict[str, Any] = {"letter": "1", "thread": "t", "graph": "g", "kind": "bug", "node": "n"}
    facts |= {"error_type": "", "traceback": "", "because": ""}
    return Case(**facts, error=error, **more)


def proposed(of: Case, *tried: Change) -> Change | None:
    failed = Trial(outcome="failed")
    before = [Attempt(change=each, trial=failed) for each in tried]
    return propose(ProposeRequest(case=of, cause="", tried=before)).change


def keys(values: dict[str, Any]) -> dict[str, KeyInfo]:
    """Return what is shown of a state with these values."""
    builder = StateGraph(State).add_node("n", lambda state: {}).add_edge(START, "n")
    return _keys(builder.compile(), values)


def settings(change: Change | None) -> list[Setting]:
    assert change is not None
    return change.values


def test_a_missing_list_is_empty() -> None:
    """What was looked for and is not there gets what its type says an empty one is."""
    found = proposed(case("KeyError: 'words'", state=keys({"number": 1})))

    assert settings(found) == [Setting(key="words", value="[]")]


@pytest.mark.parametrize("key", ["number", "text", "other"])
def test_what_has_no_empty_value_is_not_made_up(key: str) -> None:
    """Neither a number nor a text, nor a key that the state does not have."""
    assert proposed(case(f"KeyError: '{key}'", state=keys({}))) is None


def test_a_value_is_read_in_its_type() -> None:
    """A number that is a text; what cannot be read so is left as it is."""
    assert settings(proposed(case(state=keys({"number": "4"})))) == [
        Setting(key="number", value="4")
    ]
    assert proposed(case(state=keys({"number": "four"}))) is None
    assert proposed(case(state=keys({"number": 4, "maybe": None, "words": ["a"]}))) is None


def test_a_prompt_goes_back_one_release() -> None:
    """Where the error names it; of the first release there is none before."""
    known = {"g/plan": PromptInfo(pinned="1.1.0", released=["1.0.0", "1.1.0", "2.0.0"])}
    found = proposed(case("The answer to g/plan did not fit", prompts=known))

    assert found is not None
    assert (found.kind, found.prompt, found.version) == ("prompt", "g/plan", "1.0.0")
    assert proposed(case("something else", prompts=known)) is None
    first = {"g/plan": PromptInfo(pinned="1.0.0", released=["1.0.0", "1.1.0"])}
    assert proposed(case("The answer to g/plan did not fit", prompts=first)) is None


def test_what_failed_is_not_proposed_again() -> None:
    """Whatever reason was given for it."""
    dead = case("KeyError: 'words'", state=keys({"number": "4"}))
    first = Change(kind="state", values=[Setting(key="number", value="4")], reason="another")

    second = proposed(dead, first)

    assert settings(second) == [Setting(key="words", value="[]")]
    assert second is not None
    assert proposed(dead, first, second) is None


def test_what_a_model_is_shown_is_cut() -> None:
    """A long value keeps its beginning."""
    shown = keys({"text": "x" * 50_000})["text"].value

    assert shown == cut('"' + "x" * 50_000 + '"')
    assert len(shown) < 1_100


def test_a_change_of_before_looks_as_it_did() -> None:
    """A question that was asked by an older version is known again by what it shows."""
    stored = {
        "kind": "state",
        "values": [{"key": "text", "value": "1"}],
        "prompt": "",
        "version": "",
        "reason": "why",
    }

    assert Change.model_validate(stored).model_dump() == stored
    assert list(Change.model_validate(stored).model_dump()) == list(stored)


def test_a_value_that_is_no_json_is_refused() -> None:
    """With the key that it is for."""
    change = Change(kind="state", values=[Setting(key="text", value="plain")])

    with pytest.raises(UsageError, match="The value of text is no JSON"):
        change.state()
