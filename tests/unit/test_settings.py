"""Settings from the environment: what is wrong is refused in words."""

from __future__ import annotations

import pytest

from interlock.errors import UsageError
from interlock.settings import load


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("INTERLOCK_MODLE", "x", "INTERLOCK_MODLE is not a setting; INTERLOCK_MODEL is."),
        ("INTERLOCK_XYZ", "x", "INTERLOCK_XYZ is not a setting."),
        ("INTERLOCK_MODEL_TIMEOUT", "soon", "INTERLOCK_MODEL_TIMEOUT is wrong: write a number."),
        ("INTERLOCK_MODEL_TIMEOUT", "0", "is wrong: it must be greater than 0."),
        ("INTERLOCK_TEMPERATURE", "inf", "INTERLOCK_TEMPERATURE is wrong: write a number."),
        ("INTERLOCK_POSTGRES_PORT", "http", "is wrong: a port is a number between 1 and 65535."),
        ("INTERLOCK_POSTGRES_PORT", "65536", "is wrong: a port is a number between 1 and 65535."),
        ("INTERLOCK_EMBEDDINGS", "maybe", "INTERLOCK_EMBEDDINGS is wrong: write true or false."),
        ("INTERLOCK_DATABASE_URL", "mysql://a", "is wrong: it must start with postgresql://."),
        ("INTERLOCK_OIDC_ISSUER", "http://localhost.example.com", "it must start with https://."),
        ("INTERLOCK_OIDC_ISSUER", "https://", "is wrong: it must start with https://."),
        ("INTERLOCK_ROLE_MODELS", "critic", "is wrong: write role=provider:name"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(name: str, value: str, message: str) -> None:
    """The variable is named, and what would be right; no Python error shows through."""
    with pytest.raises(UsageError) as raised:
        load({name: value})

    assert message in str(raised.value)


@pytest.mark.parametrize(
    "issuer", ["https://login.example.com", "http://127.0.0.1:9000", "http://[::1]/realm"]
)
def test_an_issuer_is_asked_in_the_clear_on_this_machine_alone(issuer: str) -> None:
    """An address that only begins like one of loopback is another machine's."""
    assert load({"INTERLOCK_OIDC_ISSUER": issuer}).oidc_issuer == issuer


def test_all_faults_are_told_at_once() -> None:
    """Who mends one variable is not sent back for the next."""
    with pytest.raises(UsageError) as raised:
        load({"INTERLOCK_TEMPERATURE": "hot", "INTERLOCK_POSTGRES_PORT": "0"})

    assert "INTERLOCK_TEMPERATURE" in str(raised.value)
    assert "INTERLOCK_POSTGRES_PORT" in str(raised.value)
