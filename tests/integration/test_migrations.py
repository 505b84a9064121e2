"""Our tables: made once, never changed behind an older version's back."""

from __future__ import annotations

import hashlib

import psycopg
import pytest

from interlock.errors import DatabaseUnavailable, UsageError
from interlock.postgres.maintenance import look
from interlock.postgres.migrations import migrate, pending, scripts

RELEASED: dict[str, str] = {}
"""SHA-256 of each migration that a release has carried: none yet. A release adds its own here, for good."""


async def test_a_database_of_a_later_version_is_refused(database_url: str) -> None:
    """What this code does not know it does not touch."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("insert into interlock.migrations (name) values ('9999_later')")

    with pytest.raises(
        DatabaseUnavailable, match="made by another version of Interlock: it has 9999_later"
    ):
        await migrate(database_url)


async def test_a_migrated_database_has_nothing_pending(database_url: str) -> None:
    """Migrating again does nothing."""
    assert await pending(database_url) == []
    assert await migrate(database_url) == []


def test_released_migrations_never_change() -> None:
    """A database that ran a migration has run that text."""
    texts = {name: hashlib.sha256(sql.encode()).hexdigest() for name, sql in scripts()}

    assert {name: texts.get(name) for name in RELEASED} == RELEASED
    assert list(texts) == sorted(texts)
    assert len({name.split("_")[0] for name in texts}) == len(texts)


@pytest.mark.parametrize(
    "url", ["mysql://a", "postgresql://me:my secret@h/d", "postgresql://h/d?x=1"]
)
async def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    """A password with a space would otherwise stand in the driver's message."""
    for connect in (migrate, look):
        with pytest.raises(
            UsageError, match="The address of the database cannot be read"
        ) as raised:
            await connect(url)

        assert "secret" not in str(raised.value)
        assert raised.value.__suppress_context__
