"""A policy's file: what it says, what is refused and how, and what happens when it changes."""

from __future__ import annotations

import logging
import os
import re
import threading
from pathlib import Path

import pytest

from interlock.core import policy_file
from interlock.core.policy import BUILT_IN, Escalation, Facts, Terms
from interlock.core.policy_cases import load_cases, run_cases
from interlock.core.policy_file import PolicyFile, load, policies_from
from interlock.core.policy_rules import Range, When
from interlock.core.trust import Earning
from interlock.errors import PolicyInvalid

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
GOOD = """
version = 1
[[rules]]
name = "large"
when = { action = "refund", amount = { over = 500 } }
then = "ask"
who = ["ana", "ben"]
needed = 2
within = "1d2h"
remind = "90s"
chain = [{ after = "2h", who = "cfo" }]
[[rules]]
name = "reading"
when = { action = ["read", "list*"], risk = "low" }
then = "allow"
because = "It changes nothing."
[otherwise]
then = "deny"
"""
SAME_IN_YAML = """
# The same in another form, with a comment and other orders of keys.
otherwise: {then: deny}
rules:
  - then: ask
    name: large
    when: {amount: {over: 500.0}, action: [refund]}
    needed: 2
    who: [ana, ben]
    chain: [{who: [cfo], after: 120m}]
    within: 26h
    remind: 1m30s
  - name: reading
    because: It changes nothing.
    when: {action: [read, list*], risk: [low]}
    then: allow
version: 1
"""
WIRE = Facts(action="wire", risk="high", reversible=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(GOOD)
    return path


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(PolicyInvalid) as raised:
        load(path)
    return str(raised.value)


def test_what_a_file_says(file: Path) -> None:
    """Each key becomes what a decision uses: names in lists, times in seconds."""
    policy = load(file)
    large, reading = policy.rules

    assert policy.name == "policy"
    assert large.when == When(action=("refund",), amount=Range(over=500))
    assert large.terms == Terms(
        who=("ana", "ben"),
        needed=2,
        within=93600.0,
        remind=90.0,
        chain=(Escalation(after=7200.0, who=("cfo",)),),
    )
    assert reading.when == When(action=("read", "list*"), risk=("low",))
    assert (reading.then, reading.because) == ("allow", "It changes nothing.")
    assert policy.decide(WIRE).ruling == "deny"
    assert not policy.uses_trust


def test_one_policy_in_two_formats(file: Path, tmp_path: Path) -> None:
    """Format, comments, orders of keys and ways to write a time do not change the digest; a rule does."""
    yaml = tmp_path / "p.yaml"
    yaml.write_text(SAME_IN_YAML)
    digest = load(file).digest
    file.write_text(GOOD.replace("500", "501"))

    assert load(yaml).digest == digest
    assert load(file).digest != digest


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """The page's policy is valid, and its cases pass."""
    (tmp_path / "policy.toml").write_text(block("toml"))
    (tmp_path / "cases.yaml").write_text(block("yaml"))
    policy = load(tmp_path / "policy.toml")
    outcomes = run_cases(policy, load_cases(tmp_path / "cases.yaml"))

    assert [each.case.name for each in outcomes if not each.passed] == []
    assert len(outcomes) == 3
    assert policy.trust is not None
    assert policy.trust.earnings == (
        Earning(agent=("support",), action=("refund",), start="ask", at_most="act"),
    )
    assert policy.trust.terms == Terms(who=("lea",))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("over = 500", "ovr = 500", 'rule "large", when.amount.ovr is not a key here; over is'),
        ("over = 500", "over = nan", "when.amount.over is nan: it should be a finite number"),
        ("over = 500", "over = 5, under = 5", "when.amount: no number is over 5 and under 5"),
        ("over = 500", "over = 5, at_least = 4", "two lower or two upper bounds"),
        ("over = 500", 'over = "500"', "when.amount.over is '500': it should be a valid number"),
        ("{ over = 500 }", "500", "when.amount is 500: write a table with keys"),
        ("{ over = 500 }", "{}", "when.amount: the range is empty"),
        ("amount = {", "confidence = {", "confidence is a number from 0 to 1"),
        ('then = "ask"', 'then = "ak"', "then is 'ak': it should be 'allow', 'ask' or 'deny'"),
        ("needed = 2", "needed = 4", "4 must agree, and only 3 may"),
        ("needed = 2", "needed = 0", "needed is 0: it should be greater than or equal to 1"),
        ('who = ["ana", "ben"]\nneeded = 2\n', "", "chain asks others too"),
        ('"1d2h"', "4", "within: 4 is no time"),
        ('"1d2h"', '"1h"', "come before the deadline"),
        ('within = "1d2h"', 'default = "approve"', "there is no deadline"),
        ('{ after = "2h", who = "cfo" }', '{ after = "2h" }', "chain.1.who is missing"),
        ('"list*"], risk', '" list"], risk', "' list' is no name"),
        ('["read", "list*"]', "[]", "when.action: the list is empty"),
        ('{ action = ["read", "list*"], risk = "low" }', "{}", "when: there is no condition"),
        ('"reading"', '"large"', 'two rules have the name "large"'),
        ('"reading"', '"otherwise"', "the name otherwise is taken"),
        ('name = "reading"\n', "", "rule 2, name is missing"),
        ('then = "allow"', 'then = "allow"\nwho = "me"', "who says how to ask"),
        ('then = "allow"', 'then = "allow"\nunless_trusted = true', "goes with then = 'ask'"),
        ('then = "ask"', 'then = "ask"\nunless_trusted = true', "add a [trust] section"),
        ('risk = "low"', 'trust = "act"', "add a [trust] section"),
        ("version = 1", "version = 2", "version is 2: it should be 1"),
        ("version = 1", "", "version is missing"),
        ('[otherwise]\nthen = "deny"', "", "otherwise is missing"),
        ('then = "deny"', 'then = "deny"\n[trust]', "trust.earned_by is missing"),
        ("version = 1", "version = 1\nversion = 1", "(at line 3, column 12)"),
        ("version = 1", "\x00", "cannot be understood"),
    ],
)
def test_what_means_nothing_is_refused(file: Path, old: str, new: str, said: str) -> None:
    """The message names the file, the rule and the key, and what to write instead."""
    assert old in GOOD
    message = refusal(file, GOOD.replace(old, new, 1))

    assert message.startswith(str(file))
    assert said in message


@pytest.mark.parametrize(
    "everything", ['{ action = "*" }', '{ risk = ["low", "medium", "high", "critical"] }']
)
def test_a_rule_that_is_never_reached(file: Path, everything: str) -> None:
    """Behind a rule that matches everything no rule says anything."""
    text = GOOD.replace('{ action = "refund", amount = { over = 500 } }', everything)

    assert (
        'rule "reading" can never be reached: "large" matches before it; put the narrower rule first'
        in refusal(file, text)
    )


def test_equal_conditions(file: Path) -> None:
    """A second rule of the same conditions is dead, unless the first one allows what it knows and leaves the rest."""
    rules = "\n".join(
        f'[[rules]]\nname = "{name}"\nwhen = {{ amount = {{ under = 50 }} }}\nthen = "{then}"'
        for name, then in (("one", "FIRST"), ("two", "SECOND"))
    )
    text = f'version = 1\n{rules}\n[otherwise]\nthen = "ask"\n'

    assert '"two" can never be reached' in refusal(
        file, text.replace("FIRST", "ask").replace("SECOND", "deny")
    )
    file.write_text(text.replace("FIRST", "allow").replace("SECOND", "deny"))
    assert load(file).decide(WIRE).rule == "two"


TRUST = """
[trust]
[[trust.earned_by]]
agent = "a"
action = "*"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[trust]", "[trust]\nconfidence = 1.0", "it should be less than 1"),
        ("[trust]", "[trust]\nleave_ask = 1", "it should be less than 1"),
        ("[trust]", "[trust]\nspot_check = 5", "it should be less than or equal to 1"),
        ("[trust]", '[trust]\nfalls_to = "none"', "it should be 'shadow', 'ask' or 'act'"),
        ('action = "*"', 'action = "*"\nstart = "act"\nat_most = "ask"', "is past at_most, ask"),
        ('action = "*"', "", "trust.earned_by.1.action is missing"),
        (
            'agent = "a"',
            'agent = "*"\naction = "*"\n[[trust.earned_by]]\nagent = "a"',
            "entry 1 of earned_by holds for everybody",
        ),
    ],
)
def test_trust_that_means_nothing_is_refused(file: Path, old: str, new: str, said: str) -> None:
    """So is the section on trust."""
    file.write_text(GOOD + TRUST)
    assert load(file).trusts("a", "anything")

    assert said in refusal(file, GOOD + TRUST.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n- name: a\n  name: b\n", "the key 'name' stands twice (at line 3, column 3)"),
        ("version: 1\nrules: [\n", "line 3"),
        ("just text", "holds no keys"),
        ("version: 1\notherwise:\n", "otherwise has no value"),
        (
            "version: 1\notherwise: {then: ask}\nrules:\n- {name: a, when: {amount: }, then: deny}",
            "amount has no value",
        ),
        (
            "version: 1\notherwise: {then: ask}\nrules:\n- {name: a, when: {action: no}, then: deny}",
            'rule "a", when.action.1 is False: it should be a valid string',
        ),
    ],
)
def test_yaml_that_could_be_misread_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Twice the same key, a forgotten value, and a word that YAML takes for another type."""
    assert said in refusal(tmp_path / "p.yaml", text)


def test_files_that_are_none(tmp_path: Path) -> None:
    """What cannot be read, is not UTF-8, too large, or of an unknown format is told in one line."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"name = '\xe9'")
    large = tmp_path / "large.toml"
    large.write_text("#" * 1_000_001)

    for path, said in (
        (tmp_path / "none.toml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, "is not UTF-8"),
        (large, "has 1,000,001 bytes"),
    ):
        with pytest.raises(PolicyInvalid, match=said):
            load(path)
    assert "is neither TOML nor YAML" in refusal(tmp_path / "policy.json", "{}")


# --- a file that changes ---


def replaced(path: Path, text: str) -> None:
    """Replace a file in one step, as an operator should."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)


def test_a_changed_file_holds_at_once(file: Path) -> None:
    """The next decision follows the new file, and without a change the policy is the same object."""
    policies = PolicyFile(file)
    before = policies.current()
    assert before.decide(WIRE).ruling == "deny"
    assert policies.current() is before

    replaced(file, GOOD.replace('then = "deny"', 'then = "ask"'))

    assert policies.current().decide(WIRE).ruling == "ask"
    assert policies.problem == ""


def test_a_change_in_the_same_instant(file: Path) -> None:
    """A change that leaves size, inode and time of the content as they were is seen too."""
    policies = PolicyFile(file)
    times = file.stat()
    file.write_text(GOOD.replace("500", "100"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert policies.current().rules[0].when.amount == Range(over=100)


def test_an_unchanged_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its last change lies back far enough to be told from another one, looking at its entry is enough."""

    def refuse(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    policies = PolicyFile(file)
    monkeypatch.setattr(policy_file, "SETTLING", -60.0)  # as if a minute had gone by
    monkeypatch.setattr(policy_file, "read", refuse)

    assert policies.current().name == "policy"
    replaced(file, GOOD)
    with pytest.raises(AssertionError, match="was read"):
        policies.current()


@pytest.mark.parametrize("broken", ["version = 1", "[[", None])
def test_a_file_that_breaks_later(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good policy stays in force, the reason is kept, and the log has it once; mending it ends that."""
    caplog.set_level(logging.WARNING)
    policies = PolicyFile(file)
    good = policies.current()
    if broken is None:
        file.unlink()
    else:
        replaced(file, broken)

    assert all(policies.current() is good for _ in range(3))
    assert policies.problem.startswith("Since 20")
    assert str(file) in policies.problem
    assert len(caplog.records) == 1
    assert good.digest[:12] in caplog.text

    replaced(file, GOOD)

    assert policies.current().digest == good.digest
    assert policies.problem == ""


def test_a_broken_file_at_the_start(file: Path) -> None:
    """A process does not begin under a policy that it cannot read."""
    file.write_text("[[")

    with pytest.raises(PolicyInvalid):
        PolicyFile(file)


def test_many_threads(file: Path) -> None:
    """While the file is replaced again and again every thread gets one of its valid policies."""
    texts = [GOOD.replace("500", str(500 + number)) for number in range(30)]
    allowed = {load_text(file, text) for text in texts}
    replaced(file, texts[0])
    policies, seen, ended = PolicyFile(file), set[str](), threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add(policies.current().digest)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number, text in enumerate(texts):
        replaced(file, "[[" if number % 5 == 4 else text)
    replaced(file, texts[-1])
    ended.set()
    for thread in threads:
        thread.join()

    assert seen <= allowed
    assert policies.current().digest == load(file).digest


def load_text(file: Path, text: str) -> str:
    replaced(file, text)
    return load(file).digest


def test_which_policy(file: Path) -> None:
    """With a file it holds, without one what is built in."""
    assert policies_from(file).current().name == "policy"
    assert policies_from(None).current() is BUILT_IN
