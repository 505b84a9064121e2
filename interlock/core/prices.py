"""The price table: what models cost, in which version, and how long their answers can be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interlock.core.counting import IMAGE
from interlock.errors import UsageError

FREE = "offline:"
"""Models whose names begin so are rules in this process."""


class Price(BaseModel):
    """What a model costs, in US dollars per million tokens, and what it is able to take.

    Attributes:
        cached: of a prompt, from the provider's cache; by default as `input`.
        cache_write: of a prompt, put there; by default as `input`.
        max_output: tokens that an answer can have at most; None where nobody knows.
        image: tokens that an image takes at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_output: int | None = Field(default=None, gt=0)
    image: int = Field(default=IMAGE, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one call.

    Attributes:
        cached: of `input`, those that came from the provider's cache.
        written: of `input`, those that were put there.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """Prices by model, `provider:name`."""

    version: str
    models: Mapping[str, Price] = field(repr=False)

    def of(self, model: str) -> Price | None:
        """Return the price of a model, also when its name ends in the date of a release."""
        if model.startswith(FREE):
            return _FREE
        return self.models.get(model) or self.models.get(_DATE.sub("", model))

    def cost(self, model: str, tokens: Tokens) -> float | None:
        """Return US dollars; None where the model is not in the table."""
        price = self.of(model)
        if price is None:
            return None
        fresh = max(0, tokens.input - tokens.cached - tokens.written)
        dollars = (
            fresh * price.input
            + tokens.cached * _else(price.cached, price.input)
            + tokens.written * _else(price.cache_write, price.input)
            + tokens.output * price.output
        )
        return dollars / 1_000_000

    def most(self, model: str, tokens: Tokens) -> float | None:
        """Return what tokens cost at most, however the provider's cache is used."""
        price = self.of(model)
        if price is None:
            return None
        dearest = max(price.input, _else(price.cache_write, 0.0))
        return (tokens.input * dearest + tokens.output * price.output) / 1_000_000


@cache
def builtin() -> PriceTable:
    """Return the table that comes with Interlock; its date and sources stand in prices.toml."""
    text = (resources.files("interlock.core") / "prices.toml").read_text(encoding="utf-8")
    return _table(tomllib.loads(text))


def prices_from(path: Path | None) -> PriceTable:
    """Return the table with a file's models over our own; raises `UsageError` for a file that is none."""
    if path is None:
        return builtin()
    try:
        theirs = _table(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"The price table {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no price table: {_told(error)}.",
            hint='It needs version = "…" and [models] with "provider:name" = { input = …, output = … }.',
        ) from error
    ours = builtin()
    return PriceTable(
        version=f"{theirs.version} over {ours.version}", models={**ours.models, **theirs.models}
    )


def _table(loaded: Mapping[str, Any]) -> PriceTable:  # TOML
    models = {name: Price.model_validate(each) for name, each in loaded["models"].items()}
    return PriceTable(version=str(loaded["version"]), models=models)


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _else(value: float | None, other: float) -> float:
    return other if value is None else value


_FREE = Price(input=0.0, output=0.0)

_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
"""How providers name a release of a model; each has the price of its model."""
