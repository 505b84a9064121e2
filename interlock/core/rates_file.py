"""The file that declares rate limits, breakers and fallback models: TOML, read once, refused when wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from interlock.core.prices import FREE
from interlock.core.rates import PATIENCE, BreakerRule, Rate, RatePlan
from interlock.core.targets import check_target
from interlock.errors import InterlockError, UsageError


def rates_from(path: Path | None) -> RatePlan:
    """Return what a file declares; raises `UsageError` for one that cannot be read, or means nothing."""
    if path is None:
        return RatePlan()
    try:
        return _plan(_File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))))
    except OSError as error:
        raise UsageError(f"The rate limits {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except InterlockError as error:
        raise _wrong(path, str(error)) from error
    except ValueError as error:
        raise _wrong(path, str(error)) from error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Limit(_Strict):
    requests_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    concurrent: int | None = Field(default=None, gt=0)
    burst_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _Breaker(_Strict):
    failures: int = 5
    of: int = 10
    within_seconds: float = 60.0
    open_seconds: float = 15.0


def _several(value: Any) -> Any:  # TOML
    return [value] if isinstance(value, str) else value


class _File(_Strict):
    patience_seconds: float = Field(default=PATIENCE, ge=0, allow_inf_nan=False)
    limits: dict[str, _Limit] = Field(default_factory=dict)
    breaker: _Breaker = Field(default_factory=_Breaker)
    fallbacks: dict[str, Annotated[list[str], BeforeValidator(_several)]] = Field(
        default_factory=dict
    )


def _plan(file: _File) -> RatePlan:
    rule = file.breaker
    return RatePlan(
        limits={check_target(name): _rate(each) for name, each in file.limits.items()},
        breaker=BreakerRule(
            failures=rule.failures, of=rule.of, within=rule.within_seconds, open=rule.open_seconds
        ),
        fallbacks=_fallbacks(file.fallbacks),
        patience=file.patience_seconds,
    )


def _rate(limit: _Limit) -> Rate:
    return Rate(
        requests=limit.requests_per_minute,
        tokens=limit.tokens_per_minute,
        concurrent=limit.concurrent,
        burst=limit.burst_seconds,
    )


def _fallbacks(given: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    for name, others in given.items():
        for each in (name, *others):
            provider, _, model = each.partition(":")
            if not (provider and model) or each.startswith(FREE):
                raise UsageError(f"fallbacks: {each!r} is no model that can stand in for another.")
        if name in others:
            raise UsageError(f"fallbacks: {name} cannot stand in for itself.")
    return {name: tuple(others) for name, others in given.items()}


def _wrong(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} declares no rate limits: {why}",
        hint='It may have [limits] with "provider:openai" = { requests_per_minute = 500 }, [breaker] and [fallbacks].',
    )
