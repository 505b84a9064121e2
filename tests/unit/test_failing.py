"""What is told of an error: where it was raised, without secrets, and not more than a screen can take."""

from __future__ import annotations

import threading
import time

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from interlock.failing import (
    ERROR,
    TRACEBACK,
    blotted,
    nodes_of,
    sentence_of,
    shortened,
    traceback_of,
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key sk-abcdefgh12345678 is wrong", "key [key] is wrong"),
        ("postgresql://me:hunter2@host/db", "postgresql://me:[password]@host/db"),
        ("the token s3cr3t-s3cr3t is wrong", "the token [BILLING_API_TOKEN] is wrong"),
        ("the longer s3cr3t-s3cr3t-more is wrong", "the longer [billing_api_key] is wrong"),
        ("https://x.com/v1?api_key=abcdef123&a=1", "https://x.com/v1?api_key=[secret]&a=1"),
        ("{'X-Api-Key': 'abcdef123', 'a': 1}", "{'X-Api-Key': '[secret]', 'a': 1}"),
        ("input_value={'password': 'hunter2x'}", "input_value={'password': '[secret]'}"),
        ("host=h password=hunter2x user=me", "host=h password=[secret] user=me"),
        ("Authorization: Basic bWU6aHVudGVyMg==", "Authorization: Basic [key]"),
        ("push to https://ghp_0123456789abcdefghij@github.com", "push to https://[key]@github.com"),
        ("max_tokens=4096, tokens: 123456", "max_tokens=4096, tokens: 123456"),
        ("the token is wrong: try another", "the token is wrong: try another"),
        ("the word plainplain stays", "the word plainplain stays"),
        ("so does the short one: abc", "so does the short one: abc"),
    ],
)
def test_secrets_are_blotted_out(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys by their look, passwords in addresses, and the values of variables that are named as secrets."""
    monkeypatch.setenv("BILLING_API_TOKEN", "s3cr3t-s3cr3t")
    monkeypatch.setenv("billing_api_key", "s3cr3t-s3cr3t-more")
    monkeypatch.setenv("BILLING_NAME", "plainplain")
    monkeypatch.setenv("BILLING_PASSWORD", "abc")

    assert blotted(text) == told


def test_a_long_traceback_keeps_both_ends() -> None:
    """Where it began, and where it was raised."""
    error = ValueError("long " * TRACEBACK + "end")

    text = traceback_of(error)

    assert text.startswith("ValueError: long")
    assert text.endswith("long end\n")
    assert TRACEBACK < len(text) < TRACEBACK + 60


@pytest.mark.parametrize(
    "part", ["a_", "token-", "api_key", "secret_", "'", "eyJ", "://:", "password=["]
)
def test_no_text_holds_up_the_worker(part: str) -> None:
    """Looking for secrets takes as long as the text is long, and no longer."""
    began = time.monotonic()
    blotted(part * (40_000 // len(part)))

    assert time.monotonic() - began < 2


def test_a_secret_at_the_cut_is_blotted_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a long text is cut after the secrets in it are found, and only its ends are searched."""
    monkeypatch.setenv("BILLING_API_TOKEN", "s3cr3t-s3cr3t")

    assert "s3cr" not in shortened("x" * (ERROR - 4) + "s3cr3t-s3cr3t" + "y" * 10_000_000)
    assert "cr3t" not in traceback_of(ValueError("x" * 10**6 + "s3cr3t-s3cr3t" + "y" * 14_994))


def test_nodes_are_named_from_the_outside_in() -> None:
    """LangGraph notes them as the error rises; also on what an error was raised from."""
    cause = ValueError("x")
    cause.add_note("During task with name 'inner' and id '1'")
    cause.add_note("something else")
    cause.add_note("During task with name 'outer' and id '2'")
    error = RuntimeError("y")
    error.__cause__ = cause

    assert nodes_of(error) == ("outer", "inner")
    assert nodes_of(ValueError("z")) == ()


def test_a_state_that_cannot_be_stored_says_what_to_return() -> None:
    """LangGraph's serializer names the type alone."""
    with pytest.raises(TypeError) as raised:
        JsonPlusSerializer().dumps_typed({"lock": threading.Lock()})

    assert sentence_of(raised.value) == (
        "TypeError: Type is not msgpack serializable: _thread.lock. "
        "What nodes return is stored: return plain data, and make such an object where it is used."
    )
    assert sentence_of(TypeError("odd")) == "TypeError: odd"
