"""Which failures are worth another attempt, and which only a person can mend.

Clients of providers raise what they like. What they share is an HTTP status somewhere, or the name of a base class.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    }
)

_BUGS = (TypeError, AttributeError, NameError, LookupError, AssertionError, ImportError)


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may well succeed a moment later; our own refusals never do."""
    if isinstance(error, ModelFailed):
        return error.transient
    if isinstance(error, InterlockError):
        return False
    return any(_says_later(each) for each in _chain(error))


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
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None


def _says_later(error: BaseException) -> bool:
    code = status(error)
    if code is not None:
        return code in _BUSY or code >= 500
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    return not _TRANSPORT.isdisjoint(each.__name__ for each in type(error).__mro__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
