"""Of which kind a failure is, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf, nan

import psycopg
import pytest
from langchain_core.exceptions import ModelAuthenticationError, OutputParserException
from langgraph.errors import GraphRecursionError

from interlock.core.bounded import Declaration
from interlock.core.failures import Backoff, Dead, FailureKind, Retry, classify, plan
from interlock.core.transient import retry_after
from interlock.errors import (
    ActionRefused,
    AnswerRefused,
    BudgetSpent,
    DatabaseUnavailable,
    EffectInDoubt,
    Killed,
    LeaseLost,
    LimitReached,
    ModelFailed,
    ModelUnavailable,
    OutputInvalid,
    ResumeRefused,
    RunCancelled,
    UsageError,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TWICE: Mapping[FailureKind, Backoff] = {"transient": Backoff(times=2, first=4, longest=6)}


class Answer:
    def __init__(self, status_code: int, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.headers = headers or {}


class HttpError(Exception):
    """As httpx and the clients built on it raise it."""

    def __init__(self, status_code: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"error {status_code}")
        self.response = Answer(status_code, headers)


class AioHttpError(Exception):
    """As aiohttp raises it."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"error {status}")
        self.status = status
        self.headers = headers


class ClientError(Exception):
    """As botocore raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"error {status}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class RateLimitError(Exception):
    """Named as that of several clients."""


class NodeTimeoutError(Exception):
    """Named as LangGraph's, which is no `TimeoutError`."""


class NoCredit(Exception):
    """OpenAI's 429 for an account without credit."""

    status_code = 429
    code = "insufficient_quota"


def failed(status: int | None, *, transient: bool) -> ModelFailed:
    return ModelFailed("it failed", model="openai:x", status_code=status, transient=transient)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "transient"),
        (ConnectionResetError(), "transient"),
        (NodeTimeoutError(), "transient"),
        (HttpError(503), "transient"),
        (ClientError(500), "transient"),
        (failed(None, transient=True), "transient"),
        (DatabaseUnavailable("down"), "transient"),
        (psycopg.errors.SerializationFailure(), "transient"),
        (psycopg.errors.AdminShutdown(), "transient"),
        (psycopg.OperationalError("connection refused"), "transient"),
        (psycopg.errors.ConnectionTimeout("no answer"), "transient"),
        (HttpError(429), "rate_limit"),
        (AioHttpError(429, {}), "rate_limit"),
        (ClientError(429), "rate_limit"),
        (RateLimitError(), "rate_limit"),
        (failed(429, transient=True), "rate_limit"),
        (NoCredit(), "refused"),
        (failed(429, transient=False), "refused"),
        (HttpError(401), "refused"),
        (HttpError(400), "refused"),
        (ModelAuthenticationError(), "refused"),
        (ModelUnavailable("no key"), "refused"),
        (ActionRefused("denied", kind="policy"), "refused"),
        (OutputInvalid("garbage"), "invalid_output"),
        (OutputParserException("garbage"), "invalid_output"),
        (BudgetSpent("spent", scope="run", unit="usd"), "budget"),
        (LimitReached("enough"), "limit"),
        (GraphRecursionError("enough"), "limit"),
        (EffectInDoubt("who knows"), "in_doubt"),
        (ResumeRefused("the node is gone"), "changed"),
        (AnswerRefused("does not fit"), "changed"),
        (psycopg.errors.UniqueViolation(), "bug"),
        (KeyError("x"), "bug"),
        (ValueError("x"), "bug"),
        (UsageError("x"), "bug"),
    ],
    ids=repr,
)
def test_each_failure_has_a_kind(error: Exception, kind: str) -> None:
    """Ours by their type, those of clients by status, SQL state, or the name of a base class."""
    assert classify(error) == kind


@pytest.mark.parametrize(
    "error",
    [Killed("stop"), RunCancelled("stop"), LeaseLost("gone")],
    ids=repr,
)
def test_what_was_stopped_has_not_failed(error: Exception) -> None:
    """Whoever stops a run does not make a failure of it."""
    assert classify(error) is None


def test_the_cause_counts() -> None:
    """A node that wraps what it caught has failed of that; our own refusals stay what they are."""
    assert classify(caused(RuntimeError("no"), HttpError(429))) == "rate_limit"
    assert classify(caused(RuntimeError("no"), OutputInvalid("garbage"))) == "invalid_output"
    assert classify(caused(RuntimeError("no"), ValueError("x"))) == "bug"
    assert classify(caused(ActionRefused("no"), TimeoutError())) == "refused"


def test_an_error_that_was_raised_from_itself_has_a_kind() -> None:
    """Code that writes `raise error from error` does not make us go round for ever."""
    error = ValueError("x")
    assert classify(caused(error, error)) == "bug"
    assert classify(caused(TimeoutError(), error)) == "transient"


def test_of_several_the_gravest_counts() -> None:
    """A group is worth another try only if all of it is."""
    assert classify(ExceptionGroup("two", [TimeoutError(), HttpError(429)])) == "rate_limit"
    assert classify(ExceptionGroup("two", [TimeoutError(), KeyError("x")])) == "bug"
    assert classify(BaseExceptionGroup("one", [asyncio.CancelledError(), TimeoutError()])) == "bug"


def test_retries_take_longer_and_longer_up_to_a_limit() -> None:
    """Twice as long each time at most, by chance anything below that, and then no more."""
    seen = [plan("transient", n, None, TWICE, now=NOW, chance=lambda: 0.5) for n in (1, 2, 3)]

    assert seen == [
        Retry(seconds=2.0),
        Retry(seconds=3.0),
        Dead(because="it failed 3 times in a row without a new checkpoint"),
    ]


@pytest.mark.parametrize(
    ("kind", "retried"),
    [
        ("transient", True),
        ("rate_limit", True),
        ("invalid_output", False),
        ("refused", False),
        ("changed", False),
        ("in_doubt", False),
        ("budget", False),
        ("limit", False),
        ("bug", False),
        ("poison", False),
    ],
)
def test_what_passes_by_itself_is_retried(kind: FailureKind, retried: bool) -> None:
    """Nothing else is, unless its graph declares it."""
    assert isinstance(plan(kind, 1, None, now=NOW, chance=lambda: 0.5), Retry) is retried


@pytest.mark.parametrize(("kind", "minutes"), [("transient", 19), ("rate_limit", 120)])
def test_an_outage_is_survived(kind: FailureKind, minutes: int) -> None:
    """What is retried is given so many minutes, as the dice fall on average."""
    seconds, tries = 0.0, 1
    while isinstance(then := plan(kind, tries, None, now=NOW, chance=lambda: 0.5), Retry):
        seconds, tries = seconds + then.seconds, tries + 1

    assert round(seconds / 60) == minutes


def test_a_graph_declares_what_is_retried() -> None:
    """A kind that it names takes the place of the default, also with none."""
    mine: Mapping[FailureKind, Backoff] = {
        "bug": Backoff(times=1, first=0),
        "transient": Backoff(times=0),
    }

    assert plan("bug", 1, None, mine, now=NOW, chance=lambda: 0.9) == Retry(seconds=0.0)
    assert plan("transient", 1, None, mine, now=NOW, chance=lambda: 0.9) == Dead(
        because="its graph declares that it is not retried"
    )


def test_a_server_that_says_when_is_obeyed() -> None:
    """Never earlier than it says, not all at that moment, and not for ever."""
    error = HttpError(429, {"Retry-After": "90"})
    late = HttpError(429, {"Retry-After": "90000"})

    assert plan("rate_limit", 1, error, now=NOW, chance=lambda: 0.5) == Retry(seconds=92.5)
    assert plan("rate_limit", 1, late, now=NOW, chance=lambda: 0.5) == Dead(
        because="it was told to come back after 90,000 seconds"
    )


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (HttpError(429, {"retry-after": "7"}), 7.0),
        (HttpError(503, {"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}), 30.0),
        (HttpError(503, {"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}), 0.0),
        (HttpError(429, {"retry-after-ms": "250", "retry-after": "1"}), 0.25),
        (AioHttpError(429, {"Retry-After": "3"}), 3.0),
        (caused(RuntimeError(), HttpError(429, {"retry-after": "7"})), 7.0),
        (ModelFailed("later", model="openai:x", retry_after=8.0), 8.0),
        (HttpError(429, {"retry-after": "soon"}), None),
        (HttpError(429, {"retry-after": "inf"}), None),
        (HttpError(429), None),
        (ValueError("x"), None),
    ],
)
def test_retry_after_is_read(error: Exception, seconds: float | None) -> None:
    """Seconds, milliseconds or a date, wherever the client keeps it."""
    assert retry_after(error, NOW) == seconds


def test_a_wrong_declaration_is_refused() -> None:
    """A kind that cannot be retried, or times that mean nothing."""
    with pytest.raises(UsageError, match="poison"):
        Declaration(steps=5, retries={"poison": Backoff(times=1)})
    with pytest.raises(UsageError, match="cannot be kept"):
        Backoff(times=1, first=5, longest=1)
    with pytest.raises(UsageError, match="cannot be kept"):
        Backoff(times=1, longest=inf)
    with pytest.raises(UsageError, match="cannot be kept"):
        Backoff(times=1, patience=nan)
