"""What went wrong, of which kind it is, and what follows from that: another try later, or a dead letter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from interlock.core.transient import causes, retry_after, says_later, status
from interlock.errors import (
    ActionRefused,
    AnswerRefused,
    BudgetSpent,
    DatabaseUnavailable,
    EffectInDoubt,
    EffectTakenOver,
    InterlockError,
    KeyMissing,
    Killed,
    LeaseLost,
    LimitReached,
    ModelFailed,
    ModelUnavailable,
    OutputInvalid,
    PolicyInvalid,
    PromptError,
    RefusedTooOften,
    ResumeRefused,
    RunCancelled,
    SourceError,
    ThreadBusy,
    UsageError,
)

FailureKind = Literal[
    "transient",
    "rate_limit",
    "invalid_output",
    "refused",
    "changed",
    "in_doubt",
    "budget",
    "limit",
    "bug",
    "poison",
]
"""`transient`: it passes by itself. `rate_limit`: a provider wants to be asked later. `invalid_output`: a model's
answer never fitted. `refused`: a provider, a policy or a person said no. `changed`: this code cannot go on with what
is stored. `in_doubt`: nobody here knows whether an act happened. `budget`, `limit`: what the run may take is used up.
`bug`: anything else that a node raised. `poison`: its worker died of it, again and again."""

KINDS: tuple[FailureKind, ...] = get_args(FailureKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How a kind of failure is retried.

    Attributes:
        times: how often in a row, without a new checkpoint in between; 0 for never.
        first: seconds within which the first retry comes; each later one may take twice as long.
        longest: seconds that it may take at most.
        patience: seconds that a server may ask for by `Retry-After`; who asks for more is not waited for.
    """

    times: int
    first: float = 1.0
    longest: float = 300.0
    patience: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        seconds = 0 <= self.first <= self.longest < math.inf and self.patience >= 0
        if not seconds or self.times < 0 or self.times != self.times // 1:
            raise UsageError(
                f"{self} cannot be kept.",
                hint="Write times, first, longest and patience from 0 up, and first no longer than longest.",
            )

    def within(self, tries: int) -> float:
        """Return the seconds within which a retry comes after so many failures in a row."""
        return min(self.longest, self.first * 2.0 ** min(tries - 1, 64))


Retries = Mapping[FailureKind, Backoff]

DEFAULTS: Retries = {
    "transient": Backoff(times=12, longest=600.0),
    "rate_limit": Backoff(times=30, first=5.0, longest=600.0),
}
"""What is not named here is not retried. A transient failure is given about twenty minutes, a rate limit two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """It is tried again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """It is not tried again, because."""

    because: str


def classify(error: BaseException) -> FailureKind | None:
    """Return of which kind a failure is, by its type, its status and its causes; None for what is no failure.

    Clients of providers are known by names and statuses, so that none of them has to be installed.
    """
    if isinstance(error, BaseExceptionGroup):
        found = {classify(each) for each in error.exceptions}
        return next((kind for kind in _GRAVEST_FIRST if kind in found), None)
    if isinstance(error, _NO_FAILURE):
        return None
    return next((kind for each in causes(error) if (kind := _kind(each))), "bug")


def kind_named(name: str) -> FailureKind:
    """Return of which kind a failure is of which only the name of its class is known."""
    ours = {each.__name__: kind for types, kind in _OURS for each in types}
    return ours.get(name) or _BY_NAME.get(name) or "bug"


def plan(
    kind: FailureKind,
    tries: int,
    error: BaseException | None,
    retries: Retries = DEFAULTS,
    *,
    now: datetime,
    chance: Callable[[], float],
) -> Retry | Dead:
    """Say what follows a failure.

    Args:
        kind: its kind.
        tries: how often in a row the run failed in this way by now, this time included.
        error: what was raised; a server may have said in it when to come back.
        retries: what is declared; a kind that is not named there has its default.
        now: the time.
        chance: a random number from 0 up to 1, so that what failed together does not come back together.
    """
    backoff = retries.get(kind) or DEFAULTS.get(kind)
    if backoff is None or not backoff.times:
        return Dead(because=_NEVER[kind])
    if tries > backoff.times:
        return Dead(because=f"it failed {tries} times in a row without a new checkpoint")
    spread = chance() * backoff.within(tries)
    asked = None if error is None else retry_after(error, now)
    if (
        asked is None
    ):  # "full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        return Retry(seconds=spread)
    if asked > backoff.patience:
        return Dead(because=f"it was told to come back after {asked:,.0f} seconds")
    return Retry(seconds=asked + spread)


def check_retries(retries: Retries) -> None:
    """Raise `UsageError` for kinds that there are not, or that cannot be retried."""
    unknown = sorted(set(retries) - (set(KINDS) - {"poison"}))
    if unknown:
        raise UsageError(
            f"Declaration(retries=...) names {', '.join(unknown)}.",
            hint=f"Kinds that can be retried: {', '.join(each for each in KINDS if each != 'poison')}.",
        )


_NEVER: Mapping[FailureKind, str] = {
    "transient": "its graph declares that it is not retried",
    "rate_limit": "its graph declares that it is not retried",
    "invalid_output": "the model was shown its fault as often as is worth while",
    "refused": "it would be refused again until a person changes something",
    "changed": "this code cannot go on with what is stored",
    "in_doubt": "a person has to find out what happened",
    "budget": "more has to be allowed first",
    "limit": "more steps would only cost more",
    "bug": "the same code would fail again",
    "poison": "it would end the next worker, too",
}

_GRAVEST_FIRST: tuple[FailureKind, ...] = (
    "in_doubt",
    "changed",
    "bug",
    "refused",
    "budget",
    "limit",
    "invalid_output",
    "rate_limit",
    "transient",
)

_NO_FAILURE = (Killed, RunCancelled, LeaseLost)

_OURS: tuple[tuple[tuple[type[InterlockError], ...], FailureKind], ...] = (
    ((ThreadBusy, DatabaseUnavailable), "transient"),
    ((OutputInvalid,), "invalid_output"),
    ((BudgetSpent,), "budget"),
    ((LimitReached,), "limit"),
    ((EffectInDoubt, EffectTakenOver), "in_doubt"),
    ((ResumeRefused, AnswerRefused, PromptError, KeyMissing), "changed"),
    ((ActionRefused, RefusedTooOften, ModelUnavailable, PolicyInvalid, SourceError), "refused"),
)

_BY_NAME: Mapping[str, FailureKind] = {
    "RateLimitError": "rate_limit",  # openai, anthropic, groq
    "ModelRateLimitError": "rate_limit",  # langchain-core
    "ResourceExhausted": "rate_limit",  # google
    "ThrottlingException": "rate_limit",  # botocore
    "TooManyRequests": "rate_limit",
    "OutputParserException": "invalid_output",  # langchain-core
    "StructuredOutputError": "invalid_output",  # langchain
    "ContentFilterFinishReasonError": "invalid_output",  # openai
    "LengthFinishReasonError": "invalid_output",
    "ModelAuthenticationError": "refused",  # langchain-core
    "ModelPermissionDeniedError": "refused",
    "ModelInvalidRequestError": "refused",
    "ModelNotFoundError": "refused",
    "ContextOverflowError": "refused",
    "GraphRecursionError": "limit",  # langgraph
}


def _kind(error: BaseException) -> FailureKind | None:
    if isinstance(error, ModelFailed):
        return _of_status(error.status_code, transient=error.transient)
    if isinstance(error, InterlockError):
        return next((kind for types, kind in _OURS if isinstance(error, types)), "bug")
    code = status(error)
    if code == 429 and "insufficient_quota" in f"{getattr(error, 'code', '')} {error}":
        return "refused"  # OpenAI's 429 for an account without credit
    if (named := _named(error)) is not None:
        return named
    if code is not None and code >= 400:
        return _of_status(code, transient=says_later(error))
    return "transient" if says_later(error) else None


def _named(error: BaseException) -> FailureKind | None:
    names = [each.__name__ for each in type(error).__mro__]
    return next((_BY_NAME[name] for name in names if name in _BY_NAME), None)


def _of_status(code: int | None, *, transient: bool) -> FailureKind:
    if not transient:
        return "refused"
    return "rate_limit" if code == 429 else "transient"
