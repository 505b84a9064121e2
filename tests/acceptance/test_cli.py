"""The command line as a person and a script use it, on a real database."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.program import execute
from interlock.core.offline import NOTICE
from tests.saying import Document, Say

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "sample" / "langgraph.json"
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample application on a fresh database."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(SAMPLE))
    monkeypatch.setenv("INTERLOCK_USER", "ann")


@pytest.fixture
def counted(say: Say, tmp_path: Path) -> Document:
    """A run of the counter that counted to three."""
    code, run = say("run", "counter", "--goal", "3", "--log", str(tmp_path / "log"))
    assert code == 0
    return run


@pytest.fixture
def asked(say: Say, tmp_path: Path) -> Document:
    """A run that waits for approval of a payment."""
    bank = str(tmp_path / "bank")
    code, run = say("run", "payment", "--payee", "bob", "--amount", "4", "--ledger", bank)
    assert code == 3
    return run


def question(run: Document) -> str:
    found: str = run["questions"][0]["id"]
    return found


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:  # of Popen
    """A command in a process of its own, which does not outlive the test."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    process = subprocess.Popen([sys.executable, "-m", "interlock", *arguments], **streams)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def slow_fork(counted: Document, tmp_path: Path, seconds: float, *more: str) -> list[str]:
    """The command for a fork that counts to five slowly, noting to a log of its own."""
    (tmp_path / "slow").touch()
    changes = {"goal": "5", "slow": str(seconds), "log": str(tmp_path / "slow")}
    given = [f"--set={key}={value}" for key, value in changes.items()]
    return ["fork", counted["thread_id"], "--at", "1", *given, *more]


# --- runs ---


def test_run(counted: Document) -> None:
    """A run's document has its ids, its status, its output, and what an offline run says."""
    assert counted["status"] == "succeeded"
    assert counted["output"] == {"count": 3}
    assert counted["questions"] == []
    assert counted["notice"] == NOTICE
    assert counted["run_id"] != counted["thread_id"]


def test_run_without_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result goes to standard output, what happens to standard error."""
    assert execute(["run", "counter", "--goal", "1", "--log", str(tmp_path / "log")]) == 0
    captured = capsys.readouterr()
    assert captured.out == "count: 1\n"
    assert NOTICE in captured.err
    told = re.findall(r"^ *\d+:\d\d . (\w+)", captured.err, re.MULTILINE)
    assert told == ["begin", "count", "step", "branch", "branch", "end"]


def test_whole_input(say: Say, tmp_path: Path) -> None:
    """An input can be given as one JSON document."""
    given = json.dumps({"goal": 2, "log": str(tmp_path / "log")})

    assert say("run", "counter", "--input", given)[1]["output"] == {"count": 2}


def test_foreign_graph(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's graph runs, asks plainly, and takes a plain answer; the list says how to give it."""
    code, run = say("run", "foreign", "--messages", "hello")
    assert (code, run["questions"][0]["summary"]) == (3, "Where?")
    assert "notice" not in run
    assert execute(["approvals"]) == 0
    command = f"interlock approvals answer {question(run)[:8]} --value"
    assert command in capsys.readouterr().out
    assert execute(["approvals", "approve", question(run)]) == 2
    assert command in capsys.readouterr().err

    code, run = say("approvals", "answer", question(run), "--value", "Paris")
    assert (code, run["output"]["place"]) == (0, {"name": "Paris"})


def test_failed_node(say: Say, counted: Document, tmp_path: Path) -> None:
    """A node's error names its thread; once its cause is gone, `resume` goes on from there."""
    code, failed = say(*slow_fork(counted, tmp_path, 0), "--set=fail_at=2")
    assert code == 1
    assert failed["error"]["kind"] == "RunFailed"
    assert "RuntimeError: the counter was told to fail" in failed["error"]["message"]
    assert failed["thread_id"][:8] in failed["error"]["hint"]

    code, document = say("history", failed["thread_id"])
    assert (code, document["status"], document["steps"][-1]["next"]) == (0, "failed", ["step"])


def test_limit(say: Say, tmp_path: Path) -> None:
    """A run that uses up its steps ends with the code 4."""
    code, failed = say("run", "counter", "--goal", "100", "--log", str(tmp_path / "log"))

    assert (code, failed["error"]["kind"]) == (4, "LimitReached")


# --- approvals ---


def test_list(say: Say, asked: Document) -> None:
    """What waits is listed, of all threads or of one."""
    assert [each["id"] for each in say("approvals")[1]["questions"]] == [question(asked)]
    assert say("approvals", "list", "--thread", asked["thread_id"])[1]["notice"] == NOTICE


def test_list_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing waits, that is said."""
    assert execute(["approvals"]) == 0
    assert capsys.readouterr().out == "Nothing waits for a person.\n"


def test_show_question(asked: Document, capsys: pytest.CaptureFixture[str]) -> None:
    """A question is shown with its arguments and the commands that answer it, by the beginning of its id."""
    short = question(asked)[:8]
    assert execute(["approvals", "show", short[:6]]) == 0
    text = capsys.readouterr().out
    assert "Pay?" in text
    assert re.search(r"payee +bob", text)
    assert f"interlock approvals approve {short}" in text
    assert NOTICE in text


def test_approve(say: Say, asked: Document, tmp_path: Path) -> None:
    """An approval goes on with its thread, to the next question."""
    code, run = say("approvals", "approve", question(asked), "--by", "cleo")

    assert (code, run["questions"][0]["summary"]) == (3, "Send the receipt?")
    assert lines(tmp_path / "bank") == ["bob 4"]
    state = say("show", run["thread_id"], "--key", "decision")[1]["values"]
    assert state["decision"]["by"] == "cleo"


def test_edit(say: Say, asked: Document, tmp_path: Path) -> None:
    """An edit changes what is done, each argument in its own type."""
    code, _ = say("approvals", "edit", question(asked), "--set", "amount=7", "--set", "payee=12")

    assert code == 3
    assert lines(tmp_path / "bank") == ["12 7"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (["edit", "--set", "amount=much"], "amount"),
        (["edit", "--set", "amunt=1"], "has no argument 'amunt'"),
        (["edit", "--set", "amount"], "not key=value"),
        (["answer", "--value", "1"], "is an approval"),
    ],
)
def test_answer_refused(
    say: Say, asked: Document, tmp_path: Path, answer: list[str], said: str
) -> None:
    """An answer that does not fit is refused with the code 2, and the question stays open."""
    code, document = say("approvals", answer[0], question(asked), *answer[1:])

    assert (code, list(document)) == (2, ["error"])
    assert said in document["error"]["message"]
    assert len(say("approvals")[1]["questions"]) == 1
    assert lines(tmp_path / "bank") == []


def test_reject(say: Say, asked: Document, tmp_path: Path) -> None:
    """A rejected action does not run."""
    code, run = say("approvals", "reject", question(asked), "--reason", "too much")

    assert (code, run["status"]) == (0, "succeeded")
    assert run["output"]["decision"]["message"] == "too much"
    assert lines(tmp_path / "bank") == []


def test_closed_question(say: Say, asked: Document) -> None:
    """A second answer is refused, and says what is open now."""
    _, run = say("approvals", "approve", question(asked))
    code, document = say("approvals", "reject", question(asked))

    assert (code, document["error"]["kind"]) == (2, "AnswerRefused")
    assert question(run) in document["error"]["hint"]


def test_no_run(say: Say, asked: Document, tmp_path: Path) -> None:
    """An answer can be taken now and gone on with later."""
    assert say("approvals", "approve", question(asked), "--no-run")[1]["status"] == "queued"
    assert lines(tmp_path / "bank") == []

    code, run = say("resume", asked["thread_id"][:8])
    assert (code, run["questions"][0]["summary"]) == (3, "Send the receipt?")
    assert lines(tmp_path / "bank") == ["bob 4"]


def test_asked_in_the_terminal(tmp_path: Path) -> None:
    """Where there is a terminal the question is asked there, one key answers, with Enter after it too."""
    ours, theirs = pty.openpty()
    given = ["--payee", "bob", "--amount", "4", "--ledger", str(tmp_path / "bank")]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}

    with started("run", "payment", *given, stdin=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = read_until(ours, "l later")
        assert "╭─ question" in shown
        assert "Pay?" in shown
        press(ours, b"a\r")
        read_until(ours, "Send the receipt?", "l later")
        press(ours, b"l")
        read_until(ours, "approvals shows the question again")
        assert process.wait(PATIENCE) == 3
    os.close(ours)
    assert lines(tmp_path / "bank") == ["bob 4"]


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_until(terminal: int, *texts: str) -> str:
    """Read what a terminal shows until all texts came, one after the other."""
    shown, place = "", 0
    for text in texts:
        while (found := ESCAPES.sub("", shown).find(text, place)) < 0:
            shown += os.read(terminal, 65536).decode(errors="replace")
        place = found + len(text)
    return ESCAPES.sub("", shown)


def press(terminal: int, key: bytes) -> None:
    """Press a key once the terminal waits for one; what is typed before that does not count."""
    wait_for(lambda: not termios.tcgetattr(terminal)[3] & termios.ICANON)
    os.write(terminal, key)


# --- steps ---


def test_history(say: Say, counted: Document, capsys: pytest.CaptureFixture[str]) -> None:
    """The history lists each step with what ran and what changed."""
    code, document = say("history", counted["thread_id"][:8])
    assert code == 0
    assert [each["nodes"] for each in document["steps"]][1:] == [
        ["__start__"], ["begin"], ["step"], ["step"], ["step"], ["branch", "branch"], ["end"],
    ]  # fmt: skip

    assert execute(["history", counted["thread_id"]]) == 0
    text = capsys.readouterr().out
    assert counted["thread_id"] in text
    assert "count 1 → 2, seen +1" in text
    assert "branch \N{MULTIPLICATION SIGN}2" in text
    assert NOTICE in text


def test_show(say: Say, counted: Document) -> None:
    """A step is found by its number or its checkpoint; one key can be asked for."""
    code, step = say("show", counted["thread_id"], "--at", "3")
    assert (code, step["values"]["count"]) == (0, 2)
    assert say("show", counted["thread_id"], "--at", step["checkpoint_id"])[1]["step"] == 3
    assert say("show", counted["thread_id"], "--at", "-1")[1]["step"] == -1
    assert say("show", counted["thread_id"], "--key", "count")[1]["values"] == {"count": 3}


def test_fork_and_diff(say: Say, counted: Document, capsys: pytest.CaptureFixture[str]) -> None:
    """A fork goes another way with a changed state, and the two can be compared."""
    code, fork = say("fork", counted["thread_id"], "--at", "2", "--set", "goal=5")
    assert (code, fork["output"]) == (0, {"count": 5})

    _, difference = say("diff", counted["thread_id"], fork["thread_id"])
    assert difference["common_steps"] == 4
    assert difference["changed"]["count"] == {"a": 3, "b": 5}
    assert len(difference["b"]["path"]) == len(difference["a"]["path"]) + 2

    assert execute(["diff", counted["thread_id"], fork["thread_id"]]) == 0
    text = capsys.readouterr().out
    assert "4 steps in common" in text
    assert re.search(r"goal +3 +5", text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "99"], "There is no step '99'"),
        (["--at", "2", "--set", "goal=five"], "The value of goal does not fit"),
        (["--at", "2", "--set", "gaol=5"], "has no gaol"),
        (["--at", "2", "--set", "goal"], "not key=value"),
    ],
)
def test_fork_refused(say: Say, counted: Document, arguments: list[str], said: str) -> None:
    """A fork that cannot be is refused with the code 2, and no thread is made."""
    code, document = say("fork", counted["thread_id"], *arguments)

    assert code == 2
    assert said in document["error"]["message"]
    assert len(say("status")[1]["threads"]) == 1


# --- what is not there ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["history", "nothing"], "There is no thread 'nothing'."),
        (["show", "nothing"], "There is no thread 'nothing'."),
        (["resume", "nothing"], "There is no thread 'nothing'."),
        (["diff", "nothing", "more"], "There is no thread 'nothing'."),
        (["approvals", "approve", "nothing"], "There is no question 'nothing'."),
        (["run", "nothing"], "There is no graph 'nothing'."),
        (["graph", "nothing"], "There is no graph 'nothing'."),
        (["run", "counter", "--goal", "1"], "The graph 'counter' needs --log."),
        (["run", "counter", "--goal", "-1", "--log", "x"], "The input does not fit: goal"),
        (
            ["run", "counter", "--goal", "1", "--log", "x", "--model", "gpt"],
            "'gpt' is not a model name.",
        ),
        (
            ["run", "counter", "--goal", "1", "--log", "x", "--model", "groq:x"],
            "package langchain-groq",
        ),
        (["run", "counter", "--goal", "1", "--log", "x", "--model", "openai:x"], "OPENAI_API_KEY"),
        (["status", "--config", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_unknown(
    arguments: list[str], said: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is named, with the code 2."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    code, document = say(*arguments)

    assert code == 2
    assert said in document["error"]["message"]


def test_database_down(capsys: pytest.CaptureFixture[str]) -> None:
    """A database that does not answer is one line, with the code 1."""
    assert execute(["status", "--url", "postgresql://127.0.0.1:1/nothing"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: The database does not answer: ")
    assert error.count("\n") == 1


def test_other_version(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory of another version is refused, and says how to move."""
    monkeypatch.delenv("INTERLOCK_DATABASE_URL")
    (tmp_path / "data" / "cluster").mkdir(parents=True)
    (tmp_path / "data" / "cluster" / "PG_VERSION").write_text("12\n")
    (tmp_path / "data" / "start.lock").touch()

    code, document = say("db", "migrate", "--data-dir", str(tmp_path / "data"))

    assert code == 1
    assert (
        "Postgres 12" in document["error"]["message"]
        or tmp_path.name in document["error"]["message"]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--question", "Why?"], 2, "needs --sources"),
        (["--question", "", "--sources", "."], 2, "question"),
        (["--question", "Why?", "--sources", "missing"], 2, "missing"),
        (["--question", "Why?", "--sources", "empty"], 2, "empty"),
    ],
)
def test_research_sources(
    arguments: list[str],
    code: int,
    said: str,
    say: Say,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Research refuses what it cannot work with, and says what."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)

    found, document = say("run", "research", "--config", str(ROOT / "langgraph.json"), *arguments)

    assert found == code
    assert said in document["error"]["message"]


def test_broken_pdf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken PDF among good documents is listed as skipped, and the run goes on."""
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    (tmp_path / "good.txt").write_text(
        "A lighthouse is a tower with a lamp. It guides ships at night.\n"
    )
    given = ["--question", "What is a lighthouse?", "--sources", str(tmp_path)]

    code = execute(["run", "research", "--config", str(ROOT / "langgraph.json"), *given])

    assert code in (0, 3)
    assert re.search(r"! skipped +bad\.pdf: ", capsys.readouterr().err)


# --- stopping, dying, going on ---


def test_ctrl_c(counted: Document, say: Say, tmp_path: Path) -> None:
    """Ctrl-C lets the present step end, says how to go on, and nothing is done twice."""
    log = tmp_path / "slow"

    with started(*slow_fork(counted, tmp_path, 0.3)) as process:
        wait_for(lambda: lines(log))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "Stopping after this step; Ctrl-C again to stop now." in error
    thread = re.findall(r"interlock resume ([0-9a-f]{8})", error)[-1]
    code, run = say("resume", thread)
    assert (code, run["output"]) == (0, {"count": 5})
    assert lines(log) == [*(f"step {number}" for number in range(1, 6)), "branch", "branch", "end"]


def test_sigterm(counted: Document, tmp_path: Path, say: Say) -> None:
    """SIGTERM drains as Ctrl-C does, and the document tells of it."""
    log = tmp_path / "slow"

    with started(*slow_fork(counted, tmp_path, 0.3, "--json")) as process:
        wait_for(lambda: lines(log))
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 143
    assert json.loads(out)["status"] == "queued"
    assert say("resume", json.loads(out)["thread_id"])[1]["output"] == {"count": 5}


def test_ctrl_c_twice(counted: Document, tmp_path: Path, say: Say) -> None:
    """A second Ctrl-C stops in the middle of a step, and what came before is kept."""
    with started(*slow_fork(counted, tmp_path, 600, "--json")) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "offline" in line:
                break
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "Stopping" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    document = json.loads(out)
    assert document["error"]["kind"] == "Stopped"
    history = say("history", document["thread_id"])[1]
    assert (history["status"], history["steps"][-1]["next"]) == ("queued", ["step"])


def test_busy(counted: Document, tmp_path: Path, say: Say) -> None:
    """Of two that resume one thread, the second is told that the first works on it."""
    log = tmp_path / "slow"

    with started(*slow_fork(counted, tmp_path, 1.0)) as process:
        wait_for(lambda: [each for each in say("status")[1]["threads"] if each["alive"]])
        thread = say("status")[1]["threads"][0]["thread_id"]
        code, document = say("resume", thread)
        assert (code, document["error"]["kind"]) == (1, "ThreadBusy")
        wait_for(lambda: "step 2" in lines(log))  # so the first is saved
        process.kill()

    wait_for(lambda: not say("status")[1]["threads"][0]["alive"])
    code, run = say("resume", thread)
    assert (code, run["output"]) == (0, {"count": 5})
    assert lines(log).count("step 1") == 1


def test_detach(counted: Document, tmp_path: Path, say: Say) -> None:
    """A detached run goes on when everything around it is killed, and can be looked at meanwhile."""
    with started(
        *slow_fork(counted, tmp_path, 0.2, "--detach", "--json"), start_new_session=True
    ) as process:
        out, _ = process.communicate(timeout=PATIENCE)
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    document = json.loads(out)
    assert "detached" in document, document
    detached = document["detached"]

    assert process.returncode == 0
    assert os.getsid(detached["pid"]) == detached["pid"]
    wait_for(lambda: say("status")[1]["threads"][0]["status"] == "succeeded")
    wait_for(lambda: "count: 5" in Path(detached["log"]).read_text())
    assert say("resume", document["thread_id"], "--detach")[0] == 2


def test_detach_embedded(
    short_folder: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded server stays up for a detached run, and stops after it."""
    monkeypatch.delenv("INTERLOCK_DATABASE_URL")
    monkeypatch.setenv("INTERLOCK_DATA_DIR", str(short_folder / "detached"))
    log = tmp_path / "log"

    with started("run", "counter", "--goal=20", f"--log={log}", "--detach", "--json") as process:
        out, _ = process.communicate(timeout=PATIENCE)
    run = json.loads(out)

    assert process.returncode == 0
    wait_for(lambda: lines(log)[-1:] == ["end"])
    wait_for(lambda: say("db", "info")[1]["running"] is False)
    assert say("status")[1]["threads"][0]["status"] == "succeeded"
    assert run["detached"]["log"].startswith(str(short_folder / "detached"))


def test_closed_pipe(counted: Document) -> None:
    """A reader of standard output that goes away is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)

    with started("history", counted["thread_id"], stdout=writing) as process:
        _, error = process.communicate(timeout=PATIENCE)
    os.close(writing)

    assert (process.returncode, error) == (1, "")


def test_nobody_watches(counted: Document, tmp_path: Path) -> None:
    """A reader of standard error that goes away does not stop the run."""
    reading, writing = os.pipe()
    os.close(reading)

    with started(*slow_fork(counted, tmp_path, 0, "--json"), stderr=writing) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    os.close(writing)

    assert json.loads(out)["status"] == "succeeded", out
    assert lines(tmp_path / "slow")[-1] == "end"


# --- graphs, status, database ---


def test_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """A graph is drawn in the terminal, or as Mermaid."""
    assert execute(["graph", "counter"]) == 0
    assert "│  step  │╌╯" in capsys.readouterr().out
    assert execute(["graph", "counter", "--mermaid"]) == 0
    assert "step -.-> branch;" in capsys.readouterr().out


def test_graph_of_a_thread(
    counted: Document, tmp_path: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a thread each node's count is drawn; a picture is written where it is wished."""
    picture = tmp_path / "new" / "counter.png"

    code, document = say(
        "graph", "counter", "--thread", counted["thread_id"], "--png", str(picture)
    )
    assert (code, document["counts"]["step"], document["png"]) == (0, 3, str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert execute(["graph", "counter", "--thread", counted["thread_id"]]) == 0
    assert "step \N{MULTIPLICATION SIGN}3" in capsys.readouterr().out
    assert say("graph", "payment", "--thread", counted["thread_id"])[0] == 2


def test_status(
    counted: Document, asked: Document, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    """The latest threads are listed, newest first, by graph where that is wished."""
    _, document = say("status")
    assert [each["graph"] for each in document["threads"]] == ["payment", "counter"]
    assert document["counts"] == {"waiting": 1, "succeeded": 1}
    assert len(say("status", "--graph", "counter")[1]["threads"]) == 1
    assert execute(["status"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{asked['thread_id'][:8]} +payment +waiting", text)
    assert NOTICE in text


def test_reset(counted: Document, say: Say) -> None:
    """A reset needs a yes, and empties the database."""
    assert say("db", "reset")[0] == 2
    assert len(say("status")[1]["threads"]) == 1
    assert say("db", "reset", "--yes")[0] == 0
    assert say("status")[1]["threads"] == []
    assert say("db", "migrate")[1] == {"migrated": []}


def test_database(say: Say, database_url: str) -> None:
    """The database's address and version can be asked for; one that is not ours is not stopped."""
    assert say("db", "url")[1] == {"url": database_url}
    assert say("db", "info")[1]["pending"] == "none"
    assert say("db", "stop")[0] == 2
