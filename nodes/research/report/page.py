"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

All text is escaped; the style sheet is the only thing that the page's own policy lets in, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from interlock.core.offline import NOTICE
from nodes.research.report.data import CitedSentence, Part, PlanTask, ReportData, Source
from nodes.research.report.markdown import MADE_OFFLINE, STANDINGS, paragraphs
from nodes.research.report.picture import plan_picture

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def to_html(report: ReportData) -> str:
    """Return the report as one HTML page."""
    page = _Page(report)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#report">Skip to the report</a>\n'
        f"{''.join(page.body())}</body>\n</html>\n"
    )


class _Page:
    """One page while it is put together; it knows where each source is first cited."""

    def __init__(self, report: ReportData) -> None:
        self._report = report
        self._first: set[int] = set()

    def body(self) -> Iterator[str]:
        """Yield the page from top to bottom."""
        report = self._report
        yield from (self._header(), self._contents())
        yield '<main id="report">\n'
        for number, part in enumerate(report.parts, start=1):
            yield self._part(number, part)
        yield _list("unknown", "What is not known", report.unknown)
        yield _list("disagreements", "Where sources disagree", report.disagreements)
        yield _list("objections", "What the critic still objects to", report.objections)
        left_out = (f"{each.sentence} \u2014 {each.reason}" for each in report.left_out)
        yield _list("left-out", "Left out", left_out)
        yield self._plan()
        yield self._sources()
        skipped = (f"{each.source}: {each.reason}" for each in report.skipped)
        yield _list("skipped", "Files that were not read", skipped)
        yield self._making()
        yield "</main>\n"

    def _header(self) -> str:
        report = self._report
        documents = len({source.source for source in report.sources})
        met = sum(criterion.met for criterion in report.criteria)
        facts = (
            (str(len(report.sources)), "quotations, each verbatim"),
            (str(documents), f"of {report.documents:,} documents cited"),
            (f"{met}/{len(report.criteria)}", "criteria met"),
        )
        shown = "".join(f"<li><b>{escape(a)}</b> {escape(b)}</li>" for a, b in facts)
        return (
            f'<header><p class="eyebrow">Research report</p>\n<h1>{escape(report.title)}</h1>\n'
            f'<p class="question">{escape(report.question)}</p>\n'
            f'<ul class="facts">{shown}</ul>\n{self._notice()}</header>\n'
        )

    def _notice(self) -> str:
        if not self._report.offline:
            return ""
        return f'<p class="notice"><strong>{escape(NOTICE)}.</strong> {escape(MADE_OFFLINE)}</p>\n'

    def _contents(self) -> str:
        report = self._report
        headings = [(f"part-{n}", part.heading) for n, part in enumerate(report.parts, start=1)]
        if report.unknown:
            headings.append(("unknown", "What is not known"))
        headings += [("plan", "The plan"), ("sources", "Sources")]
        items = "".join(f'<li><a href="#{a}">{escape(b)}</a></li>' for a, b in headings)
        return f'<nav aria-label="Contents"><ol>{items}</ol></nav>\n'

    def _part(self, number: int, part: Part) -> str:
        lead = ' class="lead"' if number == 1 and len(part.sentences) <= 4 else ""
        text = "".join(
            f"<p>{' '.join(map(self._sentence, paragraph))}</p>\n"
            for paragraph in paragraphs(self._report, part)
        )
        return f'<section id="part-{number}"{lead}>\n<h2>{escape(part.heading)}</h2>\n{text}</section>\n'

    def _sentence(self, sentence: CitedSentence) -> str:
        cited = "".join(map(self._citation, sentence.numbers))
        words = escape(" ".join(sentence.text.split())).rsplit(" ", 1)
        start, last = (words[0] + " ", words[1]) if len(words) > 1 else ("", words[0])
        return f'<span class="said">{start}<span class="last">{last}{cited}</span></span>'

    def _citation(self, number: int) -> str:
        source = self._report.sources[number - 1]
        mark = "" if number in self._first else f' id="cited-{number}"'
        self._first.add(number)
        return (
            f'<a class="cite"{mark} href="#source-{number}" aria-describedby="tip-{number}">'
            f"{number}</a>"
            f'<span class="tip"><span class="card"{_named(f"tip-{number}", mark)}>'
            f'<span class="quote">{escape(" ".join(source.quote.split()))}</span>'
            f'<span class="where">{escape(source.source)}, {escape(source.place)}</span>'
            "</span></span>"
        )

    def _plan(self) -> str:
        report = self._report
        if not report.tasks:
            return ""
        met = sum(criterion.met for criterion in report.criteria)
        total = len(report.criteria)
        pieces = "".join(
            f'<i class="{"met" if each.met else "unmet"}"></i>' for each in report.criteria
        )
        tasks = "".join(map(_task, report.tasks))
        return (
            '<section id="plan" class="apparatus">\n<h2>The plan</h2>\n'
            f'<div class="picture" tabindex="0" role="group" aria-label="Picture of the plan">'
            f"{plan_picture(report)}</div>\n"
            f'<p class="count"><b>{met} of {total}</b> criteria are met</p>'
            f'<div class="bar" role="img" aria-label="{met} of {total} criteria are met">{pieces}</div>\n'
            f'<ul class="tasks">{tasks}</ul>\n</section>\n'
        )

    def _sources(self) -> str:
        items = "".join(map(self._source, self._report.sources))
        return (
            '<section id="sources" class="apparatus">\n<h2>Sources</h2>\n'
            f"<ol>{items}</ol>\n</section>\n"
        )

    def _source(self, source: Source) -> str:
        return (
            f'<li id="source-{source.number}"><p class="where"><b>{_linked(source.source)}</b>, '
            f'{escape(source.place)} <span class="of">{escape(source.title)}</span></p>'
            f"<blockquote>{escape(' '.join(source.quote.split()))}</blockquote>"
            f'<p class="back"><a href="#cited-{source.number}" '
            f'aria-label="Back to where {source.number} is cited">\u21a9 in the text</a></p></li>\n'
        )

    def _making(self) -> str:
        report = self._report
        took = escape(f"It took {report.spending}.") if report.spending else ""
        return (
            '<section id="making" class="apparatus">\n<h2>How this report was made</h2>\n'
            f"<p>From {report.documents:,} documents ({report.passages:,} passages), by "
            f"<code>{escape(report.model)}</code>. Each quotation ({len(report.sources)}) was "
            "found word for word at its place in its source, and each number in a sentence in the "
            f"quotations that the sentence cites. {took}</p>\n{self._notice()}</section>\n"
        )


def _named(name: str, first: str) -> str:
    """Give an id to the card of a source's first citation; an id stands once on a page."""
    return f' id="{name}"' if first else ""


def _list(name: str, heading: str, items: Iterable[str]) -> str:
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    if not lines:
        return ""
    return (
        f'<section id="{name}" class="aside">\n<h2>{heading}</h2>\n<ul>{lines}</ul>\n</section>\n'
    )


def _task(task: PlanTask) -> str:
    criteria = "".join(
        f'<li class="{"met" if each.met else "unmet"}">'
        f'<span class="sr">{"met" if each.met else "not met"}: </span>{escape(each.text)}</li>'
        for each in task.criteria
    )
    needs = f' <span class="of">after {escape(", ".join(task.needs))}</span>' if task.needs else ""
    return (
        f'<li><p class="task"><span class="pill {task.standing}">{STANDINGS[task.standing]}</span> '
        f"{escape(task.question)}{needs}</p><ul>{criteria}</ul></li>\n"
    )


def _linked(source: str) -> str:
    """Return a source's name; addresses in the web are links."""
    if urlsplit(source).scheme in ("http", "https"):
        return f'<a href="{escape(source)}" rel="noreferrer noopener">{escape(source)}</a>'
    return escape(source)
