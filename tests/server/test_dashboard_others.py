"""The pages beside runs and threads as a browser without scripts gets them: what they show, and what their forms do."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.server.conftest import serving

CONFIG = Path(__file__).parent.parent / "sample" / "served" / "langgraph.json"


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    """The address of a server whose graphs pay, ask, fail and echo."""
    with serving(server_database, config=CONFIG) as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    """Something that asks for pages, and follows where forms lead."""
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60) as client:
        yield client


@pytest.fixture
def sdk(address: str) -> Iterator[SyncLangGraphClient]:
    """LangGraph's client, which starts what the pages show."""
    with get_sync_client(url=address, api_key=None) as client:
        yield client


def test_a_payment_is_approved_in_the_inbox(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """What waits stands in the inbox with its arguments; approving it there lets it happen."""
    thread = _ran(sdk, "payment", _payment("Ada", 7, tmp_path))
    question = _question(browser, thread)

    text = _asking(browser, question)
    assert re.search(r"<dt>payee</dt><dd[^>]*>Ada</dd>", text)
    assert re.search(r"<dt>amount</dt><dd[^>]*>7</dd>", text)
    shown = browser.post(
        f"/ui/approvals/{question['id']}",
        data={"decision": "approve", "digest": question["digest"]},
    )
    sdk.runs.join(thread, sdk.runs.list(thread)[0]["run_id"])

    assert "Answered" in _toast(shown.text)
    assert (tmp_path / "paid").read_text() == "Ada 7\n"


def test_an_edit_in_the_form_is_what_is_paid(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """Only what was changed in the form of the arguments is changed; the rest is paid as it was asked about."""
    thread = _ran(sdk, "payment", _payment("Dee", 900, tmp_path))
    question = _question(browser, thread)
    fields = dict(re.findall(r'name="(value:\w+)"[^>]*value="([^"]*)"', _asking(browser, question)))
    assert fields["value:amount"] == "900"

    edit = {**fields, "value:amount": "9", "decision": "edit", "digest": question["digest"]}
    browser.post(f"/ui/approvals/{question['id']}", data=edit)
    sdk.runs.join(thread, sdk.runs.list(thread)[0]["run_id"])

    assert (tmp_path / "paid").read_text() == "Dee 9\n"


def test_an_argument_that_does_not_fit_is_told_at_its_field(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """What was typed stays in the form, with what is wrong; nothing is answered."""
    thread = _ran(sdk, "payment", _payment("Fay", 3, tmp_path))
    question = _question(browser, thread)

    refused = browser.post(
        f"/ui/approvals/{question['id']}",
        data={"decision": "edit", "value:payee": "Fay", "value:amount": "lots"},
    )

    assert refused.status_code == 422
    assert 'value="lots"' in refused.text
    assert "This is not a whole number." in refused.text
    assert _question(browser, thread)["status"] == "open"


def test_the_second_of_two_answers_is_told_why(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """Who is late sees by whom it was answered, and nothing happens twice."""
    thread = _ran(sdk, "payment", _payment("Bob", 1, tmp_path))
    question = _question(browser, thread)
    path = f"/ui/approvals/{question['id']}"
    browser.post(path, data={"decision": "reject", "message": "no"})

    late = browser.post(path, data={"decision": "approve"})

    assert late.status_code == 409
    assert "answered by loopback" in late.text
    assert 'value="approve"' not in _article(late.text)
    assert not (tmp_path / "paid").exists()


def test_what_stands_beside_a_question_is_shown(
    browser: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """All that another application asks with is read where it is answered: in the inbox and on its thread's page."""
    thread = _ran(sdk, "tells", {"topic": "tea"})

    inbox = _asking(browser, _question(browser, thread))
    page = html.unescape(browser.get(f"/ui/threads/{thread}").text)

    for text in (inbox, page):
        assert re.search(r"Details.*amount: 20\ncustomer:\n +name: Ada", text, re.DOTALL)


def test_answering_leads_to_the_next_question(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """After an answer the question behind it is open, within the filters that were chosen."""
    threads = [_ran(sdk, "asks", {"topic": topic}) for topic in ("tea", "rain")]
    first, second = (_question(browser, each) for each in threads)

    shown = browser.post(
        f"/ui/approvals/{first['id']}",
        data={"decision": "value", "value": "good", "in:graph": "asks"},
    )

    assert f"open={second['id']}" in str(shown.url)
    assert "graph=asks" in str(shown.url)
    assert "What of rain?" in _article(shown.text)


def test_several_are_approved_at_once(
    browser: httpx.Client, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """What was chosen is approved as it was read; what was answered meanwhile is told, and hinders no other."""
    threads = [_ran(sdk, "payment", _payment(name, 2, tmp_path)) for name in ("Gus", "Hal", "Ivy")]
    questions = [_question(browser, each) for each in threads]
    browser.post(f"/ui/approvals/{questions[0]['id']}", data={"decision": "reject"})

    chosen = [f"{each['id']}:{each['digest']}" for each in questions]
    shown = browser.post("/ui/approvals/answers", data={"decision": "approve", "chosen": chosen})
    for each in threads[1:]:
        sdk.runs.join(each, sdk.runs.list(each)[0]["run_id"])

    assert "Answered 2 questions. 1 thread refused" in _toast(shown.text)
    assert sorted((tmp_path / "paid").read_text().splitlines()) == ["Hal 2", "Ivy 2"]


def test_a_dead_letter_tells_its_cause_and_is_discarded(
    browser: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """A letter shows why its run died and what a replay does; it is replayed, and discarded with a reason only."""
    thread = _ran(sdk, "fails", {"said": "wolf"})
    letter = _letter(browser, thread)

    listed = browser.get("/ui/letters?kind=bug&graph=fails").text
    assert "cannot answer &#39;wolf&#39;" in listed
    assert "</code> · wolf · in " in listed  # of which thread
    text = html.unescape(browser.get(f"/ui/letters/{letter['id']}").text)
    assert "because the same code would fail again" in text
    assert "It fails again unless the code, or what it works on, has changed." in text
    browser.post(f"/ui/letters/{letter['id']}/replay", data={"reason": "once more"})
    sdk.runs.join(thread, letter["run_id"])
    second = _letter(browser, thread)

    path = f"/ui/letters/{second['id']}/discard"
    assert browser.post(path, data={"reason": ""}).status_code == 422
    shown = browser.post(path, data={"reason": "nobody needs it"})
    assert _toast(shown.text) == "Discarded"
    assert "nobody needs it" in shown.text
    assert "once more" in browser.get("/ui/letters?status=replayed").text


def test_several_letters_are_discarded_at_once(
    browser: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """What was chosen is discarded; a letter that was closed meanwhile is told, and hinders no other."""
    threads = [_ran(sdk, "fails", {"said": each}) for each in ("one", "two", "three")]
    letters = [_letter(browser, each)["id"] for each in threads]
    browser.post(f"/ui/letters/{letters[0]}/discard", data={"reason": "first"})

    given = {"what": "discard", "reason": "all of them", "chosen": letters}
    shown = browser.post("/ui/letters", data=given)

    assert "Discarded 2 letters; refused: " in _toast(shown.text)
    left = [each["id"] for each in browser.get("/letters").json()]
    assert not set(left) & set(letters)


def test_a_repair_is_seen_on_its_letter(browser: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """A repair begins on the letter's page, which shows what it found and where to answer it."""
    thread = _ran(sdk, "fails", {"said": "mend me"})
    letter = _letter(browser, thread)

    path = f"/ui/letters/{letter['id']}"
    begun = browser.post(f"{path}/repair", data={"hint": "it was fine yesterday"}).text
    (mender,) = re.findall(r'href="/ui/threads/([^"]+)">Repair of', begun)
    sdk.runs.join(mender, sdk.runs.list(mender)[0]["run_id"])
    text = browser.get(path).text

    assert "No change was found that helps the dead run of fails." in text
    assert re.search(r'href="/ui/approvals\?open=\w+"', text)


def test_a_budget_is_set_by_a_form(browser: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """Limits are stored as the form gives them; one that is emptied holds no more; a bar tells what is left."""
    _ran(sdk, "echo", {"said": "much"})
    path = "/ui/budgets/graph/echo"

    shown = browser.post(path, data={"steps": "1,000", "usd": "2.5"})
    assert "Stored" in _toast(shown.text)
    assert browser.get("/budgets/graph/echo").json()["limits"] == {"usd": 2.5, "steps": 1000}
    assert re.search(r'aria-label="steps: \d+ spent, 0 held, of 1,000"', browser.get(path).text)

    browser.post(path, data={"steps": "", "usd": "2.5"})
    assert browser.get("/budgets/graph/echo").json()["limits"] == {"usd": 2.5}
    wrong = browser.post(path, data={"usd": "a lot"})
    assert wrong.status_code == 422
    assert "usd: &#39;a lot&#39; is no number." in wrong.text
    assert 'value="a lot"' in wrong.text

    browser.post(path, data={})
    assert browser.get("/budgets/graph/echo").json()["limits"] == {}


def test_the_switch_says_what_it_stops_before_it_is_thrown(
    browser: httpx.Client, sdk: SyncLangGraphClient
) -> None:
    """What would stop is counted; thrown with a reason it stands on the page of budgets until it is lifted."""
    _ran(sdk, "asks", {"topic": "switches"})
    path = "/ui/budgets/switch"
    waiting = len([x for x in browser.get("/approvals").json() if x["graph"] == "asks"])

    said = browser.get(path, params={"scope": "graph", "name": "asks"}).text
    assert re.search(rf">\s*Stop this graph: {waiting} runs?<", re.sub(r"<svg.*?</svg>", "", said))
    _ran(sdk, "echo", {"said": "hello"})
    idle = browser.get(f"{path}?scope=graph&name=echo").text
    assert "nothing runs now" in idle
    assert "ever ran here" not in idle
    assert "ever ran here. Is the name right?" in browser.get(f"{path}?scope=graph&name=ask").text
    assert "Write which graph it is for" in browser.get(f"{path}?scope=graph&name=").text
    assert browser.post(path, data={"scope": "graph", "name": "asks"}).status_code == 422
    assert browser.get("/kills").json() == []

    shown = browser.post(path, data={"scope": "graph", "name": "asks", "reason": "they go round"})
    (kill,) = browser.get("/kills").json()
    assert (kill["name"], kill["reason"]) == ("asks", "they go round")
    assert "Graph asks is stopped" in shown.text
    assert "they go round" in shown.text
    lifted = browser.post(f"{path}/{kill['id']}/lift", data={"reason": "they do not"})
    assert "is stopped" not in lifted.text
    assert browser.get("/kills").json() == []


def test_workers_and_their_queue_are_shown(browser: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """The page tells who works, that nothing is queued, what ended in the last hour, and which crons are set."""
    _ran(sdk, "echo", {"said": "for the chart"})
    cron: dict[str, Any] = {
        **sdk.crons.create("echo", schedule="0 7 * * 1-5", input={"said": "good morning"})
    }

    text = browser.get("/ui/workers").text
    sdk.crons.delete(cron["cron_id"])

    assert re.search(r"\d of 8</span>", text)
    assert "all graphs" in text
    assert "Nothing is queued." in text
    assert "0 7 * * 1-5" in text
    ended = re.search(r"<caption>Ended, a minute</caption>.*?</table>", text, re.DOTALL)
    assert ended
    assert sum(int(each) for each in re.findall(r"<td>(\d+)</td>", ended[0])) >= 1


def test_the_policy_says_which_rule_decides(browser: httpx.Client) -> None:
    """Of an act that cannot be undone the page says that a person is asked, by which rule, and from where it knows."""
    text = browser.get("/ui/policies").text
    assert "No file: what Interlock holds by itself" in text
    assert "This one decides." not in text

    said = browser.get("/ui/policies", params={"action": "pay", "amount": "7"}).text
    assert re.search(r'<div class="pad verdict verdict-ask"', said)
    assert re.search(r"reversible <strong>no</strong> \(declared\)", said)
    assert re.search(r"amount <strong>7.0</strong> \(given\)", said)
    assert said.count("This one decides.") == 1
    undone = browser.get("/ui/policies", params={"action": "pay", "reversible": "yes"}).text
    assert re.search(r'<div class="pad verdict verdict-allow"', undone)

    wrong = browser.get("/ui/policies", params={"action": "pay", "amount": "much"})
    assert wrong.status_code == 422
    assert "amount: &#39;much&#39; is no number." in wrong.text


def test_failures_stand_in_groups(browser: httpx.Client, sdk: SyncLangGraphClient) -> None:
    """What was raised in one place is one case, however often, with its letters; a chart tells when."""
    for number in range(2):
        _ran(sdk, "fails", {"said": f"case {number}"})

    text = html.unescape(browser.get("/ui/failures").text)
    (group,) = re.findall(r'<section class="card" id="kind-bug".*?</section>', text, re.DOTALL)
    assert "A node raised something else." in group
    assert group.count("<tr>") == 2  # the head, and one case
    assert "cannot answer 'case 1'" in group
    assert "/ui/letters?kind=bug&graph=fails" in group
    assert re.search(r"<caption>Runs that failed</caption>", text)
    assert "Nothing failed" not in browser.get("/ui/failures?span=month").text
    assert browser.get("/ui/failures?span=year").status_code == 422


def _payment(payee: str, amount: int, folder: Path) -> dict[str, Any]:
    return {"payee": payee, "amount": amount, "ledger": str(folder / "paid")}


def _ran(sdk: SyncLangGraphClient, graph: str, given: dict[str, Any]) -> str:
    """Run a graph on a new thread until it ends or waits, and return the thread."""
    thread = sdk.threads.create()["thread_id"]
    sdk.runs.wait(thread, graph, input=given, raise_error=False)
    return thread


def _question(browser: httpx.Client, thread: str) -> dict[str, Any]:
    (question,) = browser.get("/approvals", params={"thread_id": thread}).json()
    return dict(question)


def _letter(browser: httpx.Client, thread: str) -> dict[str, Any]:
    (letter,) = [each for each in browser.get("/letters").json() if each["thread_id"] == thread]
    return dict(letter)


def _asking(browser: httpx.Client, question: dict[str, Any]) -> str:
    return _article(browser.get(f"/ui/approvals/{question['id']}").text)


def _article(text: str) -> str:
    """Return the question that a page shows in full."""
    found = re.search(r"<article.*?</article>", text, re.DOTALL)
    assert found, text
    return html.unescape(found[0])


def _toast(text: str) -> str:
    found = re.search(r'<p class="toast">.*?</svg>(.*?)</p>', text, re.DOTALL)
    return html.unescape(found[1]) if found else ""
