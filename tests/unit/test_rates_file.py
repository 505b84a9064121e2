"""The file that declares rate limits, and which limits a call comes under."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interlock.core.rates import Bound, BreakerRule, Rate, RatePlan
from interlock.core.rates_file import rates_from
from interlock.core.targets import bounds_of
from interlock.errors import UsageError

PAGE = Path(__file__).parents[2] / "docs" / "rate-limits.md"


def test_no_file_declares_nothing() -> None:
    """The breaker and the patience have their defaults."""
    assert rates_from(None) == RatePlan()


def test_what_the_page_shows_is_read(tmp_path: Path) -> None:
    """Each of its sections."""
    shown = re.search(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    file = tmp_path / "rates.toml"
    file.write_text(shown[1])

    assert rates_from(file) == RatePlan(
        limits={
            "provider:openai": Rate(requests=500, tokens=200_000, concurrent=20),
            "provider:openai/tenant:*": Rate(requests=60),
        },
        breaker=BreakerRule(failures=5, of=10, within=60.0, open=15.0),
        fallbacks={"openai:gpt-5": ("anthropic:claude-sonnet-4-5", "openai:gpt-4.1")},
        patience=600.0,
    )


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("limits = 3", "limits"),
        ('[limits]\n"openai" = { requests_per_minute = 1 }', "nothing that can be limited"),
        ('[limits]\n"provider:openai" = { rpm = 1 }', "rpm"),
        ('[limits]\n"provider:openai" = { requests_per_minute = 0 }', "greater than 0"),
        ("[breaker]\nfailures = 5\nof = 2", "cannot be kept"),
        ('[fallbacks]\n"openai:gpt-5" = "offline:extractive"', "can stand in"),
        ('[fallbacks]\n"openai:gpt-5" = "openai:gpt-5"', "for itself"),
        ("[nonsense]", "nonsense"),
        ("[limits", "rates.toml"),
    ],
)
def test_a_file_that_means_nothing_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    """With its name, and what is wrong with it."""
    file = tmp_path / "rates.toml"
    file.write_text(toml)
    with pytest.raises(UsageError, match=r"rates\.toml") as told:
        rates_from(file)

    assert said in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(UsageError, match="No such file"):
        rates_from(tmp_path / "rates.toml")


def test_a_call_comes_under_each_limit_that_fits_it() -> None:
    """Those of tenants in rows of their own; stored numbers count before declared ones, a name before `*`."""
    declared = {
        "provider:openai": Rate(requests=500, tokens=1000),
        "provider:anthropic": Rate(requests=5),
        "tenant:*": Rate(requests=60),
        "tenant:acme": Rate(concurrent=3),
        "model:openai:gpt-5/tenant:*": Rate(tokens=70),
    }
    stored = {"provider:openai": Rate(requests=50)}

    assert bounds_of("openai:gpt-5", "acme", declared, stored) == (
        Bound(name="provider:openai", rate=Rate(requests=50, tokens=1000)),
        Bound(name="tenant:acme", rate=Rate(requests=60, concurrent=3)),
        Bound(name="model:openai:gpt-5/tenant:acme", rate=Rate(tokens=70)),
    )
    assert bounds_of("ollama:llama", "", declared, stored) == ()
