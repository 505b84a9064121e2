"""Assistants that this process saw a moment ago."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest

from interlock.errors import DatabaseUnavailable
from interlock.postgres.assistants import EVERYBODY, Assistant, default_id
from interlock.server import assisting
from interlock.server.known import Known
from interlock.server.scope import Scope

OURS = Assistant(assistant_id=default_id("echo"), graph="echo", tenant=EVERYBODY)
THEIRS = Assistant(assistant_id=UUID(int=7), graph="echo", tenant="acme")


def test_one_looks_again() -> None:
    """After a second the first who asks looks again, and the others go on with what is known."""
    known = Known()
    known.put(OURS, 10.0)

    assert known.get(OURS.assistant_id, 10.9) is OURS
    assert known.get(OURS.assistant_id, 11.0) is None
    assert known.get(OURS.assistant_id, 11.1) is OURS
    assert known.get(OURS.assistant_id, 12.0) is None


def test_a_tenants_own_is_not_kept() -> None:
    """What belongs to a tenant is asked of the database each time: it knows who may see it."""
    known = Known()
    known.put(THEIRS, 10.0)

    assert known.get(THEIRS.assistant_id, 10.0) is None


async def test_many_ask_once(scope: Scope, store: type[FakeStore]) -> None:
    """Of many requests that come after a second one asks the database."""
    await assisting.resolve(scope, "echo")
    _let_a_second_pass(scope)

    found = await asyncio.gather(*(assisting.resolve(scope, "echo") for _ in range(16)))

    assert found == [OURS] * 16
    assert store.asked == 2


async def test_a_failed_look_is_no_look(scope: Scope, store: type[FakeStore]) -> None:
    """Where the database did not answer who looked, the next one looks."""
    await assisting.resolve(scope, "echo")
    _let_a_second_pass(scope)
    store.fails = True
    with pytest.raises(DatabaseUnavailable):
        await assisting.resolve(scope, "echo")
    store.fails = False

    await assisting.resolve(scope, "echo")

    assert store.asked == 3


class FakeStore:
    """Assistants of a database that counts who asks, and takes its time."""

    asked = 0
    fails = False

    def __init__(self, pool: object) -> None:
        pass

    async def get(self, assistant_id: UUID) -> Assistant:
        """Return the one that there is."""
        assert assistant_id == OURS.assistant_id
        type(self).asked += 1
        await asyncio.sleep(0)
        if self.fails:
            raise DatabaseUnavailable("The database does not answer.")
        return OURS


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[FakeStore]:
    """Return a store that nobody has asked yet, in place of the real one."""
    fake = type("FakeStore", (FakeStore,), {})
    monkeypatch.setattr(assisting, "AssistantStore", fake)
    return fake


@pytest.fixture
def scope(store: type[FakeStore]) -> Scope:
    """Return as much of a scope as it takes to find an assistant."""
    il = SimpleNamespace(application=SimpleNamespace(targets={"echo": ""}), pool=None)
    return cast(
        "Scope", SimpleNamespace(house=SimpleNamespace(assistants=Known()), il=il, reader=il)
    )


def _let_a_second_pass(scope: Scope) -> None:
    """Let what is known be as old as if it had been seen more than a second ago."""
    seen = scope.house.assistants._seen  # a second is long for a test
    for name, (at, assistant) in seen.items():
        seen[name] = (at - 1.5, assistant)
