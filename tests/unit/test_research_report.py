"""The report: numbered sources, text that cannot become markup, quotations that anyone can check."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.corpus import Ingested, Location, Skipped
from interlock.core.offline import NOTICE
from nodes.research.report import report_data, report_sha256, to_html, to_markdown
from nodes.research.report.data import ReportData, waves
from state.research import (
    Draft,
    Fault,
    Finding,
    Outcome,
    ResearchState,
    Section,
    Sentence,
    Task,
)

CHECK = Path(__file__).parents[1] / "check_quotations.py"
OFFLINE, MODEL = "offline:extractive", "openai:gpt-5"
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) `b` # h'


def _finding(
    name: str, quote: str, *, source: str = "box.txt", first: int = 1, last: int = 1
) -> Finding:
    return Finding(
        id=name,
        task="levers",
        claim=quote,
        quote=quote,
        document=source,
        source=source,
        title="The signal box",
        location=Location(kind="line", first=first, last=last),
    )


def _state(*findings: Finding, heading: str = "Levers", text: str | None = None) -> ResearchState:
    sentences = [Sentence(text=text or f["claim"], citations=[f["id"]]) for f in findings]
    return ResearchState(
        question="How do levers lock?",
        sources=["docs"],
        library=Ingested(
            collection="c",
            documents=3,
            added=3,
            unchanged=0,
            removed=0,
            passages=9,
            skipped=[Skipped(source="old.zip", reason="an archive")],
        ),
        plan=[
            Task(id="levers", question="What are levers?", criteria=["a", "b"], needs=[]),
            Task(id="locks", question="How do they lock?", criteria=["c"], needs=["levers"]),
        ],
        findings=list(findings),
        outcomes={
            "levers": Outcome(
                task="levers",
                status="partial",
                attempts=1,
                strategy="focused",
                queries=["levers"],
                unmet=["b"],
                reason="not met: b",
            )
        },
        draft=Draft(
            title="On levers",
            sections=[Section(heading=heading, sentences=sentences)],
            unknown=["Who built it."],
            disagreements=["One says 20, one says 24."],
        ),
        faults=[Fault(by="critic", kind="objection", sentence="", reason="It is dry.")],
        dropped=[Fault(by="verifier", kind="unrelated", sentence="It is red.", reason="Not said.")],
    )


def _data(*findings: Finding, model: str = OFFLINE) -> ReportData:
    return report_data(_state(*findings), model=model)


ONE = _finding("f1", "Levers lock each other\n   by tappets.", first=3, last=4)
SAME = _finding("f2", "Levers lock each other\n   by tappets.", first=3, last=4)
OTHER = _finding("f3", "A wire moves the signal.", source="wire.txt", first=12, last=12)


# --- data --------------------------------------------------------------------------------------


def test_sources_are_numbered_as_they_are_cited() -> None:
    """A quotation that two findings hold has one number, and unknown citations have none."""
    state = _state(OTHER, ONE, SAME)
    state["draft"]["sections"][0]["sentences"].append(Sentence(text="x", citations=["f9", "f1"]))
    report = report_data(state, model=OFFLINE)

    assert [sentence.numbers for sentence in report.parts[0].sentences] == [(1,), (2,), (2,), (2,)]
    assert [(s.number, s.source, s.place) for s in report.sources] == [
        (1, "wire.txt", "line 12"),
        (2, "box.txt", "lines 3\u20134"),
    ]


def test_the_plan_is_shown_as_it_stands() -> None:
    """Criteria are met unless they are listed as unmet; a task without an outcome was not given out."""
    tasks = _data(ONE).tasks

    assert [(task.id, task.standing) for task in tasks] == [
        ("levers", "partial"),
        ("locks", "waiting"),
    ]
    assert [c.met for task in tasks for c in task.criteria] == [True, False, False]
    assert [[task.id for task in wave] for wave in waves(tasks)] == [["levers"], ["locks"]]


def test_the_same_run_has_the_same_digest() -> None:
    """The digest that a person approves is that of the report, and of no other."""
    assert report_sha256(_data(ONE)) == report_sha256(_data(ONE))
    assert report_sha256(_data(ONE)) != report_sha256(_data(OTHER))
    assert report_sha256(_data(ONE)) != report_sha256(_data(ONE, model=MODEL))


# --- Markdown ----------------------------------------------------------------------------------


def test_a_report_in_markdown_says_everything() -> None:
    """Sections, sources, gaps, disagreements, what was dropped, the plan and the skipped files are there."""
    assert to_markdown(_data(ONE)) == EXPECTED


EXPECTED = f"""# On levers

> **{NOTICE}.** No language model wrote this: rules chose sentences of the sources by their words, and ordered them. Every sentence below is a quotation.

**Question:** How do levers lock?

## Levers

Levers lock each other by tappets. [1]

## What is not known

- Who built it.

## Where sources disagree

- One says 20, one says 24.

## What the critic still objects to

- It is dry.

## Left out

- It is red. (Not said.)

## Sources

### [1] The signal box

Source: `box.txt`, lines 3\u20134

```text
Levers lock each other by tappets.
```

## The plan

1 of 3 criteria are met.

- `levers`: What are levers? **answered in part**
  - [x] a
  - [ ] b
- `locks`: How do they lock? **not given out**, after `levers`
  - [ ] c

## Files that were not read

- old.zip: an archive

## How this report was made

From 3 documents (9 passages), by `offline:extractive`. Each quotation (1) was found word for word at its place in its source, and each number in a sentence in the quotations that the sentence cites.

> **{NOTICE}.** No language model wrote this: rules chose sentences of the sources by their words, and ordered them. Every sentence below is a quotation.
"""  # noqa: E501 - the report as it is


def test_only_offline_reports_say_that_they_are() -> None:
    """The notice stands first and last in each offline report, and in no other."""
    offline, written = _data(ONE), _data(ONE, model=MODEL)

    assert (to_markdown(offline).count(NOTICE), to_markdown(written).count(NOTICE)) == (2, 0)
    assert (to_html(offline).count(NOTICE), to_html(written).count(NOTICE)) == (2, 0)


def test_text_of_sources_cannot_become_markdown() -> None:
    """Links, pictures, headings and tags of a source show as characters."""
    state = _state(ONE, heading=EVIL, text=f"# {EVIL}")
    text = to_markdown(report_data(state, model=OFFLINE))

    assert re.search(r"(?<!\\)<(?!!)", text) is None
    assert r"\[a\](javascript:alert(1))" in text
    assert "\n# <" not in text
    assert "\n\\# " in text


def test_code_in_quotations_keeps_its_lines() -> None:
    """Where lines are indented on their own account, they are not joined."""
    quote = "Pull it:\n\n       def pull():\n           return 1"

    assert "\n```text\nPull it:\n\n" in to_markdown(_data(_finding("f1", quote)))
    assert "\n       def pull():\n           return 1\n```" in to_markdown(
        _data(_finding("f1", quote))
    )


def _check(report: Path, sources: Path) -> tuple[int, str]:
    command = [sys.executable, str(CHECK), str(report), str(sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("Levers lock   each other by\ntappets.", 0, "2 of 2 quotations verbatim\n"),
        (
            "Levers lock each other with tappets.",
            1,
            "NOT in box.txt: Levers lock each other by tappets.\n1 of 2 quotations verbatim\n",
        ),
    ],
)
def test_anyone_can_check_the_quotations(
    tmp_path: Path, content: str, code: int, said: str
) -> None:
    """A few lines without our code find each quotation of a report in its file, or say which is not there."""
    (tmp_path / "box.txt").write_text(content, encoding="utf-8")
    (tmp_path / "wire.txt").write_text("A wire moves the signal.", encoding="utf-8")
    report = tmp_path / "report.md"
    report.write_text(to_markdown(_data(ONE, OTHER)), encoding="utf-8")

    assert _check(report, tmp_path) == (code, said)


def test_a_report_without_quotations_does_not_pass_the_check(tmp_path: Path) -> None:
    """Nothing to check is no success."""
    report = tmp_path / "report.md"
    report.write_text("# Empty\n", encoding="utf-8")

    assert _check(report, tmp_path) == (1, "0 of 0 quotations verbatim\n")


# --- HTML --------------------------------------------------------------------------------------


class _Reader(HTMLParser):
    """Reads a page as a browser does: its tags, ids, targets and visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "path", "rect", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self.open[-1:] == ["style"] else data

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name))]


def test_the_page_is_sound() -> None:
    """Tags close, ids are unique, and what is linked or described is there."""
    page = _Reader(to_html(_data(ONE, OTHER, SAME)))
    ids = page.values("id")
    wanted = [href.removeprefix("#") for href in page.values("href")]

    assert page.open == []
    assert len(ids) == len(set(ids))
    assert set(wanted) | set(page.values("aria-describedby")) <= set(ids)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, no picture, no font: the policy lets in this style sheet and nothing else."""
    text = to_html(_data(ONE))
    page = _Reader(text)
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe", "form", "object"}
    assert not re.search(r"@import|url\(", style)
    assert not page.values("style")
    assert page.values("content")[0] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@given(st.text(min_size=1), st.sampled_from((OFFLINE, MODEL)))
def test_no_text_becomes_markup(text: str, model: str) -> None:
    """Whatever a source, a person or a model says, the page keeps its tags."""
    evil = _finding("f1", f"{EVIL} {text}", source=f"{EVIL}{text}")
    state = _state(evil, heading=f"{EVIL} {text}")
    state["question"] = state["draft"]["title"] = f"{EVIL} {text}"
    state["draft"]["unknown"] = [f"{EVIL} {text}"]
    plain = _state(_finding("f1", "a b", source="c"), heading="d")
    page, other = (_Reader(to_html(report_data(each, model=model))) for each in (state, plain))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in other.tags]


def test_only_addresses_in_the_web_are_linked() -> None:
    """A source that is an address is a link; a path or another scheme is text."""
    web = _data(_finding("f1", "A b.", source="https://example.org/a?b=1&c=2"))
    other = _data(_finding("f1", "A b.", source="javascript:alert(1)"))

    assert "https://example.org/a?b=1&c=2" in _Reader(to_html(web)).values("href")
    assert all(href.startswith("#") for href in _Reader(to_html(other)).values("href"))


def test_each_citation_shows_its_quotation_and_leads_to_its_source() -> None:
    """The card beside a citation has the quotation and its place, for the mouse and the keyboard."""
    text = to_html(_data(ONE, OTHER))

    assert (
        '<a class="cite" id="cited-2" href="#source-2" aria-describedby="tip-2">2</a>'
        '<span class="tip"><span class="card" id="tip-2">'
        '<span class="quote">A wire moves the signal.</span>'
        '<span class="where">wire.txt, line 12</span></span></span>'
    ) in text
    assert ".cite:focus-visible + .tip" in text


def test_the_plan_is_a_picture_with_words() -> None:
    """Who cannot see the picture is told of it, and of how many criteria are met."""
    labels = _Reader(to_html(_data(ONE))).values("aria-label")

    assert "The plan. levers: answered in part; locks: not given out, after levers." in labels
    assert "1 of 3 criteria are met" in labels
