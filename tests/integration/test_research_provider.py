"""A whole run of the research team with a provider's model over HTTP, on Postgres."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import interlock
from interlock import Approve, Run, Settings, Step, Usage
from interlock.errors import ModelFailed
from tests.graphs.harbour import CRITERION, QUESTION, QUOTES, SOURCES
from tests.openai_server import JSON, Answer, Fails, OpenAIServer, Request, Says

ROOT = Path(__file__).parents[2]
MODEL = "openai:gpt-4o-mini"
ASKED, SAID = 1000, 100
COST = (ASKED * 0.15 + SAID * 0.6) / 1_000_000


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "harbour"
    folder.mkdir()
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    return folder


def team(request: Request) -> Answer:
    """Play all roles, by the schema that is asked for."""
    prompt = "\n".join(text for _, text in request.messages)
    lamp = "north" if "north lamp" in prompt.split("[data", 1)[0] else "south"
    replies: dict[str, JSON] = {
        "Plan": {"tasks": [_task("north"), _task("south")]},
        "Query": {"query": f"{lamp} lamp reaches"},
        "Extraction": {
            "quotations": [
                {"passage": 0, "quote": QUOTES[lamp], "claim": f"The {lamp} lamp's reach."}
            ]
        },
        "Judgement": {"unmet": []},
        "Supervision": {"missing": "", "tasks": []},
        "Report": _report(prompt),
        "Critique": {"verdict": "accept", "reasons": []},
    }
    return Says(text=json.dumps(replies[request.schema_name]), usage=(ASKED, SAID))


def _task(lamp: str) -> JSON:
    question = f"How far does the {lamp} lamp reach?"
    return {"id": lamp, "question": question, "criteria": [CRITERION], "needs": []}


def _report(prompt: str) -> JSON:
    cited = re.findall(r"^\[(\S+)\]$", prompt, re.MULTILINE)
    sentences = [{"text": "One lamp's reach is stated.", "citations": [each]} for each in cited]
    sections = [{"heading": "Reach", "sentences": sentences}]
    return {"title": "The lamps", "sections": sections, "unknown": [], "disagreements": []}


def settings(server: OpenAIServer) -> Settings:
    return Settings(model=MODEL, base_url=server.base_url, config=ROOT / "langgraph.json")


def given(sources: Path) -> JSON:
    return {
        "question": QUESTION,
        "sources": [str(sources)],
        "output": str(sources.parent / "reports"),
    }


async def researched(
    database_url: str, sources: Path, server: OpenAIServer
) -> tuple[Run, list[Step]]:
    async with interlock.aopen(database_url, settings=settings(server)) as il:
        run = await il.ainvoke("research", given(sources))
        (question,) = run.interrupts
        ended = await il.aresume(run.thread_id, Approve(question.id))
        return ended, await il.ahistory(run.thread_id)


async def test_a_provider_takes_the_same_path(database_url: str, sources: Path) -> None:
    """The same graph, checks and approval run, and the history knows the tokens and the cost of each step."""
    with OpenAIServer(answer=team) as server:
        run, steps = await researched(database_url, sources, server)
    asked_for = [request.schema_name for request in server.requests]
    spent = {"+".join(step.nodes): step.usage.calls for step in steps if step.usage.calls}
    total = sum((step.usage for step in steps), Usage())

    assert run.status == "succeeded"
    assert sorted(asked_for) == sorted(
        ["Plan", "Supervision", "Report", "Critique", *["Query", "Extraction", "Judgement"] * 2]
    )
    assert ["+".join(step.nodes) for step in steps if step.nodes] == [
        "__start__",
        "gather",
        "plan",
        "researcher+researcher",
        "supervise",
        "write",
        "verify",
        "critique",
        "approve",
        "publish",
    ]
    assert spent == {
        "plan": 1,
        "researcher+researcher": 6,
        "supervise": 1,
        "write": 1,
        "critique": 1,
    }
    assert (total.calls, total.input_tokens, total.output_tokens) == (10, 10 * ASKED, 10 * SAID)
    assert total.cost == pytest.approx(10 * COST)
    assert {request.body["model"] for request in server.requests} == {"gpt-4o-mini"}


async def test_a_disturbed_provider_changes_nothing(database_url: str, sources: Path) -> None:
    """With a 429, a 500 and a bad answer for each role the same report comes out."""
    troubled: set[str] = set()

    def disturbed(request: Request) -> Answer:
        name = request.schema_name
        for trouble in (
            Fails(status=429, headers={"retry-after-ms": "10"}),
            Fails(status=500, headers={"retry-after-ms": "10"}),
            Says(text='{"cut": "o', usage=(1, 1)),
        ):
            if f"{name} {trouble}" not in troubled:
                troubled.add(f"{name} {trouble}")
                return trouble
        return team(request)

    with OpenAIServer(answer=disturbed) as server:
        run, steps = await researched(database_url, sources, server)
    total = sum((step.usage for step in steps), Usage())

    assert run.status == "succeeded"
    assert (total.calls, total.input_tokens) == (17, 10 * ASKED + 7)


async def test_a_provider_that_refuses_fails_the_run_and_loses_nothing(
    database_url: str, sources: Path
) -> None:
    """A wrong key stops the run with what to mend; when it is mended, the run goes on where it stopped."""
    with OpenAIServer(Fails(status=401, message="wrong key: sk-abcdefgh1234")) as closed:
        async with interlock.aopen(database_url, settings=settings(closed)) as il:
            with pytest.raises(ModelFailed, match=r"wrong key: \[key\]\. Check the key"):
                await il.ainvoke("research", given(sources))
            (thread,) = await il.athreads()
    with OpenAIServer(answer=team) as server:
        async with interlock.aopen(database_url, settings=settings(server)) as il:
            run = await il.aresume(thread.thread_id)

    assert (thread.status, run.status) == ("failed", "waiting")
    assert "sk-abcdefgh1234" not in thread.error
    assert len(closed.requests) == 1
