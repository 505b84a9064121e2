"""The supervisor: what is a part of the question and in no quotation is looked for once more, alone."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.core.offline import rule
from nodes.research.offline.criteria import missing_terms
from nodes.research.offline.planning import task_about
from nodes.research.offline.terms import terms
from nodes.research.questions import SuperviseRequest, Supervision

_AT_ONCE = 2


@rule(SuperviseRequest, Supervision)
def supervise(request: SuperviseRequest) -> Supervision:
    """Give out a task for words of unanswered parts that no quotation mentions and no query was for."""
    missing = _missing(request)
    if not missing or not request.findings or not request.rounds_left:
        return Supervision(missing=_said(missing), tasks=[])
    taken = {task["id"] for task in request.plan}
    words = list(missing.values())[:_AT_ONCE]
    return Supervision(missing=_said(missing), tasks=[task_about([word], taken) for word in words])


def _missing(request: SuperviseRequest) -> dict[str, str]:
    met = {outcome["task"] for outcome in request.outcomes if outcome["status"] == "met"}
    answered = {
        stem for task in request.plan if task["id"] in met for stem in terms(task["question"])
    }
    tried = {tuple(terms(query)) for outcome in request.outcomes for query in outcome["queries"]}
    return {
        stem: word
        for stem, word in missing_terms(request.question, request.findings).items()
        if stem not in answered and (stem,) not in tried
    }


def _said(missing: Mapping[str, str]) -> str:
    return f"No quotation mentions: {', '.join(missing.values())}." if missing else ""
