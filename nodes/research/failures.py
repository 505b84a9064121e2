"""What to do when a researcher fails: give its task out again, or fail the run.

This is not LangGraph's `error_handler`: a node that has one and raises is never run again by a
resumed run, only its handler is, so that what a person has mended meanwhile would be in vain.
"""

from __future__ import annotations

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp

from interlock.core.transient import is_fatal
from state.research import (
    ATTEMPTS,
    Outcome,
    ResearcherOutput,
    ResearcherState,
    TaskEvent,
)

Researcher = Runnable[ResearcherState, ResearcherOutput]


def surviving(researcher: Researcher) -> Researcher:
    """Return a researcher whose failure is an outcome of its task; a person's errors stay errors."""

    def run(state: ResearcherState, config: RunnableConfig) -> ResearcherOutput:
        try:
            return researcher.invoke(state, config)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return researcher_failed(state, error)

    async def arun(state: ResearcherState, config: RunnableConfig) -> ResearcherOutput:
        try:
            return await researcher.ainvoke(state, config)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return researcher_failed(state, error)

    return RunnableLambda(run, arun, name="researcher")


def researcher_failed(state: ResearcherState, error: Exception) -> ResearcherOutput:
    """Note the failure, so that the supervisor gives the task out again; raise what a person must mend."""
    if is_fatal(error):
        raise error
    outcome = failed_outcome(state, error)
    told = TaskEvent(
        event="task",
        task=outcome["task"],
        status=outcome["status"],
        reason=outcome["reason"],
    )
    get_stream_writer()(told)
    return {"findings": [], "outcomes": {outcome["task"]: outcome}}


def failed_outcome(state: ResearcherState, error: Exception) -> Outcome:
    """Return how a task stands after a failed attempt: to be given out again, or given up."""
    return Outcome(
        task=state["task"]["id"],
        status="failed" if state["attempt"] < ATTEMPTS else "open",
        attempts=state["attempt"],
        strategy=state["strategy"],
        queries=[],
        unmet=state["task"]["criteria"],
        reason=f"the researcher failed: {_first_line(error)}",
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return text[:300] or type(error).__name__
