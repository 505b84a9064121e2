"""Say that the sources do not cover the question, and what was searched; quote nothing."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.corpus import Ingested
from nodes.research.progress import tell
from state.research import Outcome, Status

_SHOWN = 12
"""How many queries the message names."""


class DeclineInput(TypedDict):
    """What the message is made of."""

    sources: list[str]
    library: Ingested
    outcomes: dict[str, Outcome]


class Declined(TypedDict):
    """The end of a run without a report."""

    status: Status
    message: str


async def decline(state: DeclineInput, runtime: Runtime[Context]) -> Declined:
    """End the run with a message that says what was searched."""
    message = not_covered(state["sources"], state["library"], state["outcomes"])
    tell(runtime, {"event": "declined", "message": message})
    return {"status": "not_covered", "message": message}


def not_covered(sources: list[str], library: Ingested, outcomes: Mapping[str, Outcome]) -> str:
    """Return the message: where was searched, and with which words."""
    queries = list(dict.fromkeys(q for each in outcomes.values() for q in each["queries"]))
    shown = "; ".join(f"“{query}”" for query in queries[:_SHOWN])
    more = f"; and {len(queries) - _SHOWN} more" if len(queries) > _SHOWN else ""
    read = library["documents"]
    failed = [each["reason"] for each in outcomes.values() if not each["queries"]]
    unsearched = (
        f" {len(failed)} tasks could not be searched: {'; '.join(failed)}." if failed else ""
    )
    return (
        f"The sources do not cover the question. Searched {read} {'document' if read == 1 else 'documents'} of "
        f"{', '.join(sources)} for: {shown}{more}.{unsearched} "
        "Ask in the sources' own words, or give others."
    )
