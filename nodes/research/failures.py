"""What to do when a researcher fails: try again, give its task out again, or fail the run."""

from __future__ import annotations

from langgraph.errors import NodeError
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context
from interlock.core.transient import is_fatal
from nodes.research.progress import tell
from state.research import ATTEMPTS, Outcome, ResearcherState


class Failed(TypedDict):
    """How the task stands after a failed attempt."""

    outcomes: dict[str, Outcome]


async def researcher_failed(
    state: ResearcherState, error: NodeError, runtime: Runtime[Context]
) -> Failed:
    """Note the failure, so that the supervisor gives the task out again; a person's errors stay errors.

    Doing this twice changes nothing: LangGraph may run it again after a resume.
    """
    if is_fatal(error.error):
        raise error.error
    outcome = failed_outcome(state, error.error)
    tell(
        runtime,
        {
            "event": "task",
            "task": outcome["task"],
            "status": outcome["status"],
            "reason": outcome["reason"],
        },
    )
    return {"outcomes": {outcome["task"]: outcome}}


def failed_outcome(state: ResearcherState, error: BaseException) -> Outcome:
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


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return text[:300] or type(error).__name__
