"""`interlock check`: what newer code would break is told before, and refused by a resume in the same words."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.core.driving import Driving
from interlock.core.queueing import Options
from interlock.errors import NotFound, ResumeRefused
from interlock.settings import Settings

SAMPLE = Path(__file__).parents[1] / "sample" / "check"
WORDS = json.loads((SAMPLE / "old.json").read_text())["graphs"]
BLOB = "blob:sha256:" + "ab" * 32

EXPECTED = {
    "renamed": ["node: it waits in the node 'ask', which the graph no longer has"],
    "typed": ["key: the value of number does not fit: Input should be a valid list"],
    "removed": ["key: the state has no key 'word' any more"],
    "required": ["key: the state lacks the key 'urgent', which each run is given by now"],
    "modelled": ["key: the state does not fit Modelled: colour: Field required"],
    "gone": ["action: question ID asks about the action 'check_gone', which is no longer declared"],
    "narrow": [
        "action: question ID asks about the action 'check_narrow', which no longer takes what was asked: "
        "The arguments of check_narrow are wrong: to: Input should be a valid integer, "
        "unable to parse string as an integer"
    ],
    "wide": [
        "action: question ID asks about the action 'check_wide', which takes other arguments by now, "
        "so that an answer would permit nothing"
    ],
    "blob": ["blob: its state names the blob abababababab…, which is not stored"],
    "class": [
        "class: it has a value of the class MODULE.Place, which none of the graph's schemas names any more"
    ],
    "absent": ["graph: its graph is not there: There is no graph 'absent'"],
}

RESUME = """
import sys, interlock
from interlock.errors import ResumeRefused
with interlock.open(sys.argv[1], config=sys.argv[2]) as il:
    for thread in sys.argv[3:]:
        [asked] = il.questions(thread)
        try:
            il.resume(thread, interlock.Approve(asked.id, by="ann"))
            print(thread, "went on")
        except ResumeRefused as error:
            print(error.args[0])
        assert [each.status for each in il.questions(thread)] == ["open"], thread
"""


@pytest.fixture
async def waiting(database_url: str) -> str:
    """A database with a thread of the old code for each way to break one, and one for none."""
    actions = {"gone", "narrow", "wide"}
    async with interlock.aopen(database_url, config=SAMPLE / "old.json") as il:
        for word in WORDS:
            text = BLOB if word == "blob" else word
            given = {"number": 1, "word": text if word in actions | {"blob", "class"} else "x"}
            await il.ainvoke(word, given, thread_id=word)
    return database_url


def test_it_lists_what_would_break_and_why(waiting: str) -> None:
    """Each thread is listed with its problem and what to do; the one that fits is not; exit code 1."""
    done = command(waiting, "check", "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 1
    assert found["threads"] == len(WORDS)
    assert {each["thread_id"]: told(each) for each in found["broken"]} == EXPECTED
    assert {each["status"] for each in found["broken"]} == {"waiting"}
    assert all(problem["hint"] for each in found["broken"] for problem in each["problems"])


def test_a_person_reads_the_same(waiting: str) -> None:
    """The list, one thread under the other, ends with the count; `--graph` narrows it down."""
    done = command(waiting, "check", "--graph", "renamed")

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "renamed  renamed  waiting",
        "  node: it waits in the node 'ask', which the graph no longer has.",
        "    Deploy the code that has it, or declare its present name in `Declaration.renamed_nodes`.",
        "1 of 1 thread that has not ended would break.",
    ]
    assert command(waiting, "check", "--graph", "same").returncode == 0


def test_a_resume_refuses_the_same_in_the_same_words(waiting: str) -> None:
    """Each question stays open, and its answer was not taken."""
    broken = json.loads(command(waiting, "check", "--json").stdout)["broken"]
    names = [each["thread_id"] for each in broken]
    script = [sys.executable, "-c", RESUME, waiting, str(SAMPLE / "new.json"), *names]
    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Thread {each['thread_id']} cannot go on: {each['problems'][0]['text']}."
        for each in broken
    ]


async def test_what_is_queued_behind_a_thread_is_looked_at_too(waiting: str) -> None:
    """An input that fits no more, and a node to stop at that is gone, are told with the run that they are of."""
    enqueue = Options(multitask_strategy="enqueue")
    async with interlock.aopen(waiting, config=SAMPLE / "old.json") as il:
        given = {"number": 1, "word": "x"}
        behind = await il.asubmit("required", given, thread_id="required", options=enqueue)
        stop = Driving(interrupt_before=("ask",))
        stops = await il.asubmit(
            "renamed", given, thread_id="renamed", options=enqueue, driving=stop
        )
        assert {each.thread_id for each in (await il.acheck()).broken} == {"blob"}
    done = await asyncio.to_thread(command, waiting, "check", "--json")
    broken = {each["thread_id"]: each for each in json.loads(done.stdout)["broken"]}

    assert broken.keys() == EXPECTED.keys()
    assert [each["text"] for each in broken["required"]["problems"]][1:] == [
        f"of its run {behind.run_id}, which is queued: of its input: The graph's input has no word"
    ]
    assert [each["text"] for each in broken["renamed"]["problems"]][1:] == [
        f"of its run {stops.run_id}, which is queued: "
        "it is to stop at the node 'ask', which the graph no longer has"
    ]
    assert broken["required"]["status"] == "waiting"


async def test_nothing_breaks_under_the_code_that_began_it(waiting: str) -> None:
    """But for what is really missing: a blob that nobody stored."""
    async with interlock.aopen(waiting, config=SAMPLE / "old.json") as il:
        found = await il.acheck()

        assert [each.thread_id for each in found.broken] == ["blob"]
        assert (await il.acheck(graph="same")).broken == ()


async def test_a_misspelt_graph_does_not_pass(waiting: str) -> None:
    """A name that neither a thread nor the application knows is refused."""
    async with interlock.aopen(waiting, config=SAMPLE / "old.json") as il:
        with pytest.raises(NotFound, match="There is no graph 'smae'"):
            await il.acheck(graph="smae")


async def test_it_goes_through_the_threads_in_batches(
    waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread is looked at once, and it tells how far it is."""
    monkeypatch.setattr("interlock.checking.BATCH", 5)
    told: list[tuple[int, int]] = []
    async with interlock.aopen(waiting, config=SAMPLE / "old.json") as il:
        found = await il.acheck(progress=lambda done, total: told.append((done, total)))

    assert (found.threads, told) == (12, [(5, 12), (10, 12), (12, 12)])


async def test_a_policy_that_is_gone_is_told(waiting: str, tmp_path: Path) -> None:
    """A thread would stop at its first act: each is listed."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[")
    settings = Settings(policy=policy)
    async with interlock.aopen(waiting, config=SAMPLE / "old.json", settings=settings) as il:
        found = await il.acheck()

    assert len(found.broken) == 12
    assert {each.problems[0].kind for each in found.broken} == {"policy"}


async def test_a_prompt_that_is_gone_is_told(waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are those of the resume."""

    def gone(stored: Any) -> None:
        raise ResumeRefused(
            "Thread x was begun with prompt a/b@1.0.0: it is gone.", hint="Restore."
        )

    monkeypatch.setattr("interlock.comparing.check_prompts", gone)
    async with interlock.aopen(waiting, config=SAMPLE / "old.json") as il:
        [broken] = (await il.acheck(graph="same")).broken

    assert told({"problems": [{"kind": e.kind, "text": e.text} for e in broken.problems]}) == [
        "prompt: Thread x was begun with prompt a/b@1.0.0: it is gone"
    ]


async def test_what_has_ended_is_not_looked_at(database_url: str, tmp_path: Path) -> None:
    """A thread that succeeded needs no code, and a replay is not resumed."""
    config = SAMPLE.parent / "langgraph.json"
    async with interlock.aopen(database_url, config=config) as il:
        run = await il.ainvoke("counter", {"goal": 1, "log": str(tmp_path / "log")})
        await il.areplay(run.thread_id)
        await il.asubmit("counter", {"goal": 1, "log": str(tmp_path / "log")}, thread_id="queued")

        assert (await il.acheck()).threads == 1


def command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the new code."""
    given = ["--url", url, "--config", str(SAMPLE / "new.json")]
    return subprocess.run(
        [sys.executable, "-m", "interlock", *arguments, *given],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def told(broken: dict[str, Any]) -> list[str]:
    """Return what is said of a thread, without what differs from run to run."""
    return [f"{each['kind']}: {plain(each['text'])}" for each in broken["problems"]]


def plain(text: str) -> str:
    words = text.split(" ")
    if words[0] == "question":
        words[1] = "ID"
    return " ".join("MODULE.Place" if each.endswith(".Place,") else each for each in words).replace(
        "MODULE.Place which", "MODULE.Place, which"
    )
