"""One tenant's administrator asks the bridge for every method, about another tenant's things."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from interlock import __version__
from interlock.remote.line import VERSION_HEADER
from interlock.remote.signatures import shape_of
from interlock.server.bridging.table import SERVED
from tests.server.conftest import serving
from tests.server.test_tenants import SECRET, fill, insert, make_keys

RATES = """
[limits]
"provider:openai" = { requests_per_minute = 500 }
"provider:openai/tenant:*" = { requests_per_minute = 60 }
"provider:openai/tenant:bolt" = { requests_per_minute = 70 }
"provider:openai/tenant:acme" = { requests_per_minute = 80 }
"tenant:bolt" = { requests_per_minute = 90 }
"""

POLICY = """
version = 1

[otherwise]
then = "ask"

[[rules]]
name = "bolts"
when = { tenant = "bolt" }
then = "deny"

[[rules]]
name = "both"
when = { tenant = "*" }
then = "ask"
"""


class Place(NamedTuple):
    """A server with two tenants, and what `bolt` has there."""

    server: str
    keys: dict[str, str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def place(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server with two tenants, one of which has one of everything."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in (("rates.toml", RATES), ("policy.toml", POLICY)):
        (folder / name).write_text(text)
    environment = {
        "INTERLOCK_RATES": str(folder / "rates.toml"),
        "INTERLOCK_POLICY": str(folder / "policy.toml"),
    }
    keys = asyncio.run(make_keys(server_database))
    with serving(server_database, environment=environment) as server:
        ids = asyncio.run(asyncio.to_thread(fill, server, keys["bolt"], keys["root"]))
        ids |= insert(server_database, ids)
        ids |= _timer(server_database, ids) | _cron(server_database)
        yield Place(server, keys, ids)


def _timer(database: str, ids: dict[str, str]) -> dict[str, str]:
    with psycopg.connect(database, autocommit=True) as sql:
        row = sql.execute(
            "insert into interlock.timers (thread_id, run_id, kind, due_at, state)"
            " values (%s, %s, 'wake', now() + interval '1 day', 'failed') returning id",
            (ids["thread_id"], ids["run_id"]),
        ).fetchone()
    assert row is not None
    return {"timer_id": str(row[0])}


def _cron(database: str) -> dict[str, str]:
    with psycopg.connect(database) as sql:
        row = sql.execute("select name from interlock.crons").fetchone()
    assert row is not None
    return {"cron": str(row[0])}


def called(place: Place, method: str, given: dict[str, Any], key: str = "acme") -> httpx.Response:
    """Ask the bridge for a method."""
    headers = {"x-api-key": place.keys[key], VERSION_HEADER: __version__}
    return httpx.post(f"{place.server}/bridge/{method}", json=given, headers=headers, timeout=30)


def about(method: str, ids: dict[str, str]) -> dict[str, Any]:
    """Return arguments that name the other tenant's things, for all that a method needs."""
    names = {
        **{"thread_id": ids["thread_id"], "a": ids["thread_id"], "b": ids["other_thread"]},
        **{"threads": [ids["thread_id"]], "at": 0, "values": {}, "xray": False},
        **{"question_id": ids["question_id"], "key": ids["key"], "letter_id": ids["letter_id"]},
        **{"graph": "echo", "input": {"said": "mine"}, "schedule": "0 0 1 1 *"},
        **{"happened": False, "reason": "mine", "lifted": True, "number": int(ids["number"])},
        **{"target": "provider:openai/tenant:bolt", "rate": {"requests": 1}},
        **{"limits": {"usd": 1}, "facts": {"action": "mine"}, "timer_id": int(ids["timer_id"])},
        **{"answers": [{"answer": "Resume", "question_id": ids["question_id"], "value": "mine"}]},
        **{"kind": "thread", "name": ids["thread_id"], "tenant": "bolt"},
    }
    if method.startswith("cron"):
        names["name"] = ids["cron"]
    if method in ("wait", "standing", "cancel"):
        names["name"] = ids["run_id"]
    parameters = shape_of(method).signature.parameters.values()
    needed = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    named = {"thread_id", "timer_id"} & {each.name for each in parameters}
    if method.startswith("letters_"):
        named.add("tenant")
    return {name: names[name] for name in {*needed, *named}}


LISTS = {
    *("threads", "budgets", "letters", "crons", "cron_clock", "rates", "rate_waits", "health"),
    *("policy_problem", "store.counts", "outbox.failed", "outbox.notifications", "graphs"),
    *("graph_input", "drawing", "policy_told", "policy_explained", "kills_told", "pending"),
}
"""What is asked about nothing in particular: it answers, and tells nothing of the other."""

NOBODYS = {"set_rate", "remove_rate", "outbox.try_again"}
"""What no tenant may do at all."""


@pytest.mark.parametrize("method", sorted(SERVED))
def test_no_method_tells_or_does_anything(place: Place, method: str) -> None:
    """Each method that is asked about another tenant's things finds none; lists are without them."""
    answer = called(place, method, about(method, place.ids))

    expected = 200 if method in LISTS else 403 if method in NOBODYS else 404
    assert answer.status_code == expected, answer.text
    assert SECRET not in answer.text
    if expected == 200:
        told = json.dumps(answer.json()["result"])
        assert "bolt" not in told
        assert not [each for each in place.ids.values() if len(each) > 20 and each in told]


@pytest.mark.parametrize("method", ["run", "question", "effect", "letter", "cron", "kill_told"])
def test_the_other_finds_them(place: Place, method: str) -> None:
    """What was not there for the one is there for the other: the names were right."""
    assert called(place, method, about(method, place.ids), "bolt").status_code == 200


def test_a_tenant_sees_its_own_limits(place: Place) -> None:
    """Of limits that a file declares a tenant sees those that name it or each tenant, over the bridge and over HTTP."""
    seen = ["provider:openai/tenant:*", "provider:openai/tenant:acme"]
    told = called(place, "rates", {}).json()["result"]
    over_http = httpx.get(f"{place.server}/limits", headers={"x-api-key": place.keys["acme"]})
    everybodys = called(place, "rates", {}, "root").json()["result"]

    assert [each["name"] for each in told] == seen
    assert [each["name"] for each in over_http.json()["limits"]] == seen
    assert len(everybodys) == 5
    assert called(place, "rate", {"target": seen[1]}).json()["result"]["rate"]["requests"] == 80


def test_a_tenant_sees_the_rules_for_it(place: Place) -> None:
    """Of a policy's rules a tenant sees those that its acts may come under, everywhere where rules are shown."""
    shown = {name: {"x-api-key": place.keys[name]} for name in ("acme", "bolt", "root")}
    rules = {
        name: [
            each["name"]
            for each in httpx.get(f"{place.server}/policies", headers=key).json()["rules"]
        ]
        for name, key in shown.items()
    }
    page = httpx.get(f"{place.server}/ui/policies", headers=shown["acme"]).text

    assert "bolts" not in rules["acme"]
    assert "both" in rules["acme"]
    assert rules["bolt"] == rules["root"] == ["bolts", *rules["acme"]]
    assert "both" in page
    assert "bolts" not in page
