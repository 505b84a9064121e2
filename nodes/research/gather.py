"""Read the sources, and begin with a clean state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context, context_of
from interlock.core.corpus import Corpus, Ingested, Progress
from interlock.errors import UsageError
from nodes.research.progress import tell
from state.research import Draft, Fault, Published, ResearchInput, Status

REPORTS = "reports"
_TOLD = 50
"""How many progress events one reading sends at most."""


class Gathered(TypedDict):
    """The sources are read; what an earlier run on this thread knew is cleared."""

    output: str
    library: Ingested
    findings: Overwrite
    outcomes: Overwrite
    models: Overwrite
    draft: Draft
    faults: list[Fault]
    dropped: list[Fault]
    revision: int
    rejections: int
    status: Status
    message: str
    published: Published | None


class Reader(TypedDict):
    """What reads the sources, and is told how far it is."""

    corpus: Corpus
    progress: Callable[[Progress], None]


@action(name="read_sources", touches="nothing: it reads", nodes=("gather",), reads=True)
async def read_sources(sources: list[str], *, state: Reader) -> Ingested:
    """Read the sources into the corpus; a replay of the run does not read them again."""
    return await state["corpus"].ingest(sources, progress=state["progress"])


async def gather(state: ResearchInput, runtime: Runtime[Context]) -> Gathered:
    """Read the sources into the corpus; raises `UsageError` and `SourceError`."""
    _check(state)
    reader = Reader(corpus=context_of(runtime).ports.corpus, progress=_reporting(runtime))
    library = await act(runtime, read_sources, state=reader, sources=state["sources"])
    tell(
        runtime,
        {
            "event": "gathered",
            "documents": library["documents"],
            "passages": library["passages"],
            "skipped": library["skipped"],
        },
    )
    return _fresh(library, _folder(state))


def _check(state: ResearchInput) -> None:
    if not state.get("question", "").strip():
        raise UsageError("The question is empty.", hint="Say what to find out, as `question`.")
    if not state.get("sources"):
        raise UsageError("No sources are given.", hint="Name folders, files or URLs, as `sources`.")


def _folder(state: ResearchInput) -> str:
    """Return the report's folder as an absolute path: who approves it sees where the report goes."""
    return str(Path(state.get("output") or REPORTS).expanduser().absolute())


def _reporting(runtime: Runtime[Context]) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        every = max(1, progress.total // _TOLD)
        if progress.done % every == 0 or progress.done == progress.total:
            tell(
                runtime,
                {
                    "event": "gather",
                    "done": progress.done,
                    "total": progress.total,
                    "source": progress.source,
                },
            )

    return report


def _fresh(library: Ingested, output: str) -> Gathered:
    return {
        "output": output,
        "library": library,
        "findings": Overwrite([]),
        "outcomes": Overwrite({}),
        "models": Overwrite([]),
        "draft": {"title": "", "sections": [], "unknown": [], "disagreements": []},
        "faults": [],
        "dropped": [],
        "revision": 0,
        "rejections": 0,
        "status": "working",
        "message": "",
        "published": None,
    }
