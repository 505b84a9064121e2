"""Check each quotation, citation and number of a draft against the sources; no model is asked."""

from __future__ import annotations

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of
from interlock.core.corpus import Ingested
from interlock.errors import LimitReached
from nodes.research.checks import check_draft, without_faults
from nodes.research.library import texts_of
from nodes.research.progress import tell
from state.research import REVISIONS, Draft, Fault, Finding


class VerifyInput(TypedDict):
    """What the verifier reads."""

    sources: list[str]
    library: Ingested
    findings: list[Finding]
    draft: Draft
    faults: list[Fault]
    revision: int


class Verified(TypedDict, total=False):
    """Faults for the writer; or, at its limit, the draft without the sentences that have them."""

    faults: list[Fault]
    revision: int
    draft: Draft
    dropped: list[Fault]


async def verify(state: VerifyInput, runtime: Runtime[Context]) -> Verified:
    """Find what the sources do not support; raises `LimitReached` when nothing is left at the end."""
    cited = _cited(state["draft"], state["findings"])
    texts = await texts_of(
        context_of(runtime).ports.corpus,
        state["library"]["collection"],
        state["sources"],
        [finding["document"] for finding in cited],
    )
    faults = check_draft(state["draft"], state["findings"], texts)
    faulty = {fault["sentence"] for fault in faults}
    last = state["revision"] >= REVISIONS
    tell(
        runtime,
        {"event": "verified", "faults": faults, "dropped": len(faulty) if last else 0},
    )
    standing = [fault for fault in state["faults"] if fault["by"] != "verifier"]
    if faults and last:
        draft = _remaining(state["draft"], faults)
        return {"faults": standing, "draft": draft, "dropped": faults}
    revision = state["revision"] + 1 if faults else state["revision"]
    return {"faults": [*standing, *faults], "revision": revision}


def _cited(draft: Draft, findings: list[Finding]) -> list[Finding]:
    ids = {
        citation
        for section in draft["sections"]
        for sentence in section["sentences"]
        for citation in sentence["citations"]
    }
    return [finding for finding in findings if finding["id"] in ids]


def _remaining(draft: Draft, faults: list[Fault]) -> Draft:
    remaining = without_faults(draft, faults)
    if not remaining["sections"]:
        raise LimitReached(
            f"No sentence of the report stands after {REVISIONS} revisions; {faults[0]['reason']}",
            hint="Fork the thread before `write` with another model, or give other sources.",
        )
    return remaining
