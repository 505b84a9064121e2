"""Read passages, and keep the quotations that really stand in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of
from interlock.core.corpus import Document, Passage
from interlock.core.documents.locating import locate
from interlock.core.structured import ask
from nodes.research.library import texts_of
from nodes.research.progress import tell
from nodes.research.questions import Extraction, ExtractRequest, Quotation
from state.research import Finding, Task, finding_id


class ExtractInput(TypedDict):
    """The passages to read, and what for."""

    question: str
    sources: list[str]
    collection: str
    task: Task
    passages: list[Passage]


class Extracted(TypedDict):
    """Quotations, each with its exact place."""

    findings: list[Finding]


async def extract(state: ExtractInput, runtime: Runtime[Context]) -> Extracted:
    """Ask the researcher what the passages say about its task."""
    task, passages = state["task"], state["passages"]
    if not passages:
        return {"findings": []}
    request = ExtractRequest(question=state["question"], task=task, passages=passages)
    quotations = (await ask(runtime, request, Extraction)).quotations
    corpus, ids = context_of(runtime).ports.corpus, {each["document"] for each in passages}
    texts = await texts_of(corpus, state["collection"], state["sources"], ids)
    found = [located(each, task["id"], passages, texts) for each in quotations]
    findings = [each for each in found if each is not None]
    lost = len(found) - len(findings)
    tell(
        runtime,
        {"event": "findings", "task": task["id"], "count": len(findings), "dropped": lost},
    )
    return {"findings": findings}


def located(
    quotation: Quotation,
    task: str,
    passages: Sequence[Passage],
    texts: Mapping[str, Document],
) -> Finding | None:
    """Return the quotation as it stands in its passage, or None when it does not stand there."""
    if quotation.passage >= len(passages):
        return None
    passage = passages[quotation.passage]
    span, document = _span(quotation.quote, passage["text"]), texts.get(passage["document"])
    if span is None or document is None:
        return None
    start, end = passage["start"] + span[0], passage["start"] + span[1]
    quote = document.text[start:end]
    return Finding(
        id=finding_id(task, document.id, quote),
        task=task,
        claim=quotation.claim,
        quote=quote,
        document=document.id,
        source=document.source,
        title=document.title,
        location=locate(document, start, end),
    )


def _span(quote: str, text: str) -> tuple[int, int] | None:
    """Return where the quote stands in the text, whatever white space is between its words."""
    words = quote.split()
    if not words:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), text)
    return match.span() if match else None
