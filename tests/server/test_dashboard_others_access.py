"""Who sees what on the pages beside runs: tenants their own, viewers no forms, sessions with tokens."""

from __future__ import annotations

import httpx
import pytest

from tests.server.test_dashboard_access import SECRET, Place, _browser, _token, place

__all__ = ["place"]

PAGES = (
    "/ui/approvals",
    "/ui/letters?status=all",
    "/ui/failures",
    "/ui/budgets?kind=thread",
    "/ui/budgets?kind=tenant",
    "/ui/policies",
    "/ui/workers",
    "/ui/crons",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_tells_nothing_of_another_tenant(place: Place, path: str) -> None:
    """Each page is there for a tenant, and neither names another's threads nor what they are about."""
    with _browser(place, key="acme") as browser:
        shown = browser.get(path)

    assert shown.status_code == 200
    assert SECRET not in shown.text
    assert place.thread not in shown.text
    assert "bolt" not in shown.text


def test_another_tenants_things_are_not_there(place: Place) -> None:
    """A question, a budget and a switch: 404 for each that is another tenant's, and no figure counts it."""
    question = _question(place)
    _make_cron(place)
    with _browser(place, key="acme") as browser:
        tried = [
            browser.get("/ui/crons/bolts"),
            browser.get("/ui/crons/bolts/change"),
            browser.post("/ui/crons/bolts/pause"),
            browser.post("/ui/crons/bolts/delete"),
            browser.post("/ui/new-cron/echo", data={"name": "bolts", "schedule": "0 0 * * *"}),
            browser.post(
                "/ui/new-cron/echo",
                data={"name": "mine", "schedule": "0 0 * * *", "thread_id": place.thread},
            ),
            browser.get(f"/ui/approvals/{question}"),
            browser.get(f"/ui/approvals?open={question}"),
            browser.post(f"/ui/approvals/{question}", data={"decision": "value", "value": "x"}),
            browser.post(
                "/ui/approvals/answers", data={"decision": "reject", "chosen": f"{question}:"}
            ),
            browser.get(f"/ui/budgets/thread/{place.thread}"),
            browser.get("/ui/budgets/tenant/bolt"),
            browser.post("/ui/budgets/tenant/bolt", data={"usd": "1"}),
            browser.get(f"/ui/budgets/switch?scope=thread&name={place.thread}"),
            browser.post(
                "/ui/budgets/switch", data={"scope": "tenant", "name": "bolt", "reason": "x"}
            ),
        ]
        figures = browser.get("/ui/figures").json()

        limits = [browser.get("/ui/workers/limits"), browser.post("/ui/workers/limits")]

    assert [each.status_code for each in tried] == [404] * len(tried)
    assert [each.status_code for each in limits] == [403] * 2
    assert figures == {"approvals": 0, "letters": 0}


def test_forms_need_the_token_of_their_session(place: Place) -> None:
    """An answer without the token is refused, and all forms of the pages carry it."""
    question = _question(place)
    with _browser(place) as browser:
        browser.post("/ui/login", data={"key": place.keys["bolt"]})
        refused = browser.post(
            f"/ui/approvals/{question}", data={"decision": "value", "value": "x"}
        )
        shown = browser.get("/ui/approvals").text

    assert refused.status_code == 403
    posting = [x for x in shown.split("<form")[1:] if 'method="post"' in x.partition(">")[0]]
    assert len(posting) == 3  # sign out, the answer, several at once
    assert all(f'value="{_token(shown)}"' in each.partition("</form>")[0] for each in posting)


def test_a_viewer_is_offered_nothing(place: Place) -> None:
    """Who may only look sees what waits without a way to answer, and is refused it."""
    question = _question(place)
    with _browser(place, key="viewer") as browser:
        shown = browser.get("/ui/approvals").text
        refused: list[httpx.Response] = [
            browser.post(f"/ui/approvals/{question}", data={"decision": "value", "value": "x"}),
            browser.get("/ui/budgets/switch"),
            browser.get("/ui/new-cron/echo"),
            browser.post("/ui/crons/any/delete"),
            browser.get("/ui/workers/limits"),
            browser.post("/ui/workers/limits/remove", data={"target": "tenant:*"}),
            browser.post("/ui/budgets/graph/asks", data={"usd": "1"}),
            browser.post("/ui/letters", data={"what": "discard", "chosen": "x"}),
        ]

    assert SECRET in shown
    assert "Your role may not answer questions." in shown
    assert "<textarea" not in shown
    assert [each.status_code for each in refused] == [403] * len(refused)


def _make_cron(place: Place) -> None:
    with _browser(place, key="bolt") as browser:
        given = {"name": "bolts", "schedule": "0 0 1 1 *", "value:said": SECRET}
        assert browser.post("/ui/new-cron/echo", data=given).status_code == 200


def _question(place: Place) -> str:
    with _browser(place, key="bolt") as browser:
        (question,) = browser.get("/approvals").json()
    return str(question["id"])
