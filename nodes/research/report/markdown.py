"""The report as Markdown. Text from sources and models is escaped, quotations are fenced: it cannot become markup.

Each quotation has this form, so that a few lines of any language can check it against its file:
a line `Source: ` with the name of the file in backticks and the place, an empty line, and a fence
marked `text` with the words as they stand in the file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from interlock.core.offline import NOTICE
from nodes.research.report.data import (
    CitedSentence,
    Part,
    PlanTask,
    ReportData,
    Source,
    Standing,
)

MADE_OFFLINE = (
    "No language model wrote this: rules chose sentences of the sources by their words, and ordered them. "
    "Every sentence below is a quotation."
)
STANDINGS: dict[Standing, str] = {
    "met": "answered",
    "partial": "answered in part",
    "open": "not answered",
    "failed": "failed",
    "waiting": "not given out",
}
_WIDTH = 96
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~$&]")
_LEADING = re.compile(r"^(\d+)([.)])|^([#+=-])")


def to_markdown(report: ReportData) -> str:
    """Return the report as Markdown."""
    blocks = [
        f"# {_escaped(report.title)}",
        *_notice(report),
        f"**Question:** {_escaped(report.question)}",
        *(block for part in report.parts for block in _part(report, part)),
        *_list("What is not known", report.unknown),
        *_list("Where sources disagree", report.disagreements),
        *_list("What the critic still objects to", report.objections),
        *_list("Left out", (f"{each.sentence} ({each.reason})" for each in report.left_out)),
        *_sources(report.sources),
        *_plan(report),
        *_list("Files that were not read", (f"{s.source}: {s.reason}" for s in report.skipped)),
        *_making(report),
    ]
    return "\n\n".join(blocks) + "\n"


def _notice(report: ReportData) -> Iterator[str]:
    if report.offline:
        yield f"> **{NOTICE}.** {MADE_OFFLINE}"


def _part(report: ReportData, part: Part) -> Iterator[str]:
    yield f"## {_escaped(part.heading)}"
    for paragraph in paragraphs(report, part):
        yield " ".join(map(_sentence, paragraph))


def paragraphs(report: ReportData, part: Part) -> list[list[CitedSentence]]:
    """Return a section's paragraphs: quotations of several documents are kept apart."""
    found: list[list[CitedSentence]] = []
    before: str | None = None
    for sentence in part.sentences:
        source = report.source_of(sentence) if report.offline else ""
        if source != before:
            found.append([])
        found[-1].append(sentence)
        before = source
    return found


def _sentence(sentence: CitedSentence) -> str:
    marks = "".join(f"[{number}]" for number in sentence.numbers)
    return f"{_escaped(sentence.text)} {marks}".rstrip()


def _list(heading: str, items: Iterable[str]) -> Iterator[str]:
    lines = [f"- {_escaped(item)}" for item in items]
    if lines:
        yield f"## {heading}"
        yield "\n".join(lines)


def _sources(sources: Iterable[Source]) -> Iterator[str]:
    yield "## Sources"
    for source in sources:
        yield f"### [{source.number}] {_escaped(source.title)}"
        yield f"Source: {_code(source.source)}, {source.place}"
        yield _fenced(source.quote)


def _fenced(quote: str) -> str:
    """Fence a quotation, with lines broken anew unless they are indented; only white space changes."""
    lines = [line.rstrip() for line in textwrap.dedent(_first_line_aligned(quote)).split("\n")]
    if not any(line.startswith((" ", "\t")) for line in lines):
        lines = _filled(" ".join(lines))
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}text\n{text}\n{fence}"


def _filled(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _first_line_aligned(quote: str) -> str:
    """Indent the first line as the second one is: a quotation begins after its line's indentation."""
    lines = quote.split("\n")
    if len(lines) < 2:
        return quote
    return " " * (len(lines[1]) - len(lines[1].lstrip())) + quote


def _plan(report: ReportData) -> Iterator[str]:
    if report.tasks:
        met = sum(criterion.met for criterion in report.criteria)
        yield "## The plan"
        yield f"{met} of {len(report.criteria)} criteria are met."
        yield "\n".join(line for task in report.tasks for line in _task(task))


def _task(task: PlanTask) -> Iterator[str]:
    needs = f", after {', '.join(map(_code, task.needs))}" if task.needs else ""
    yield f"- {_code(task.id)}: {_escaped(task.question)} **{STANDINGS[task.standing]}**{needs}"
    for criterion in task.criteria:
        yield f"  - [{'x' if criterion.met else ' '}] {_escaped(criterion.text)}"


def _making(report: ReportData) -> Iterator[str]:
    yield "## How this report was made"
    yield (
        f"From {report.documents:,} documents ({report.passages:,} passages), by {_code(report.model)}. "
        f"Each quotation ({len(report.sources)}) was found word for word at its place in its "
        "source, and each number in a sentence in the quotations that the sentence cites."
        + (f" It took {_escaped(report.spending)}." if report.spending else "")
    )
    yield from _notice(report)


def _escaped(text: str) -> str:
    """Return text that shows as it is, on one line."""
    line = _SPECIAL.sub(lambda special: f"\\{special[0]}", " ".join(text.split()))
    return _LEADING.sub(lambda lead: f"{lead[1] or ''}\\{lead[2] or lead[3]}", line)


def _code(text: str) -> str:
    """Return text as a code span, whatever backticks it has."""
    line = " ".join(text.split())
    fence = "`" * (1 + _longest_run(line)) if "`" in line else "`"
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall(r"`+", text)), default=0)
