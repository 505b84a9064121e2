"""`history --inside`, `history --tree`, and `fork` inside a subgraph, as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from interlock.cli.program import execute
from tests.saying import Say

CONFIG = Path(__file__).parents[1] / "sample" / "nested" / "langgraph.json"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nested application on a fresh database."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def thread(say: Say, tmp_path: Path) -> str:
    """A finished run of the office with two desks."""
    given = json.dumps({"desks": ["a", "b"], "log": str(tmp_path / "log")})
    code, run = say("run", "office", "--input", given)
    assert code == 0
    return str(run["thread_id"])


def lines_with(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_steps_inside_are_indented_and_name_their_checkpoint(
    say: Say, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is shown of a checkpoint's id is enough to fork from it, with values in the subgraph's types."""
    assert execute(["history", thread, "--inside"]) == 0
    text = capsys.readouterr().out
    drafted = lines_with(text, "desk·1/letter draft") + lines_with(text, "desk·2/letter draft")
    checkpoint = drafted[0].split()[-1]

    code, fork = say("fork", thread, "--at", checkpoint, "--set", "text=7")

    assert [line.startswith("     1 ") for line in drafted] == [True, True]
    assert lines_with(text, "5 steps, 20 inside")
    changed = [each for each in fork["output"]["letters"] if ": 7 by " in each]
    assert (code, len(changed)) == (0, 1)  # of the desk that came first, whichever that is


def test_a_key_of_the_graph_around_is_no_key_inside(say: Say, thread: str) -> None:
    """The refusal names the keys of the subgraph's state."""
    _, document = say("history", thread, "--inside")
    inner = next(each for each in document["steps"] if each["path"] == ["desk", "letter"])

    code, refused = say("fork", thread, "--at", inner["checkpoint_id"], "--set", "letters=[]")

    assert (code, refused["error"]["hint"]) == (2, "It has: desk, fail_at, log, stamp, text.")


def test_a_history_without_inside_has_only_the_threads_own_steps(say: Say, thread: str) -> None:
    """Their documents lie in no namespace."""
    _, document = say("history", thread)

    assert [(each["step"], each["inside"], each["path"]) for each in document["steps"]] == [
        (number, "", []) for number in range(-1, 4)
    ]


def test_the_tree_is_drawn_with_the_thread_marked(
    say: Say, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each branch says where it begins, what it is, and how it stands."""
    _, document = say("history", thread, "--inside")
    inner = next(each for each in document["steps"] if each["nodes"] == ["stamp"])
    _, fork = say("fork", thread, "--at", inner["checkpoint_id"])
    _, below = say("fork", fork["thread_id"], "--at", "2")
    capsys.readouterr()

    assert execute(["history", fork["thread_id"], "--tree"]) == 0
    text = capsys.readouterr().out
    _, tree = say("history", fork["thread_id"], "--tree")

    assert [re.sub(" · [^←]*", "", line) for line in text.splitlines()] == [
        f"{thread[:8]} succeeded",
        f"└── fork at 2 in desk/letter {fork['thread_id'][:8]} succeeded← this thread",
        f"    └── fork at 2 {below['thread_id'][:8]} succeeded",
    ]
    assert (tree["thread_id"], tree["asked"]) == (thread, False)
    [child] = tree["children"]
    assert (child["asked"], child["forked_at"], child["forked_inside"], child["purpose"]) == (
        True,
        2,
        ["desk", "letter"],
        "fork",
    )
    assert [each["thread_id"] for each in child["children"]] == [below["thread_id"]]
