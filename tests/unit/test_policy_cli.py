"""`interlock policy` and `interlock trust`, as a person and as a program read them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.cli.policy_views import terms_text, time_text
from interlock.cli.program import execute
from interlock.core.policy import Escalation, Terms
from tests.questions import ask

POLICY = """
version = 1
[[rules]]
name = "large"
when = { action = "refund_declared", amount = { over = 500 }, risk = "high" }
then = "ask"
who = "ana"
[otherwise]
then = "allow"
[trust]
leave_shadow = 0.3
[[trust.earned_by]]
agent = "support"
action = "refund_declared"
"""
ACTIONS = '''
from interlock.core.actions import action


@action(name="refund_declared", touches="money", reversible=True, risk="high")
async def refund_declared(amount: int) -> str:
    """Refund."""
    return "done"


graph = None
'''
CASES = """
cases:
- {name: large, facts: {action: refund_declared, amount: 501, risk: high}, expect: ask, rule: large}
- {name: other, facts: {action: mail}, expect: allow}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy, cases, and an application that declares an action and has no graph that loads."""
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "cases.yaml").write_text(CASES)
    (tmp_path / "declaring.py").write_text(ACTIONS)
    (tmp_path / "langgraph.json").write_text('{"graphs": {"shop": "./declaring.py:graph"}}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_POLICY", "policy.toml")
    monkeypatch.setattr("interlock.core.actions._ACTIONS", {})
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:  # JSON
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_check(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A valid file is summed up; a broken one is told in one line, with the code 2."""
    assert execute(["policy", "check"]) == 0
    assert capsys.readouterr().out.startswith(
        "policy.toml is valid: policy policy, 1 rule, digest "
    )

    (place / "other.toml").write_text(POLICY.replace("over", "ovr"))
    assert execute(["policy", "check", "other.toml"]) == 2
    told = capsys.readouterr().err
    assert 'rule "large", when.amount.ovr is not a key here; over is.' in told
    assert told.count("\n") == 1

    assert execute(["policy", "check", "other.toml", "--json"]) == 2
    assert printed(capsys)["error"]["kind"] == "PolicyInvalid"


def test_check_without_a_file(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to check, and the message says how to name a file."""
    monkeypatch.delenv("INTERLOCK_POLICY")

    assert execute(["policy", "check"]) == 2
    assert "Name one, or set INTERLOCK_POLICY." in capsys.readouterr().err


def test_show(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule in its order, the last word, and trust."""
    assert execute(["policy", "show", "--json"]) == 0
    found = printed(capsys)

    assert [each["name"] for each in found["rules"]] == ["large", "otherwise"]
    assert found["rules"][0]["when"] == (
        "action is refund_declared and risk is high and amount is over 500"
    )
    assert found["trust"]["leave_shadow"] == 0.3

    assert execute(["policy", "show"]) == 0
    text = capsys.readouterr().out
    assert "large" in text
    assert "Trust is earned by:" in text


def test_explain_uses_the_declaration(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Risk and reversibility come from the action, what is set goes over them, and each fact says from where it is."""
    command = ["policy", "explain", "--action", "refund_declared", "--json"]
    assert execute([*command, "--set", "amount=700"]) == 0
    found = printed(capsys)

    assert (found["verdict"]["ruling"], found["verdict"]["rule"]) == ("ask", "large")
    assert found["verdict"]["terms"]["who"] == ["ana"]
    assert {key: found["facts"][key] for key in ("risk", "reversible", "amount")} == {
        "risk": "high",
        "reversible": True,
        "amount": 700,
    }
    assert [found["sources"][key] for key in ("action", "risk", "amount", "agent")] == [
        "given",
        "declared",
        "given",
        "assumed",
    ]

    assert execute([*command, "--set", "amount=700", "--set", "risk=low"]) == 0
    found = printed(capsys)
    assert found["verdict"]["rule"] == "otherwise"
    assert found["looked"][0]["unmet"] == ["risk is low, not high"]


def test_explain_in_words(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads why, what was assumed, and that an amount is not known."""
    assert execute(["policy", "explain", "--action", "refund_declared"]) == 0
    text = " ".join(capsys.readouterr().out.split())

    assert "risk high (declared)" in text
    assert "amount unknown (assumed)" in text
    assert "decides: amount not known, and only a rule that allows needs to know" in text
    assert "ask: Action is refund_declared" in text


def test_explain_without_an_application(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a langgraph.json an action is taken as irreversible; one that was named must be there."""
    (place / "langgraph.json").unlink()

    assert execute(["policy", "explain", "--action", "x", "--json"]) == 0
    assert printed(capsys)["facts"]["reversible"] is False
    assert execute(["policy", "explain", "--action", "x", "--config", "langgraph.json"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amount", "--set amount is no KEY=VALUE"),
        ("amount=much", "amount is 'much': it should be a valid number"),
        ("amount=nan", "amount is nan: it should be a finite number"),
        ("risk=huge", "risk is 'huge': it should be 'low', 'medium', 'high' or 'critical'"),
        ("reversible=perhaps", "reversible is 'perhaps': it should be a valid boolean"),
        ("amuont=3", "amuont is not a key here; amount is"),
    ],
)
def test_facts_that_are_none(
    place: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fact that means nothing is refused in words, with the code 2."""
    assert execute(["policy", "explain", "--action", "x", "--set", text]) == 2
    assert said in capsys.readouterr().err


def test_cases(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All cases pass: 0. One fails, by its ruling or by its rule: 1, and the table says which."""
    assert execute(["policy", "test", "cases.yaml"]) == 0
    assert "2 passed, 0 failed" in capsys.readouterr().out

    (place / "cases.yaml").write_text(CASES.replace("rule: large", "rule: other"))
    assert execute(["policy", "test", "cases.yaml", "--json"]) == 1
    found = printed(capsys)
    assert (found["passed"], found["failed"]) == (1, 1)
    assert [each["passed"] for each in found["cases"]] == [False, True]

    (place / "cases.yaml").write_text(CASES.replace("expect: allow", "expect: deny"))
    assert execute(["policy", "test", "cases.yaml"]) == 1
    assert "✗" in capsys.readouterr().out


def test_cases_that_are_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault in the table names its case."""
    (place / "cases.yaml").write_text(CASES.replace("expect: allow", "expects: allow"))

    assert execute(["policy", "test", "cases.yaml"]) == 2
    said = capsys.readouterr().err
    assert 'case "other", expect is missing' in said
    assert 'case "other", expects is not a key here; expect is' in said


def test_how_to_ask_in_words() -> None:
    """Terms read as the file has them."""
    terms = Terms(
        who=("ana", "ben"),
        needed=2,
        within=14400,
        remind=5400,
        chain=(Escalation(after=7200, who=("cfo",)),),
    )

    assert terms_text(terms) == (
        "2 of ana or ben must agree, reminded after 1h30m, after 2h cfo too, after 4h reject"
    )
    assert terms_text(Terms()) == "anybody"
    assert [time_text(each) for each in (90, 86400, 93784)] == ["1m30s", "1d", "1d2h3m4s"]


def test_judging(
    place: Path,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A judgement counts once, moves the standing, and is listed; who cannot earn trust is not judged."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    judge = ["trust", "judge", "support", "refund_declared"]

    assert execute(["trust", "list"]) == 0
    assert "Nobody was judged yet." in capsys.readouterr().out
    assert execute([*judge, "--right", "--about", "e1", "--json"]) == 0
    first = printed(capsys)
    assert (first["stage"], first["right"], first["lower_bound"]) == ("shadow", 1, 0.2699)

    assert execute([*judge, "--wrong", "--about", "e1"]) == 2
    assert "e1 was judged before: support with refund_declared, right." in capsys.readouterr().err
    assert execute([*judge, "--about", "e2"]) == 2
    assert "Say --right or --wrong." in capsys.readouterr().err
    assert execute(["trust", "judge", "support", "other", "--right", "--about", "e2"]) == 2
    assert "earn no trust with other" in capsys.readouterr().err

    assert execute([*judge, "--right", "--about", "e2"]) == 0
    assert capsys.readouterr().out == "support with refund_declared: ask, 0 right, 0 wrong.\n"
    assert execute(["trust", "list", "--json"]) == 0
    listed = printed(capsys)["standings"]
    assert [(each["agent"], each["stage"], each["needed"]) for each in listed] == [
        ("support", "ask", 0.95)
    ]
    assert execute(["trust", "list"]) == 0
    assert "95%" in capsys.readouterr().out


def test_a_short_key_and_the_whole_one_are_one_judgement(
    place: Path,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the screens show of a question's id counts as the id, and is not judged a second time."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    judge = ["trust", "judge", "support", "refund_declared"]

    async def asked() -> str:
        async with interlock.aopen(database_url) as il:
            [question] = await ask(il.store, {})
            return question.id

    name = asyncio.run(asked())

    assert execute([*judge, "--right", "--about", name[:8]]) == 0
    assert execute([*judge, "--right", "--about", name]) == 2
    assert f"{name} was judged before" in capsys.readouterr().err
