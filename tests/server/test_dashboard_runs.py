"""The dashboard's own pages as a browser without scripts gets them: lists, forms, what goes wrong, what is refused."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from langgraph_sdk.client import SyncLangGraphClient

import interlock
from tests.server.conftest import SAMPLE


@pytest.fixture
def browser(server: str) -> Iterator[httpx.Client]:
    """Something that asks for pages, and follows where forms lead."""
    with httpx.Client(base_url=server, follow_redirects=True, timeout=60) as client:
        yield client


def test_a_run_is_started_by_a_form_without_scripts(browser: httpx.Client) -> None:
    """The form of a graph's input starts a run, and leads to its thread, which shows how it ended."""
    started = browser.post("/ui/start/echo", data={"value:said": "live on time"})

    assert started.status_code == 200
    assert "/ui/threads/" in str(started.url)
    ended = _until(browser, _path(started), "succeeded")
    state = browser.get(f"{_path(started)}?view=state").text
    assert "live on time" in ended
    assert "emit no evil" in state


def test_what_is_wrong_stands_beside_its_field(browser: httpx.Client) -> None:
    """A value that does not fit is told at its field, with what was given still there, and nothing is started."""
    given = {"value:count": "many", "value:seconds": "0.5"}
    refused = browser.post("/ui/start/steps", data=given)

    assert refused.status_code == 422
    assert "This is not a whole number." in _field(refused.text, "count")
    assert 'value="many"' in _field(refused.text, "count")
    assert 'value="0.5"' in _field(refused.text, "seconds")
    assert "hidden" in _field(refused.text, "seconds").partition('class="fault"')[2]


def test_runs_are_found_by_text_graph_and_status(browser: httpx.Client) -> None:
    """The list shows what fits the text, the graph and the status, and says so when nothing does."""
    thread = _path(browser.post("/ui/start/echo", data={"value:said": "a very rare pangolin"}))
    other = _path(browser.post("/ui/start/fails", data={"value:said": "a rare failure"}))
    _until(browser, thread, "succeeded")
    _until(browser, other, "dead")

    assert _listed(browser.get("/ui/?q=PANGOLIN").text) == [thread]
    assert _listed(browser.get("/ui/?q=rare&status=failed").text) == [other]
    assert _listed(browser.get("/ui/?q=rare&graph=echo").text) == [thread]
    assert _listed(browser.get(f"/ui/?q={thread.rpartition('/')[2][:13]}").text) == [thread]
    assert "Nothing fits" in browser.get("/ui/?q=wombat").text
    assert browser.get("/ui/?status=odd").status_code == 422


def test_the_list_is_read_page_by_page(
    browser: httpx.Client, sync_client: SyncLangGraphClient
) -> None:
    """Each page leads to the next, no thread is listed twice, and none is left out."""
    made = {
        f"/ui/threads/{sync_client.threads.create(metadata={'graph_id': 'nested'})['thread_id']}"
        for _ in range(30)
    }
    seen: list[str] = []
    address = "/ui/"
    while address:
        text = browser.get(address).text
        seen += _listed(text)
        found = re.search(r'<a href="([^"]+)" rel="next"', text)
        address = html.unescape(found[1]) if found else ""

    assert len(seen) == len(set(seen))
    assert made <= set(seen)


def test_an_interrupt_is_answered_on_the_page(browser: httpx.Client) -> None:
    """A graph's own interrupt is answered with text, and the next question appears; then the run comes to its end."""
    thread = _path(browser.post("/ui/start/asks", data={"value:topic": "tea"}))
    text = _until(browser, thread, "waiting")
    assert "What of tea?" in text

    _answer(browser, thread, text, "it is good")
    text = _until(browser, thread, "And now?")
    _answer(browser, thread, text, "pour it")
    _until(browser, thread, "succeeded")

    state = browser.get(f"{thread}?view=state").text
    assert "- it is good" in state
    assert "- pour it" in state


def test_the_second_of_two_answers_is_refused(browser: httpx.Client) -> None:
    """An answer to a question that was answered meanwhile is told to be late."""
    thread = _path(browser.post("/ui/start/asks", data={"value:topic": "rain"}))
    text = _until(browser, thread, "What of rain?")
    _answer(browser, thread, text, "wet")
    _until(browser, thread, "And now?")

    late = browser.post(f"{thread}/answer", data={"question": _question(text), "decision": "value"})

    assert late.status_code == 404
    assert "not open any more" in late.text


def test_a_run_is_cancelled_and_says_so(browser: httpx.Client) -> None:
    """What runs is cancelled by a button, and the page shows it."""
    thread = _path(
        browser.post("/ui/start/steps", data={"value:count": "90", "value:seconds": "1"})
    )
    _until(browser, thread, "running")

    shown = browser.post(f"{thread}/cancel")

    assert _status(shown.text) == "cancelled"
    assert "Cancelled" in _toast(shown.text)


def test_a_run_is_killed_and_resumed_when_the_switch_is_lifted(browser: httpx.Client) -> None:
    """The kill switch stops a thread; resuming it while the switch stands is refused with the reason."""
    thread = _path(
        browser.post("/ui/start/steps", data={"value:count": "90", "value:seconds": "1"})
    )
    _until(browser, thread, "running")

    browser.post(f"{thread}/kill", data={"reason": "it went wrong"})
    _until(browser, thread, "killed")
    refused = browser.post(f"{thread}/resume")

    assert refused.status_code in (409, 422)
    assert "it went wrong" in refused.text


def test_a_dead_run_is_handed_to_the_workers_again(browser: httpx.Client) -> None:
    """Resuming what is dead replays its letter: it is tried again, and dies again."""
    thread = _path(browser.post("/ui/start/fails", data={"value:said": "again"}))
    text = _until(browser, thread, "dead")
    assert "cannot answer &#39;again&#39;" in text
    assert re.search(
        r'class="moment next broken".*<strong>fail</strong> <span class="soft">failed<', text
    )

    shown = browser.post(f"{thread}/resume")

    assert "Handed to the workers" in _toast(shown.text)
    _until(browser, thread, "dead")
    runs = browser.get(f"{thread}?view=runs").text
    assert '<td class="num" data-label="Attempts">2</td>' in runs


def test_a_long_thread_is_shown_part_by_part(browser: httpx.Client) -> None:
    """The newest steps are shown, and lead to older ones; a step that is named is shown wherever it stands."""
    thread = _path(browser.post("/ui/start/steps", data={"value:count": "150"}))
    newest = _until(browser, thread, "succeeded")
    assert ">100 of 152 steps<" in newest
    assert "step ran 150 times" in newest
    found = re.search(r'<a href="([^"]+)">[^<]*<svg.*?</svg> Older steps', newest)
    assert found is not None

    older = browser.get(html.unescape(found[1])).text

    assert len(_steps(newest)) == 100
    assert len(_steps(older)) == 52
    assert set(_steps(newest)).isdisjoint(_steps(older))
    chosen = browser.get(f"{thread}?at={_steps(older)[2]}").text
    assert "<h2>Step 1 · step</h2>" in chosen
    assert "step ran 150 times" in chosen


def test_nodes_inside_subgraphs_are_counted_and_drawn(browser: httpx.Client) -> None:
    """Without a look at their steps, and how often each ran."""
    started = {"value:count": "3", "value:seconds": "0"}
    thread = _path(browser.post("/ui/start/nested", data=started))
    drawn = _until(browser, thread, "succeeded")

    about = re.search(r'aria-label="The graph nested. Ran: ([^"]*?)\. ', drawn)
    assert about is not None
    assert set(about[1].split(", ")) == {"inner 1×", "after 1×", "inner/step 3×"}  # noqa: RUF001


def test_a_fork_changes_what_was_given(browser: httpx.Client) -> None:
    """Forking at the input with another value runs a new thread with it; the old one is as it was."""
    thread = _path(browser.post("/ui/start/echo", data={"value:said": "draw"}))
    at = _steps(_until(browser, thread, "succeeded"))[0]
    form = browser.get(f"{thread}/fork?at={at}").text
    assert 'value="draw"' in _field(form, "said")

    fork = _path(browser.post(f"{thread}/fork?at={at}", data={"value:said": "stressed"}))

    _until(browser, fork, "succeeded")
    assert "desserts" in browser.get(f"{fork}?view=state").text
    assert "ward" in browser.get(f"{thread}?view=state").text
    compared = browser.get(f"/ui/compare?a={_id(thread)}&b={_id(fork)}").text
    assert "desserts" in compared
    assert "They have" in compared
    tree = browser.get(f"{thread}?view=tree").text
    assert f'href="{fork}"' in tree


def test_a_fork_tells_what_it_does_while_it_does_it(
    browser: httpx.Client, sync_client: SyncLangGraphClient
) -> None:
    """What a fork's nodes tell can be looked on at, as that of a run that is started by a form."""
    thread = _path(browser.post("/ui/start/steps", data={"value:count": "1"}))
    at = _steps(_until(browser, thread, "succeeded"))[1]

    fork = _id(_path(browser.post(f"{thread}/fork?at={at}", data={"value:count": "3"})))
    run = sync_client.runs.list(fork)[0]["run_id"]
    told = [each.data for each in sync_client.runs.join_stream(fork, run) if each.event == "custom"]

    assert told == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_a_fork_that_does_not_fit_is_told_at_the_field(browser: httpx.Client) -> None:
    """A changed value of a wrong type is refused beside its field; a reducer's key says that it is added to."""
    thread = _path(browser.post("/ui/start/steps", data={"value:count": "2"}))
    at = _steps(_until(browser, thread, "succeeded"))[1]
    form = browser.get(f"{thread}/fork?at={at}").text
    assert "<strong>added</strong>" in _field(form, "done")

    given = {"value:count": "2", "value:done": '["x"]'}
    refused = browser.post(f"{thread}/fork?at={at}", data=given)

    assert refused.status_code == 422
    assert "valid integer" in _field(refused.text, "done")


def test_what_is_told_is_never_taken_for_markup(browser: httpx.Client) -> None:
    """Text of people and models is shown as text, wherever it stands."""
    bad = "<script>alert(1)</script>"
    thread = _path(browser.post("/ui/start/echo", data={"value:said": bad}))
    _until(browser, thread, "succeeded")

    for view in ("steps", "state", "tree", "runs"):
        text = browser.get(f"{thread}?view={view}").text
        assert bad not in text
        assert html.escape(bad) in text
    assert bad not in browser.get("/ui/").text


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(browser: httpx.Client) -> None:
    """The policy of a page allows its own files alone, and no page needs more than that."""
    answer = browser.get("/ui/start/echo")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r'(?:src|href)="(?:https?:)?//', answer.text) == []
    assert re.findall(r"<[^>]+ (?:style|on[a-z]+)=", answer.text) == []


def test_files_are_kept_by_their_content(browser: httpx.Client) -> None:
    """A file's address names its version and is kept for good; under another version it is not kept."""
    address = re.search(r'href="(/ui/static/([0-9a-f]+)/app\.css)"', browser.get("/ui/").text)
    assert address is not None

    kept = browser.get(address[1])
    other = browser.get(address[1].replace(address[2], "0" * 12))

    assert kept.headers["content-type"].startswith("text/css")
    assert "immutable" in kept.headers["cache-control"]
    assert "no-store" in other.headers["cache-control"]
    assert browser.get("/ui/static/x/..%2Froutes.py").status_code == 404


def test_a_page_that_is_not_there_leads_back(browser: httpx.Client) -> None:
    """A wrong address, and a thread that is not there, are told as a page with a way on."""
    for path in ("/ui/nowhere", "/ui/threads/none-such", "/ui/start/nothing"):
        answer = browser.get(path)

        assert answer.status_code == 404
        assert 'href="/ui/">' in answer.text
        assert answer.headers["content-type"].startswith("text/html")


def test_a_part_of_a_page_is_asked_for_alone(browser: httpx.Client) -> None:
    """The header `X-Fragment` gets one block, without the page around it."""
    part = browser.get("/ui/", headers={"X-Fragment": "list"}).text

    assert "<html" not in part
    assert "<main" not in part
    assert part.strip().startswith(("<table", '<div class="empty"'))


def test_a_thread_with_an_odd_name_has_its_page(
    browser: httpx.Client, server_database: str
) -> None:
    """Slashes, spaces and signs in a thread's name do not keep it from its page."""
    name = "orders/2026 ~ <7>?#%2F"
    with interlock.open(config=SAMPLE, url=server_database) as il:
        il.submit("echo", {"said": "an odd one"}, thread_id=name)

    (thread,) = _listed(browser.get("/ui/?q=an odd one").text)
    _until(browser, html.unescape(thread), "succeeded")
    assert html.escape(name) in browser.get(html.unescape(thread)).text


def test_a_thread_of_a_graph_that_is_gone_tells_how_it_ended(
    browser: httpx.Client, server_database: str
) -> None:
    """Its steps take the graph; its status does not, and nobody is told that nothing was run."""
    name = "of a graph that is gone"
    with interlock.open(config=SAMPLE, url=server_database) as il:
        il.invoke("echo", {"said": "still here"}, thread_id=name)
    with psycopg.connect(server_database, autocommit=True) as connection:
        connection.execute(
            "update interlock.threads set graph = 'gone' where thread_id = %s", [name]
        )
        connection.execute("update interlock.runs set graph = 'gone' where thread_id = %s", [name])

    text = html.unescape(browser.get(f"/ui/threads/{name}").text)

    assert _status(text) == "succeeded"
    assert "Its steps cannot be read here: There is no graph 'gone'" in text
    assert "No step can be shown" in text


def _until(browser: httpx.Client, thread: str, wanted: str) -> str:
    """Return a thread's page as soon as its status, or anything on it, is what is wanted; its events are waited for."""
    with browser.stream("GET", f"{thread}/events") as events:
        text = browser.get(thread).text
        lines = events.iter_lines()
        while not (_status(text) == wanted or wanted in _told(text)):
            if next((line for line in lines if line.startswith("event:")), None) is None:
                text = browser.get(thread).text
                break
            text = browser.get(thread).text
    assert _status(text) == wanted or wanted in text, (wanted, _status(text))
    return text


def _told(text: str) -> str:
    """Return what a thread's page tells above its views; the links beside it say “waiting” on every page."""
    return text.partition("<main")[2].partition('class="thread')[0]


def _path(answer: httpx.Response) -> str:
    return answer.url.path


def _id(thread: str) -> str:
    return thread.rpartition("/")[2]


def _status(text: str) -> str:
    found = re.search(r'class="status status-(\w+)"', text)
    return found[1] if found else ""


def _toast(text: str) -> str:
    return text.partition('id="toasts"')[2].partition("</div>")[0]


def _listed(text: str) -> list[str]:
    return re.findall(r'class="full what"><a class="[^"]*" href="([^"]+)"', text)


def _steps(text: str) -> list[str]:
    return re.findall(r'id="step-([0-9a-f-]+)"', text)


def _field(text: str, key: str) -> str:
    return text.partition(f'id="box-{key}"')[2].partition('class="field"')[0]


def _question(text: str) -> str:
    found = re.search(r'name="question" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def _answer(browser: httpx.Client, thread: str, text: str, said: str) -> None:
    data = {"question": _question(text), "decision": "value", "value": said}
    assert browser.post(f"{thread}/answer", data=data).status_code == 200
