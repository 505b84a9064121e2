"""Read HTML with trafilatura: the main text as Markdown, tables and code kept."""

from __future__ import annotations

import logging
import re
from html import unescape

from interlock.core.documents.limits import Limits
from interlock.core.documents.reading import Extracted

_HEAD = 100_000
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def read_html(data: bytes, _limits: Limits) -> Extracted:
    """Extract the main text; where none is recognised, all text of the page."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    text = trafilatura.extract(
        data,
        output_format="markdown",
        include_comments=False,
        include_tables=True,
        favor_recall=True,
    )
    return Extracted(pages=(text or trafilatura.html2txt(data),), title=_title(data))


def _title(data: bytes) -> str:
    title = _TITLE.search(data[:_HEAD])
    return unescape(title[1].decode("utf-8", errors="replace")) if title else ""
