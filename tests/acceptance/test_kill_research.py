"""The research team is killed with SIGKILL at each of its nodes; another process goes on to the same, one report."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from tests.killing import ROOT, Killable

QUESTION = "How do generators differ from coroutines, and how are exceptions raised inside them?"
PAGES = ("yield", "await", "async", "return", "raise", "try", "exceptions", "types")

BEFORE_THE_ANSWER = [
    "gather:1",
    "plan:1",
    "researcher:1",
    "researcher:2",
    "query:1",
    "search:2",
    "extract:1",
    "judge:2",
    "conclude:1",
    "supervise:1",
    "supervise:2",
    "write:1",
    "verify:1",
    "critique:1",
    "approve:1",
]
AFTER_THE_ANSWER = ["approve:1", "publish:1"]


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pages of Python's own language reference."""
    folder = tmp_path_factory.mktemp("documents")
    for page in PAGES:
        (folder / f"{page}.txt").write_text(topics[page])
    return folder


@pytest.fixture
def given(documents: Path, tmp_path: Path) -> dict[str, Any]:
    return {"question": QUESTION, "sources": [str(documents)], "output": str(tmp_path / "reports")}


@pytest.fixture
def team(database_url: str, tmp_path: Path) -> Killable:
    return Killable(ROOT / "langgraph.json", database_url, tmp_path)


@pytest.fixture(scope="session")
def expected(
    documents: Path,
    postgres_server: Any,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The report of a run that nobody kills."""
    folder = tmp_path_factory.mktemp("calm")
    calm = Killable(ROOT / "langgraph.json", postgres_server.url, folder)
    run = calm.begin(
        "research",
        {"question": QUESTION, "sources": [str(documents)], "output": str(folder / "reports")},
    )
    assert run is not None
    calm.resume(answer=run["questions"][0])
    return report_in(folder)


def report_in(folder: Path) -> str:
    """The one report below a folder."""
    found = sorted((folder / "reports").iterdir())
    assert [each.suffix for each in found] == [".html", ".md"]
    return found[1].read_text()


@pytest.mark.parametrize("kill", BEFORE_THE_ANSWER)
def test_killed_on_the_way_to_the_question(
    team: Killable, given: dict[str, Any], tmp_path: Path, expected: str, kill: str
) -> None:
    """Whichever node is killed: no finished node runs again, and the report is the same."""
    assert team.begin("research", given, kill=kill) is None

    waiting = team.resume()
    assert waiting is not None
    done = team.resume(answer=waiting["questions"][0])

    assert done is not None
    assert (waiting["status"], waiting["attempts"], done["status"]) == ("waiting", 2, "succeeded")
    assert team.redone() == []
    assert (team.finished("plan"), team.finished("publish")) == (1, 1)
    assert report_in(tmp_path) == expected


@pytest.mark.parametrize("kill", AFTER_THE_ANSWER)
def test_killed_after_the_answer(
    team: Killable, given: dict[str, Any], tmp_path: Path, expected: str, kill: str
) -> None:
    """Killed while the answer is used: it is used again for the same question, and there is one report."""
    waiting = team.begin("research", given)
    assert waiting is not None
    assert team.resume(answer=waiting["questions"][0], kill=kill) is None

    done = team.resume()

    assert done is not None
    assert (done["status"], done["output"]["status"]) == ("succeeded", "published")
    assert team.redone() == []
    assert (team.finished("plan"), team.finished("publish")) == (1, 1)
    assert report_in(tmp_path) == expected
