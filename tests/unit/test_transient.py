"""Which failures are worth another attempt, and which only a person can mend."""

from __future__ import annotations

import pytest

from interlock.core.transient import is_fatal, is_transient, status
from interlock.errors import (
    DatabaseUnavailable,
    LimitReached,
    ModelUnavailable,
    OutputInvalid,
    PromptError,
    SourceError,
)


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class StatusError(Exception):
    """As OpenAI's and Anthropic's clients raise it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"error {status_code}")
        self.status_code = status_code


class ResponseError(Exception):
    """As httpx raises it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"error {status_code}")
        self.response = Response(status_code)


class CodeError(Exception):
    """As Google's clients raise it."""

    def __init__(self, code: object) -> None:
        super().__init__(f"error {code}")
        self.code = code


class APIConnectionError(Exception):
    """Named as that of several clients."""


class APITimeoutError(APIConnectionError):
    """Derived as that of several clients."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StatusError(503), 503),
        (ResponseError(429), 429),
        (CodeError(500), 500),
        (CodeError("insufficient_quota"), None),
        (CodeError(7), None),
        (ValueError("no"), None),
    ],
    ids=["own", "response", "code", "word", "grpc", "none"],
)
def test_status_is_found_where_clients_put_it(error: Exception, expected: int | None) -> None:
    """Each family of clients has its own place for it."""
    assert status(error) == expected


@pytest.mark.parametrize(
    "error",
    [
        *[StatusError(code) for code in (408, 409, 425, 429, 500, 502, 503, 529)],
        TimeoutError(),
        ConnectionResetError(),
        APIConnectionError(),
        APITimeoutError(),
    ],
    ids=repr,
)
def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    """A busy or broken provider, or a broken connection, may be well a moment later."""
    assert is_transient(error)
    assert not is_fatal(error)


def test_cause_of_an_error_counts() -> None:
    """A client that wraps a time-out has had a time-out."""
    wrapped = RuntimeError("it did not work")
    wrapped.__cause__ = TimeoutError()

    assert is_transient(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        *[StatusError(code) for code in (401, 402, 403, 404)],
        ModelUnavailable("no key"),
        PromptError("changed"),
        SourceError("gone"),
        LimitReached("enough"),
        DatabaseUnavailable("down"),
        TypeError("a bug"),
        KeyError("a bug"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_a_person_must_mend_is_fatal(error: BaseException) -> None:
    """The next attempt would fail as this one did."""
    assert is_fatal(error)
    assert not is_transient(error)


@pytest.mark.parametrize(
    "error", [OutputInvalid("garbage"), StatusError(400), StatusError(413)], ids=repr
)
def test_fault_of_one_request_is_neither(error: Exception) -> None:
    """The same request is not repeated, and another one may well succeed."""
    assert not is_transient(error)
    assert not is_fatal(error)
