"""What a run's nodes find of people whom the application's own handlers know."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.server.conftest import serving
from tests.server.test_identity import SEEING, ask, looked, thread

ENCRYPTED = {"INTERLOCK_ENCRYPTION_KEY": "0123456789abcdef0123456789abcdef"}


@pytest.fixture(scope="module")
def guarded(server_database: str) -> Iterator[str]:
    """The address of a server whose application knows people, and which leaves its runs to another process."""
    config = SEEING / "guarded.json"
    with (
        serving(server_database, config=config, workers=0, environment=ENCRYPTED) as address,
        serving(server_database, config=config, environment=ENCRYPTED),
    ):
        yield address


def test_whom_a_handler_knows(guarded: str) -> None:
    """Nodes find whom the application's handler returned, with all that it said, in another process."""
    seen = looked(guarded, None, authorization="Bearer ann", **{"x-team": "red"})

    assert seen["user"] == {
        "identity": "ann",
        "permissions": ["write"],
        "team": "red",
        "display_name": "ann",
        "is_authenticated": True,
    }
    assert seen["permissions"] == ["write"]
    assert seen["server"][2] == seen["said"]["langgraph_auth_user_id"] == "ann"
    assert "x-team" not in seen["keys"]


def test_who_answered(guarded: str) -> None:
    """What goes on with an answer goes on for who gave it."""
    there = thread(guarded, authorization="Bearer ann")
    run = {"assistant_id": "looks_later", "input": {}}
    ask(guarded, f"/threads/{there}/runs/wait", run, authorization="Bearer ann")
    answer = {"assistant_id": "looks_later", "command": {"resume": "yes"}}

    team = {"x-team": "green"}
    came = ask(guarded, f"/threads/{there}/runs/wait", answer, authorization="Bearer ann", **team)

    assert came["seen"]["user"]["team"] == "green"


def test_it_is_encrypted(guarded: str, server_database: str) -> None:
    """With a key, what the handler said does not stand in the database as it is."""
    looked(
        guarded, {"on_completion": "keep"}, authorization="Bearer ann", **{"x-team": "sunflower"}
    )

    with psycopg.connect(server_database) as connection:
        rows = connection.execute("select context::text from interlock.runs").fetchall()
    assert any("asker" in row[0] for row in rows)
    assert not any("sunflower" in row[0] for row in rows)
