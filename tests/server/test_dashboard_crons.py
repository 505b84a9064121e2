"""Crons and rate limits on the dashboard, as a browser without scripts gets them: made, changed, paused, taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient


@pytest.fixture
def browser(server: str) -> Iterator[httpx.Client]:
    """Something that asks for pages, and follows where forms lead."""
    with httpx.Client(base_url=server, follow_redirects=True, timeout=60) as client:
        yield client


REPORT = {
    "name": "morning/report",
    "schedule": "30 7 * * mon-fri",
    "zone": "Europe/Rome",
    "catch_up": "skip",
    "strategy": "reject",
    "within": "15",
    "value:said": "good morning",
}


def test_a_cron_is_made_changed_paused_and_deleted(browser: httpx.Client) -> None:
    """All by forms; each step is in the audit log, and its next times are told in its own zone."""
    made = browser.post("/ui/new-cron/echo", data=REPORT)
    assert made.url.path == "/ui/crons/morning~2Freport"
    assert (
        len(re.findall(r"<strong>(?:Mon|Tue|Wed|Thu|Fri) \d\d \w+, 07:30</strong>", made.text)) == 5
    )
    assert "15:00" in made.text  # the minutes that a run may take

    form = browser.get(f"{made.url.path}/change").text
    assert 'value="30 7 * * mon-fri"' in form
    assert 'value="good morning"' in form
    changed = browser.post("/ui/new-cron/echo", data={**REPORT, "schedule": "0 9 * * *"}).text
    assert "09:00</strong>" in changed

    assert ">paused<" in browser.post(f"{made.url.path}/pause").text
    assert ">paused<" in browser.get("/ui/crons").text
    assert ">fires<" in browser.post(f"{made.url.path}/resume").text
    assert "No crons" in browser.post(f"{made.url.path}/delete").text

    told = [each["act"] for each in browser.get("/audit").json()]
    assert [each for each in reversed(told) if each.startswith("cron.")] == [
        "cron.set",
        "cron.set",
        "cron.pause",
        "cron.resume",
        "cron.remove",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schedule": "every day"}, "The schedule &#39;every day&#39; is wrong"),
        ({"zone": "Mars/Base"}, "Mars/Base"),
        ({"within": "soon"}, "&#39;soon&#39; is no number of minutes."),
        ({"name": " "}, "A cron cannot be named"),
        ({"catch_up": "never"}, "There is no &#39;never&#39;."),
    ],
)
def test_what_is_wrong_with_a_cron_is_told_in_its_form(
    browser: httpx.Client, wrong: dict[str, str], said: str
) -> None:
    """What was given stays in the form, and nothing is stored."""
    refused = browser.post("/ui/new-cron/echo", data={**REPORT, **wrong})

    assert refused.status_code == 422
    assert said in refused.text
    assert 'value="good morning"' in refused.text
    assert "No crons" in browser.get("/ui/crons").text


def test_a_clients_cron_is_paused_and_deleted_but_not_changed(
    browser: httpx.Client, sync_client: SyncLangGraphClient
) -> None:
    """The form knows less of it than its client said: changing it here would lose that."""
    made: Any = sync_client.crons.create(
        "echo", schedule="0 0 1 1 *", input={"said": "x"}
    )  # typed as a run there
    path = f"/ui/crons/{made['cron_id']}"

    assert "<h1>x</h1>" in browser.get(path).text  # and not its number
    assert f'href="{path}">x</a>' in browser.get("/ui/crons").text
    assert browser.get(f"{path}/change").status_code == 422
    given = {**REPORT, "name": str(made["cron_id"])}
    assert browser.post("/ui/new-cron/echo", data=given).status_code == 422
    assert "Change</a>" not in browser.get(path).text
    assert ">paused<" in browser.post(f"{path}/pause").text
    assert browser.post(f"{path}/delete").status_code == 200
    assert sync_client.crons.count() == 0


def test_a_rate_limit_is_set_and_removed(browser: httpx.Client) -> None:
    """What is left empty stays as it is; what cannot hold is told in the form; nothing is left when it is removed."""
    first = {"target": "provider:acme-ai", "requests": "600", "concurrent": "4"}
    assert "600 a minute" in browser.post("/ui/workers/limits", data=first).text
    both = browser.post(
        "/ui/workers/limits", data={"target": "provider:acme-ai", "tokens": "90,000"}
    ).text
    assert "600 a minute" in both
    assert "90,000 a minute" in both

    for number, said in (("concurrent", "1.5"), ("requests", "many"), ("requests", "-1")):
        given = {"target": "provider:acme-ai", number: said}
        refused = browser.post("/ui/workers/limits", data=given)
        assert refused.status_code == 422
        assert f'value="{said}"' in refused.text
    assert browser.post("/ui/workers/limits", data={"target": "nonsense"}).status_code == 422

    removed = browser.post("/ui/workers/limits/remove", data={"target": "provider:acme-ai"})
    assert "600 a minute" not in removed.text
    again = browser.post("/ui/workers/limits/remove", data={"target": "provider:acme-ai"})
    assert again.status_code == 404
