"""What any client may send, made from our OpenAPI document: no fault, and no status that is not documented."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from interlock.server import openapi
from interlock.server.app import ROUTERS

EXAMPLES = 6
"""For each operation, right and wrong requests together: CI waits for them each time."""

SECONDS = 20
"""After which a request is taken to hang."""

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]

ABSENT = "00000000-0000-0000-0000-000000000000"

UNENDING = ("after_seconds", "webhook")
"""What would let a request wait, or call elsewhere."""

Operation = APIOperation[Any, Any, Any]
"""Its schema, its responses and its security are of any kind."""


def operations() -> list[Any]:  # pytest's parameters
    """Return every operation that the server's description of itself has: to be asked rightly, and wrongly."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router, responses=openapi.EVERYWHERE)
    document = openapi.document(app)
    pairs = zip(_operations(document), _operations(_with_numbers(document)), strict=True)
    return [pytest.param(right, wrong, id=right.label) for right, wrong in pairs]


def _operations(document: Mapping[str, Any]) -> list[Operation]:
    described = schemathesis.openapi.from_dict(dict(document))
    return [each.ok() for each in described.get_all_operations()]  # type: ignore[union-attr]  # all are valid


def _with_numbers(document: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return a document whose paths take numbers: nothing is a wrong text, so wrong ones could not be made."""
    changed = copy.deepcopy(dict(document))
    for methods in changed["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["schema"] = {"type": "integer"}
    return changed


@pytest.fixture(scope="module")
def thread(server: str) -> str:
    """A thread that is there."""
    return str(httpx.post(f"{server}/threads", json={}).json()["thread_id"])


@pytest.mark.parametrize(("right", "wrong"), operations())
def test_no_fault_and_no_status_that_is_not_documented(
    right: Operation, wrong: Operation, server: str, thread: str
) -> None:
    """Right and wrong requests of every operation, the same ones each time."""
    got = right.method == "get" and right.path.endswith("/stream")
    streams = got or right.path.endswith("/stream/events")

    @given(case=_cases(right, GenerationMode.POSITIVE) | _cases(wrong, GenerationMode.NEGATIVE))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def sent(case: schemathesis.Case) -> None:
        # A stream of a thread that is there would not end.
        _make_real(case.path_parameters, ABSENT if streams else thread)
        _make_real(case.body, thread)
        if right.path == "/events/stream":
            case.query = {**case.query, "follow": False} if case.query else {"follow": False}
        case.call_and_validate(
            base_url=server, checks=CHECKS, timeout=SECONDS, allow_redirects=False
        )

    sent()


def _cases(operation: Operation, mode: GenerationMode) -> SearchStrategy[schemathesis.Case]:
    return operation.as_strategy(generation_mode=mode)


def _make_real(values: Any, thread: str) -> None:  # JSON, or what says that there is none
    """Name what is there in place of any name, so that a request gets beyond "not found"."""
    if not isinstance(values, dict):
        return
    for name in UNENDING:
        values.pop(name, None)
    for name, real in (("thread_id", thread), ("assistant_id", "echo"), ("graph_id", "echo")):
        if isinstance(values.get(name), str):
            values[name] = real
