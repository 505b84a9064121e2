"""What the documentation refers to is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    """Each link within the project leads to a file that is there, and to a heading of it."""
    assert [link for link in _links(page) if not _leads_somewhere(page, link)] == []


def test_the_readme_leads_to_each_page() -> None:
    """Whoever begins at the README finds every page of the documentation, from there at once."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in _links(ROOT / "README.md")}

    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    """A file and a heading that are not there are noticed."""
    assert not _leads_somewhere(ROOT / "README.md", "docs/nothing.md")
    assert not _leads_somewhere(ROOT / "README.md", "docs/concepts.md#no-such-heading")
    assert _leads_somewhere(ROOT / "README.md", "docs/concepts.md")


def _links(page: Path) -> Iterator[str]:
    text = CODE.sub("", FENCED.sub("", page.read_text("utf-8")))
    for link in LINK.findall(text):
        if not re.match(r"[a-z]+:", link):
            yield link


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not heading or heading in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """Return the anchors that code hosts make of a page's headings."""
    titles = HEADING.findall(FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
