"""What our OpenAPI document says beyond what routes say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from interlock import __version__


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    detail: str


MEANINGS: Mapping[int, str] = {
    400: "The body cannot be read.",
    401: "The server takes a key: none came, or a wrong one.",
    403: "The caller may not do this.",
    404: "There is none, or the caller may not see it.",
    405: "This path does not take the method.",
    409: "It stands against this.",
    413: "The body is larger than this server takes.",
    422: "The request means nothing here.",
    429: "The caller asks too often.",
    500: "The server has a fault.",
    501: "This server does not serve it.",
    503: "The database does not answer.",
}

TAGS = (
    ("Assistants", "Graphs with a configuration, a context and a name."),
    ("Threads", "Lines of work with their state and their history."),
    ("Thread Runs", "Requests on a thread."),
    ("Stateless Runs", "Requests on a thread of their own, which ends with them."),
    ("Crons", "Runs that are submitted again and again."),
    ("Agent Protocol", "The paths of Agent Protocol: agents are assistants."),
    ("Tools", "Assistants for other agents: Model Context Protocol, and Agent2Agent."),
    ("Store", "What graphs remember across threads."),
    ("Approvals", "What waits for a person."),
    ("Effects", "What was done to the world."),
    ("Letters", "Runs that failed for good while nobody waited for them."),
    ("Budgets", "What may be taken, and what was."),
    ("Kill switches", "Switches that stop what runs, and refuse what is new."),
    ("Policies", "The rules that decide on actions."),
    ("Events", "What happened to runs."),
    ("Outcomes", "What came of runs in the world."),
    ("Health", "How the installation stands."),
    ("Access", "Who calls, and what they may do."),
    ("Audit", "Who did what on this server."),
    ("System", "The server itself."),
)

SCHEMES: Mapping[str, Any] = {  # JSON
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}

DESCRIPTION = """Agent graphs that can be left alone with money, mail and infrastructure.

The paths of LangGraph's server are served as its official client uses them; the others are Interlock's own.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:  # as FastAPI takes them
    """Return the `responses` of a route that is refused with some statuses."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}


EVERYWHERE = problems(400, 401, 403, 413, 422, 429, 503)
"""What each route may answer."""


def install(app: FastAPI, withheld: re.Pattern[str] | None = None) -> None:
    """Let an application describe itself so, without the paths that it withholds."""

    def described() -> dict[str, Any]:  # JSON
        if app.openapi_schema is None:
            app.openapi_schema = document(app, withheld)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's own documentation does it


def document(app: FastAPI, withheld: re.Pattern[str] | None = None) -> dict[str, Any]:  # JSON
    """Return an application's OpenAPI document."""
    made = get_openapi(
        title="Interlock",
        version=__version__,
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
    )
    made.setdefault("components", {})["securitySchemes"] = dict(SCHEMES)
    made["security"] = [{name: []} for name in SCHEMES] + [{}]
    made["paths"] = {
        path: each
        for path, each in made["paths"].items()
        if not (withheld and withheld.match(path))
    }
    for operation in _operations(made):
        _refuse_in_json(operation)
    return made


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:  # JSON
    for methods in document["paths"].values():
        yield from methods.values()


def _refuse_in_json(operation: dict[str, Any]) -> None:  # JSON
    """Say that an error is JSON also where an answer is a stream or a page."""
    for status, answer in operation["responses"].items():
        if status.isdigit() and int(status) >= 400:
            kinds: dict[str, Any] = answer.get("content", {})
            if kinds and "application/json" not in kinds:
                answer["content"] = {"application/json": next(iter(kinds.values()))}
