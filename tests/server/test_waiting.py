"""How the server waits for runs while the database does not answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from interlock.errors import DatabaseUnavailable
from interlock.server import waiting


async def test_a_database_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a run is not told that it failed: the database is asked again until it answers."""
    asked = []

    async def result(scope: Any, run_id: str, *, fresh: bool) -> dict[str, int]:
        asked.append(fresh)
        if len(asked) < 3:
            raise DatabaseUnavailable("The database does not answer.")
        return {"a": 1}

    monkeypatch.setattr(waiting, "result", result)
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.0)
    scope: Any = SimpleNamespace()
    told = waiting.waited(scope, "t", "r", fresh=True).body_iterator

    assert json.loads(b"".join([part async for part in told if isinstance(part, bytes)])) == {
        "a": 1
    }
    assert asked == [True, False, False]
