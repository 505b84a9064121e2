"""Which failures are worth another attempt, and which only a person can mend.

Clients of providers raise what they like. What they share is an HTTP status somewhere, or the name of a base class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, cast

from interlock.errors import InterlockError, ModelFailed, OutputInvalid

_BUSY = frozenset({408, 409, 425, 429})
"""Statuses below 500 that say "later": RFC 9110, RFC 6585, RFC 8470."""

_REFUSED = frozenset({401, 402, 403, 404})
"""No key, no credit, no right, no such model: the next attempt fails as this one did."""

_THIS_REQUEST = frozenset({400, 413, 422})
"""Statuses that blame one request: it was too long, or not understood."""

_TRANSPORT = frozenset(
    {
        "APIConnectionError",  # openai, anthropic, groq, mistral
        "APITimeoutError",
        "TransportError",  # httpx
        "EndpointConnectionError",  # botocore
        "ReadTimeoutError",
        "ConnectTimeoutError",
        "RetryError",  # google
        "ServiceUnavailable",
        "DeadlineExceeded",
        "ResourceExhausted",
        "ConnectionError",  # requests
        "Timeout",
        "ClientConnectionError",  # aiohttp
        "ServerTimeoutError",
        "URLError",  # the standard library
        "gaierror",
        "NodeTimeoutError",  # LangGraph
    }
)

_SQL_STATES = ("08", "40", "53", "55P03", "57P01", "57P02", "57P03", "57P05")
"""How the states begin of a lost connection, a conflict of transactions, and a server that is busy or stops."""

_POSTGRES = frozenset({"psycopg", "psycopg_pool", "psycopg2"})

_BUGS = (TypeError, AttributeError, NameError, LookupError, AssertionError, ImportError)


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may well succeed a moment later; our own refusals never do."""
    if isinstance(error, ModelFailed):
        return error.transient
    if isinstance(error, InterlockError):
        return False
    return any(says_later(each) for each in causes(error))


def is_fatal(error: BaseException) -> bool:
    """Say whether only a person can mend this: our own refusals, a provider's, and bugs.

    What is left is the fault of one request: an answer that never fitted, a request that was too long.
    """
    if isinstance(error, ModelFailed):
        return not error.transient and error.status_code not in _THIS_REQUEST
    if isinstance(error, OutputInvalid):
        return False
    if isinstance(error, (InterlockError, *_BUGS)) or not isinstance(error, Exception):
        return True
    return status(error) in _REFUSED


def status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of a provider's client carries, or None."""
    response = getattr(error, "response", None)
    for holder, name in (
        (error, "status_code"),
        (response, "status_code"),
        (error, "status"),
        (error, "code"),
    ):
        value = getattr(holder, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return _aws_status(response)


def retry_after(error: BaseException, now: datetime) -> float | None:
    """Return how many seconds a server asked to be left alone, by a header of its answer; None where it did not.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's and Azure's.
    """
    for each in causes(error):
        told = getattr(each, "retry_after", None)
        seconds = _header_seconds(each, now) if told is None else _number(str(told))
        if seconds is not None:
            return max(seconds, 0.0)
    return None


def says_later(error: BaseException) -> bool:
    """Say whether an error, whatever its cause, tells of something that passes by itself."""
    code = status(error)
    if code is not None:
        return code in _BUSY or code >= 500
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(state := getattr(error, "sqlstate", None), str):
        return state.startswith(_SQL_STATES)
    if (
        type(error).__module__.partition(".")[0] in _POSTGRES
    ):  # the server was not there to give a state
        return "OperationalError" in (each.__name__ for each in type(error).__mro__)
    return not _TRANSPORT.isdisjoint(each.__name__ for each in type(error).__mro__)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and then what it was raised from; each once, for `raise error from error` goes round."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _aws_status(response: object) -> int | None:
    """Return the status in what botocore's errors carry."""
    told = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    code = told.get("HTTPStatusCode") if isinstance(told, Mapping) else None
    return code if isinstance(code, int) else None


class _Headers(Protocol):
    """What clients keep an answer's headers in."""

    def items(self) -> Iterable[tuple[object, object]]:
        """Return names and values."""
        ...


def _header_seconds(error: BaseException, now: datetime) -> float | None:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    if not hasattr(headers, "items"):
        return None
    given = {str(key).lower(): str(value) for key, value in cast("_Headers", headers).items()}
    milliseconds = _number(given.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    told = given.get("retry-after", "")
    seconds = _number(told)
    return _until(told, now) if seconds is None else seconds


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _until(text: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()
