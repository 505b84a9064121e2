"""The command line against a server: the same commands, the same words, the same codes as against its database."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
import pytest

from interlock import __version__
from interlock.cli.places import LOCAL
from interlock.cli.program import execute, program
from interlock.core.answers import AnswerForm, Approve, Edit, Reject, Respond, Resume
from interlock.errors import BudgetSpent, InterlockError, Killed, NotFound, ReplayDiverged
from interlock.facade import Interlock
from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.remote.codec import decode_error, encode_error
from interlock.remote.own import Own
from interlock.remote.signatures import shape_of
from interlock.server.bridging.table import SERVED
from interlock.server.callers import Role
from tests.server.conftest import SAMPLE, serving
from tests.server.test_tenants import SECRET, fill, insert, make_keys

CONFIG = ["--config", str(SAMPLE)]


class Place(NamedTuple):
    """A server whose database holds one of everything, of the tenant `bolt`."""

    server: str
    database: str
    keys: dict[str, str]
    ids: dict[str, str]


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # JSON
        """The one document on standard output."""
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture(scope="module")
def place(server_database: str) -> Iterator[Place]:
    """A server with two tenants, one of which has one of everything."""
    keys = asyncio.run(make_keys(server_database)) | asyncio.run(_make_roles(server_database))
    with serving(server_database) as server:
        ids = asyncio.run(asyncio.to_thread(fill, server, keys["bolt"], keys["root"]))
        ids |= insert(server_database, ids)
        yield Place(server, server_database, keys, ids)


@pytest.fixture
def there(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the server, with the key of somebody; an empty one sends none."""

    def run(*arguments: str, key: str = "root", server: str = "") -> Said:
        monkeypatch.setenv("INTERLOCK_API_KEY", place.keys.get(key, key))
        return _said(capsys, *arguments, "--server", server or place.server)

    return run


@pytest.fixture
def here(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the database."""

    def run(*arguments: str) -> Said:
        monkeypatch.delenv("INTERLOCK_API_KEY", raising=False)
        return _said(capsys, *arguments, "--url", place.database, *CONFIG)

    return run


LOOKING = (
    "run echo --help",
    "history {thread_id}",
    "history {thread_id} --inside",
    "history {thread_id} --tree",
    "show {thread_id}",
    "show {thread_id} --at 0 --key topic",
    "show {thread_id} --key no",
    "diff {thread_id} {thread_id}",
    "approvals list",
    "approvals show {question_id}",
    "approvals notifications",
    "effects list",
    "effects show {key}",
    "effects refused",
    "budget list",
    "budget show thread {thread_id}",
    "budget show run {thread_id}",
    "limits list --all",
    "limits show provider:openai",
    "kill list --all",
    "kill show {number}",
    "kill show 4711",
    "letters list --all",
    "letters show {letter_id}",
    "cron list",
    "cron show nothing",
    "timers list --over",
    "policy show",
    "policy explain --action unheard_of --set amount=700",
    "policy explain --action unheard_of --set amoun=700",
    "graph nested",
    "graph nested --mermaid",
    "graph asks --thread {thread_id}",
    "graph echo --thread {thread_id}",
    "wait {thread_id}",
    "wait nothing",
    "cancel nothing",
    "resume {thread_id}",
    "approvals approve {question_id}",
    "approvals edit {question_id} --set a=1",
    "approvals reject {question_id} --reason no",
    "approvals respond {question_id} --message no",
    "fork {thread_id} --at 77",
    "fork {thread_id} --at 0 --set nothing=1",
    "run nothing",
)
"""Commands that change nothing here, each with what it is told of."""


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_prints_the_same_as_against_the_database(
    command: str, place: Place, here: Run, there: Run
) -> None:
    """What a person reads, what a program reads, and the exit code are the same."""
    words = command.format(**place.ids).split()

    assert _timeless(there(*words)) == _timeless(here(*words))
    assert there(*words, "--json") == here(*words, "--json")


def test_the_status_is_the_same_but_for_the_address(place: Place, here: Run, there: Run) -> None:
    """`status` names the server, and tells the same of threads, counts and needs; `--check` has the same code."""
    at_server, at_database = there("status", "--json").json, here("status", "--json").json

    assert at_server.pop("server") == place.server
    for each in ("threads", "counts", "needs"):
        assert at_server[each] == at_database[each]
    assert at_server["threads"]
    assert there("status", "--check").code == here("status", "--check").code == 1


def test_a_run_is_done_by_the_servers_workers_and_watched(there: Run) -> None:
    """`run` hands the run over, shows its steps, and prints its output."""
    said = there("run", "steps", "--count", "3")

    assert said.code == 0
    assert said.out.split() == ["count:", "3", "done:", "-", "0", "-", "1", "-", "2"]
    assert "takes it on" in said.err
    assert said.err.count("✓ step") == 3


def test_a_run_that_asks_is_answered_from_the_command_line(there: Run) -> None:
    """`run` ends with 3 at a question, `approvals answer` goes on and ends with it at the next one, and so on."""
    asked = there("run", "asks", "--topic", "tea", "--json")
    first = asked.json["questions"][0]["id"]
    again = there("approvals", "answer", first, "--value", '"hot"', "--json")
    second = again.json["questions"][0]["id"]
    ended = there("approvals", "answer", second[:10], "--value", '"gone"')

    assert (asked.code, again.code, ended.code) == (3, 3, 0)
    assert "- hot" in ended.out
    assert "- gone" in ended.out
    assert there("approvals", "show", first, "--json").json["answered_by"] == "root"
    assert there("approvals", "answer", first, "--value", "1").code == 2


def test_a_run_is_submitted_waited_for_watched_and_forked(there: Run) -> None:
    """What `submit` accepts, `wait`, `watch` and `fork` go on with."""
    run = there("submit", "echo", "--said", "abc", "--json").json
    waited = there("wait", run["run_id"], "--json")
    watched = there("watch", run["run_id"], "--json")
    forked = there("fork", run["thread_id"], "--at", "0", "--set", "said=12", "--json")

    assert waited.json["output"] == {"said": "abc", "answered": "cba"}
    assert [json.loads(line)["kind"] for line in watched.out.splitlines()][-1] == "succeeded"
    assert forked.code == 0
    assert forked.json["output"] == {"said": "12", "answered": "21"}


def test_waiting_ends_after_its_time(there: Run) -> None:
    """`wait --timeout` ends with 124, names the run, and leaves it; `cancel` ends it, under the key's name."""
    run = there("submit", "steps", "--count", "500", "--seconds", "0.2", "--json").json
    waited = there("wait", run["thread_id"], "--timeout", "300ms")
    cancelled = there("cancel", run["run_id"], "--reason", "enough", "--json")

    assert waited.code == 124
    assert f"{run['run_id']} has not ended within 0.3 seconds; it goes on." in waited.err
    assert cancelled.json["status"] == "cancelled"
    assert cancelled.json["error"]["message"] == "It was cancelled by root: enough."


def test_a_run_that_failed_is_resumed_by_the_servers_workers(there: Run) -> None:
    """`resume` replays the dead letter of a run, and follows it to its end."""
    failed = there("run", "fails", "--said", "x", "--json")
    again = there("resume", failed.json["thread_id"], "--json")

    assert failed.json["status"] == again.json["status"] == "dead"
    assert again.json["run_id"] == failed.json["run_id"]
    assert failed.code == again.code == 1


def test_settings_of_the_installation_are_made_there(here: Run, there: Run) -> None:
    """Budgets, rates, crons and switches that are set at the server are in its database."""
    assert there("budget", "set", "graph", "echo", "usd=3").code == 0
    assert here("budget", "show", "graph", "echo", "--json").json["stored_limits"] == {"usd": 3.0}
    assert there("budget", "remove", "graph", "echo").code == 0
    assert there("limits", "set", "provider:openai", "--rpm", "5").code == 0
    assert "5" in here("limits", "show", "provider:openai").out
    assert there("limits", "remove", "provider:openai", "--json").json["removed"] is True
    assert there("cron", "set", "nightly", "echo", "0 3 * * *", "--paused").code == 0
    assert here("cron", "show", "nightly", "--json").json["enabled"] is False
    assert there("cron", "resume", "nightly", "--json").json["enabled"] is True
    assert there("cron", "remove", "nightly").code == 0
    assert here("cron", "show", "nightly").code == 2


def test_a_switch_is_thrown_and_lifted_there(here: Run, there: Run) -> None:
    """`kill` stops what runs under the key's name, warns of an unknown graph, and `kill lift` lifts it."""
    thrown = there("kill", "graph", "nosuch", "--reason", "a test", "--json")
    number = str(thrown.json["id"])
    unknown = there("kill", "graph", "nosuch", "--reason", "a test")

    assert "No graph 'nosuch' ever ran here" in unknown.out + unknown.err
    assert here("kill", "show", number, "--json").json["by"] == "root"
    assert there("kill", "lift", number, "--reason", "done").code == 0
    assert here("kill", "list", "--json").json == there("kill", "list", "--json").json


FOREIGN = (
    "history {thread_id}",
    "show {thread_id}",
    "diff {thread_id} {thread_id}",
    "fork {thread_id} --at 0",
    "fork {thread_id} --at 0 --set topic=mine",
    "replay {thread_id}",
    "resume {thread_id}",
    "resume {thread_id} --detach",
    "watch {thread_id}",
    "wait {thread_id}",
    "wait {thread_id} --all",
    "cancel {thread_id}",
    "cancel {run_id}",
    "submit echo --thread {thread_id}",
    "graph asks --thread {thread_id}",
    "approvals show {question_id}",
    "approvals answer {question_id} --value 1 --no-run",
    "approvals approve {question_id}",
    "approvals edit {question_id} --set a=1",
    "approvals reject {question_id}",
    "approvals respond {question_id} --message mine",
    "approvals list --thread {thread_id}",
    "effects show {key}",
    "effects list --thread {thread_id}",
    "effects resolve {key} --did-not",
    "letters show {letter_id}",
    "letters replay {letter_id}",
    "letters repair {letter_id}",
    "letters discard {letter_id} --reason mine",
    "letters discard --all --tenant bolt --reason mine",
    "budget show thread {thread_id}",
    "budget show tenant bolt",
    "budget set thread {thread_id} usd=1",
    "budget set tenant bolt usd=1",
    "budget remove run {thread_id}",
    "kill thread {thread_id} --reason mine",
    "kill run {run_id} --reason mine",
    "kill tenant bolt --reason mine",
    "kill show {number}",
    "kill lift {number}",
    "cron show {cron_id}",
    "cron pause {cron_id}",
    "cron resume {cron_id}",
    "cron remove {cron_id}",
    "cron set {cron_id} echo 0-0-1-1-*",
    "timers list --thread {thread_id}",
)
"""Commands about what is another tenant's."""


@pytest.mark.parametrize("command", FOREIGN)
def test_a_tenants_things_are_not_there_for_another(command: str, place: Place, there: Run) -> None:
    """Each command with the key of another tenant's administrator says that there is no such thing."""
    words = [each.replace("0-0-1-1-*", "0 0 1 1 *") for each in command.format(**place.ids).split()]

    said = there(*words, "--json", key="acme")

    assert (said.code, said.json["error"]["kind"]) == (2, "NotFound"), said


@pytest.mark.parametrize("shown", [(), ("--json",)])
@pytest.mark.parametrize(
    "command",
    [
        "status",
        "status --check",
        "approvals list",
        "approvals notifications",
        "effects list",
        "effects refused",
        "budget list",
        "limits list --all",
        "kill list --all",
        "letters list --all",
        "cron list",
        "timers list --over",
    ],
)
def test_lists_tell_a_tenant_nothing_of_another(
    command: str, shown: tuple[str, ...], place: Place, there: Run
) -> None:
    """What one tenant lists holds no word and no id of the other."""
    said = there(*command.split(), *shown, key="acme")

    assert said.code == 0
    assert SECRET not in said.out
    assert not {name for name in (place.ids["thread_id"], "bolt") if name in said.out}


@pytest.mark.parametrize(
    ("role", "command", "allowed"),
    [
        ("viewer", "history {thread_id}", True),
        ("viewer", "submit echo", False),
        ("viewer", "cancel {other_thread}", False),
        ("operator", "submit echo", True),
        ("operator", "approvals answer {question_id} --value 1", False),
        ("operator", "effects resolve {key} --did-not", False),
        ("operator", "budget set graph echo usd=1", False),
        ("approver", "submit echo", False),
        ("approver", "letters replay {letter_id}", False),
        ("approver", "kill graph echo --reason mine", False),
    ],
)
def test_a_key_may_do_what_its_role_may(
    role: str, command: str, allowed: bool, place: Place, there: Run
) -> None:
    """A command takes the right that the same request over HTTP takes."""
    said = there(*command.format(**place.ids).split(), "--json", key=role)

    assert (said.code == 0) is allowed
    assert allowed or said.json["error"]["kind"] == "Forbidden"


@pytest.mark.parametrize(
    "command",
    [
        "kill all --reason mine",
        "kill graph echo --reason mine",
        "budget set graph echo usd=1",
        "limits set provider:openai --rpm 1",
        "limits remove provider:openai",
        "timers retry --all",
        "approvals notifications --retry",
    ],
)
def test_what_holds_for_all_is_no_tenants_to_say(command: str, there: Run) -> None:
    """A tenant's administrator may not stop or limit others."""
    said = there(*command.split(), "--json", key="acme")

    assert (said.code, said.json["error"]["kind"]) == (2, "Forbidden")


def test_a_tenants_letters_are_meant_by_all(place: Place, here: Run, there: Run) -> None:
    """`letters discard --all` under a tenant's key leaves those of another."""
    before = here("letters", "list", "--json").json

    assert there("letters", "discard", "--all", "--reason", "mine", "--json", key="acme").json == {
        "letters": []
    }
    assert here("letters", "list", "--json").json == before


def test_a_key_is_asked_for_and_must_be_known(there: Run) -> None:
    """A wrong key is said to be wrong, no key of ours comes no further, and it is told where a key is looked for."""
    said = there("status", "--json", key="ilk_wrong")

    assert (said.code, said.json["error"]["kind"]) == (2, "Unauthorized")
    assert "INTERLOCK_API_KEY" in said.json["error"]["hint"]


def test_who_says_so_is_the_key(place: Place, there: Run) -> None:
    """`--by` cannot name another than the key's holder."""
    said = there("cancel", place.ids["run_id"], "--by", "boss")

    assert said.code == 2
    assert "takes no --by" in said.err


def test_a_server_that_does_not_answer_is_named(there: Run) -> None:
    """The address is in the message, and the code is that of a lost database."""
    said = there("status", "--json", server="http://127.0.0.1:9")
    checked = there("status", "--check", server="http://127.0.0.1:9")

    assert (said.code, said.json["error"]["kind"]) == (1, "ServerUnavailable")
    assert "http://127.0.0.1:9 does not answer" in said.json["error"]["message"]
    assert checked.code == 2


def test_a_command_line_of_another_version_is_refused(place: Place) -> None:
    """The server says which version it is, and which it was asked by."""
    headers = {"x-api-key": place.keys["root"], "Interlock-Version": "0.0.1"}

    answer = httpx.post(f"{place.server}/bridge/health", headers=headers, json={})

    assert answer.status_code == 422
    assert f"The server is Interlock {__version__}, and the command line is 0.0.1." in answer.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://127.0.0.1", "'ftp://127.0.0.1' is no server's address."),
        ("http://me:secret@127.0.0.1", "A server's address holds no name and no password."),
        ("http://agents.example.com", "The key would go to agents.example.com unencrypted."),
    ],
)
def test_a_key_goes_nowhere_in_the_clear(address: str, said: str, there: Run) -> None:
    """What is no address, or would show the key to others, is refused before anything is sent."""
    refused = there("status", server=address)

    assert refused.code == 2
    assert said in refused.err
    assert "secret" not in refused.err


def test_a_call_is_about_one_place(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`--server` with `--url` is refused; `--url` goes before the server that the environment names."""
    both = _said(capsys, "status", "--server", place.server, "--url", place.database)

    assert both.code == 2
    assert "about a server or about a database" in both.err


def test_the_environment_may_name_the_server(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """INTERLOCK_SERVER stands for --server, and --url goes before it."""
    monkeypatch.setenv("INTERLOCK_SERVER", place.server)

    assert _said(capsys, "status", "--json").json["server"] == place.server
    at_url = _said(capsys, "status", "--json", "--url", place.database, *CONFIG).json
    assert at_url["server"].startswith("postgresql://")


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_what_asks_no_server_says_what_to_do_instead(name: str, there: Run) -> None:
    """Commands of the database or of this machine are refused, also those below them."""
    said = there(*_leaf(name))

    assert said.code == 2
    assert f"`interlock {name}` asks no server. {LOCAL[name]}" in said.err


def test_what_is_served_is_what_both_sides_know() -> None:
    """Each method that a server answers has types that both sides can read."""
    for method in SERVED:
        shape = shape_of(method)

        assert "return" in shape.hints, method
        assert set(shape.signature.parameters) <= set(shape.hints), method
    own = {name for name in vars(Own) if not name.startswith("_")} - {"ask"}
    assert own <= set(SERVED)
    assert not own & set(dir(Interlock))


def test_a_thread_is_replayed_there(here: Run, there: Run) -> None:
    """`replay` tells what it tells against the database, but for the names of what it made."""
    thread = there("run", "steps", "--count", "2", "--json").json["thread_id"]

    at_server, at_database = there("replay", thread, "--json"), here("replay", thread, "--json")

    assert (at_server.code, at_server.json["same"]) == (0, True)
    for each in ("of", "same", "changed", "divergence", "model_calls_answered", "effects_answered"):
        assert at_server.json[each] == at_database.json[each]
    assert at_server.json["run"]["output"] == at_database.json["run"]["output"]


def test_the_status_is_kept_up_to_date(place: Place) -> None:
    """`status --live --json` prints a document again and again until a signal."""
    with _process(place, "status", "--live", "--json") as looking:
        assert looking.stdout is not None
        first, second = (json.loads(looking.stdout.readline()) for _ in range(2))
        looking.send_signal(signal.SIGTERM)
        assert looking.wait(timeout=30) == 0

    assert first["error"] is second["error"] is None
    assert first["health"]["at"] < second["health"]["at"]


def test_ctrl_c_leaves_the_run_going(place: Place, there: Run) -> None:
    """A signal ends the looking, not the run, and says how to look again or to stop it."""
    with _process(place, "run", "steps", "--count", "1000", "--seconds", "0.1") as looking:
        assert looking.stderr is not None
        while "✓ step" not in (line := looking.stderr.readline()):
            assert line, "it ended"
        looking.send_signal(signal.SIGINT)
        rest = looking.stderr.read()
    assert "The run goes on at the server" in rest, rest
    thread = re.findall("interlock watch ([0-9a-f]+)", rest)[0]

    assert looking.returncode == 130
    assert there("history", thread, "--json").json["status"] == "running"
    assert there("cancel", thread, "--json").json["status"] == "cancelled"


def test_looking_on_survives_another_server(place: Place, here: Run) -> None:
    """`watch` goes on behind the last event when the server at its address is another process."""
    port = str(_free_port())
    looked = place._replace(server=f"http://127.0.0.1:{port}")

    with serving(place.database, "--port", port, workers=0):
        run = here("submit", "steps", "--count", "40", "--seconds", "0.2", "--json").json
        looking = _process(looked, "watch", run["run_id"], "--json")
        assert looking.stdout is not None
        lines = [looking.stdout.readline() for _ in range(8)]
    with serving(place.database, "--port", port, workers=0), looking:
        lines += looking.stdout.readlines()
    events = [json.loads(line) for line in lines]
    steps = [each["detail"]["step"] for each in events if each["kind"] == "step"]

    assert looking.returncode == 0
    assert steps == list(range(-1, 41))
    assert len({each["key"] for each in events}) == len(events)
    assert events[-1]["kind"] == "succeeded"


async def _make_roles(database: str) -> dict[str, str]:
    roles: tuple[Role, ...] = ("viewer", "operator", "approver")
    async with open_pool(database, size=1) as pool:
        return {each: (await KeyStore(pool).create(each, [each])).secret for each in roles}


def _process(place: Place, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "interlock", *arguments, "--server", place.server],
        env=os.environ | {"INTERLOCK_API_KEY": place.keys["root"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def _timeless(said: Said) -> Said:
    """Return what was said without how long ago something was: a second may pass between two looks."""
    return said._replace(out=re.sub(r"\d+ (s|min|h|d) ago *", "… ago", said.out))


@pytest.mark.parametrize(
    "answer",
    [
        Approve("q", "me", "fine", "abc"),
        Edit("q", {"amount": 3}, "me"),
        Reject("q", "no", "me"),
        Respond("q", "why?", "me"),
        Resume("q", {"any": ["thing"]}, "me"),
    ],
)
def test_an_answer_arrives_as_what_it_is(answer: AnswerForm) -> None:
    """Answers that have the same fields are told apart."""
    shape = shape_of("submit_answers")

    sent = json.loads(json.dumps(shape.written("thread", [answer])))

    assert shape.read(sent)["answers"] == [answer]


@pytest.mark.parametrize(
    "error",
    [
        NotFound("There is none.", hint="Look."),
        BudgetSpent("It is spent.", scope="run", unit="usd"),
        Killed("It is killed.", hint="Lift it.", kill=3),
        ReplayDiverged("No.", node="n", kind="model", requested="r", differs=("a", "b")),
    ],
)
def test_an_error_arrives_as_what_it_is(error: InterlockError) -> None:
    """An error keeps its kind, its words, its exit code and what it carries."""
    arrived = decode_error(json.loads(json.dumps(encode_error(error))))

    assert type(arrived) is type(error)
    assert (str(arrived), arrived.exit_code) == (str(error), error.exit_code)
    assert vars(arrived) == vars(error)


def test_each_command_is_tried_here_or_asks_no_server() -> None:
    """A new command is tried against a server, or says that it asks none."""
    tried = " ".join([*LOOKING, *FOREIGN, *Path(__file__).read_text(encoding="utf-8").splitlines()])
    forgotten = [
        " ".join(words)
        for words in _leaves(program)
        if not any(" ".join(words[:n]) in LOCAL for n in range(1, len(words) + 1))
        and " ".join(words) not in tried
        and ", ".join(f'"{each}"' for each in words) not in tried
    ]

    assert forgotten == []


def _leaves(group: click.Group, *before: str) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group) and command.commands:
            yield from _leaves(command, *before, name)
        else:
            yield [*before, name]


def _leaf(name: str) -> list[str]:
    """Return a command of this name, or the first below it, with something for each of its arguments."""
    command: click.Command = program
    words = name.split()
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    while isinstance(command, click.Group):
        word, command = next(iter(command.commands.items()))
        words.append(word)
    needed = [each for each in command.params if each.required]
    for each in needed:
        words += [each.opts[0]] if isinstance(each, click.Option) else []
        words.append(each.type.choices[0] if isinstance(each.type, click.Choice) else "1")
    return words


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    capsys.readouterr()
    code = execute(arguments)
    captured = capsys.readouterr()
    return Said(code, captured.out, captured.err)
