"""The price table: what models cost, how long their answers may be, and a file of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.core.prices import Tokens, builtin, prices_from
from interlock.errors import UsageError

MILLION = 1_000_000


def test_every_price_is_whole() -> None:
    """Each model has its provider, both prices, what its cache saves, and the length of its answers."""
    faults = {
        name
        for name, price in builtin().models.items()
        if ":" not in name
        or min(price.input, price.output) <= 0
        or price.cached is None
        or price.cached >= price.input
        or not price.max_output
    }

    assert faults == set()
    assert builtin().version == "2025-09"


@pytest.mark.parametrize(
    ("tokens", "dollars"),
    [
        (Tokens(input=MILLION), 3.0),
        (Tokens(input=MILLION, cached=MILLION), 0.3),
        (Tokens(input=MILLION, written=MILLION), 6.0),
        (Tokens(input=MILLION, cached=MILLION // 2, written=MILLION // 4), 0.15 + 1.5 + 0.75),
        (Tokens(output=MILLION), 15.0),
    ],
    ids=["fresh", "cached", "written", "mixed", "answer"],
)
def test_cached_tokens_have_prices_of_their_own(tokens: Tokens, dollars: float) -> None:
    """They are part of the prompt's."""
    assert builtin().cost("anthropic:claude-sonnet-4-5", tokens) == pytest.approx(dollars)


def test_most_that_a_call_may_cost_is_the_dearest() -> None:
    """Whatever the provider's cache does, it costs no more."""
    tokens = Tokens(input=MILLION, output=MILLION)

    assert builtin().most("anthropic:claude-sonnet-4-5", tokens) == pytest.approx(6 + 15)
    assert builtin().most("openai:gpt-4o", tokens) == pytest.approx(2.5 + 10)
    assert builtin().most("openai:unheard", tokens) is None
    assert builtin().most("offline:extractive", tokens) == 0


def test_own_file_adds_models_and_replaces_prices(tmp_path: Path) -> None:
    """Its version stands beside ours, so that a stored call says by what it was priced."""
    file = tmp_path / "prices.toml"
    file.write_text(
        'version = "contract 7"\n[models]\n'
        '"openai:gpt-4o" = { input = 2.0, output = 9.0 }\n'
        '"ollama:llama3.2" = { input = 0, output = 0, max_output = 4096 }\n'
    )
    table = prices_from(file)

    assert table.version == "contract 7 over 2025-09"
    assert table.cost("openai:gpt-4o-2024-08-06", Tokens(input=MILLION)) == 2.0
    assert table.cost("openai:gpt-4o", Tokens(input=MILLION, cached=MILLION)) == 2.0
    assert table.cost("openai:gpt-4.1", Tokens(input=MILLION)) == 2.0
    price = table.of("ollama:llama3.2")
    assert price is not None
    assert price.max_output == 4096


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "is no price table"),
        ('[models]\n"a:b" = { input = 1, output = 1 }', "it has no 'version'"),
        ('version = "1"', "it has no 'models'"),
        ('version = "1"\n[models]\n"a:b" = { input = 1 }', "output: Field required"),
        ('version = "1"\n[models]\n"a:b" = { input = -1, output = 1 }', "input: Input should be"),
        ('version = "1"\n[models]\n"a:b" = { inputs = 1, output = 1 }', "Field required|inputs"),
        ('version = "1"\n[models]\n"a:b" = { input = nan, output = 1 }', "finite number"),
    ],
)
def test_file_that_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With what is wrong, and how one looks."""
    file = tmp_path / "prices.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=said) as refused:
        prices_from(file)
    assert "[models]" in refused.value.hint


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Prices are not guessed."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        prices_from(tmp_path / "none.toml")
