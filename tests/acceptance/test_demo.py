"""The demo, as `make demo` runs it: real documents, the embedded server, approval, a cited report."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from interlock.core.offline import NOTICE
from interlock.demo import QUESTION, write_documents
from interlock.errors import InterlockError

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


@pytest.fixture
def environment(short_folder: Path) -> dict[str, str]:
    """A data directory that the demo has not seen, and nothing else set."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("INTERLOCK_")}
    return kept | {
        "INTERLOCK_DATA_DIR": str(short_folder / "demo"),
        "INTERLOCK_CONFIG": str(ROOT / "langgraph.json"),
    }


def run_demo(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interlock", "demo", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_demo(tmp_path: Path, environment: dict[str, str]) -> None:
    """Without a terminal the demo shows what happens, approves by itself and says so; and once more."""
    first = run_demo(tmp_path, environment)
    second = run_demo(tmp_path, environment, "--json")

    assert first.returncode == 0, first.stderr
    assert QUESTION in first.stderr
    for who in (
        "sources",
        "plan",
        "researcher",
        "supervisor",
        "writer",
        "verifier",
        "critic",
        "published",
    ):
        assert re.search(rf"^ *\d:\d\d . {who} ", first.stderr, re.MULTILINE), who
    assert "sends the draft back to the writer" in first.stderr
    assert "There is no person at a terminal: the demo approves it itself." in first.stderr
    assert NOTICE in first.stderr
    assert all(report.is_file() for report in reports_of(first.stdout))
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["notice"] == NOTICE


def test_commands_to_try(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each command that the demo proposes works as it stands there."""
    done = run_demo(tmp_path, environment)
    proposed = re.findall(r"^ +interlock (.+)$", done.stderr, re.MULTILINE)
    thread = proposed[0].removeprefix("history ")
    fork = ""

    assert [each.split()[0] for each in proposed] == [
        "history",
        "show",
        "fork",
        "diff",
        "graph",
        "demo",
    ]
    for each in proposed[:-1]:
        command = each.replace("FORK", fork)
        found = subprocess.run(
            [sys.executable, "-m", "interlock", *shlex.split(command), "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert found.returncode == (3 if command.startswith("fork") else 0), found.stdout
        if command.startswith("fork"):
            fork = json.loads(found.stdout)["thread_id"]
    assert fork != thread
    assert (tmp_path / "research.png").read_bytes().startswith(b"\x89PNG")


def reports_of(output: str) -> list[Path]:
    found = [Path(each) for each in re.findall(r"^report +(.+)$", output, re.MULTILINE)]
    assert len(found) == 2
    return found


def test_quotations(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every quotation of the demo's report stands verbatim in the documents, up to white space."""
    done = run_demo(tmp_path, environment, "--json")
    output = json.loads(done.stdout)["output"]
    everything = {f"{name}.txt": " ".join(text.split()) for name, text in topics.items()}

    cited = {
        each
        for part in output["draft"]["sections"]
        for s in part["sentences"]
        for each in s["citations"]
    }
    quoted = [each for each in output["findings"] if each["id"] in cited]

    assert len(quoted) >= 10
    for finding in quoted:
        assert " ".join(finding["quote"].split()) in everything[Path(finding["source"]).name]


def test_documents(tmp_path: Path) -> None:
    """The documents are written once; those of another version of Python are removed."""
    folder = tmp_path / "documents"

    assert write_documents(folder) == len(topics)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "of-old.txt").write_text("gone")
    assert write_documents(folder) == len(topics)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_no_folder(tmp_path: Path) -> None:
    """A folder that cannot be written to is an error that names it."""
    (tmp_path / "file").touch()

    with pytest.raises(
        InterlockError, match=r"cannot be written to .*file/documents: Not a directory"
    ):
        write_documents(tmp_path / "file" / "documents")
