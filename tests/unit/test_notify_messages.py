"""What notifications say, and that no address or password is shown."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from interlock.core.questions import OpenQuestion, Vote
from interlock.errors import UsageError
from interlock.notify import message
from interlock.notify.targets import Apprise, check_installed, fingerprint, signature, targets_of
from interlock.postgres.outbox import Notice
from interlock.settings import Settings, load
from tests.questions import payload

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def question(**changes: Any) -> OpenQuestion:  # fields
    value = payload("0123456789abcdef", {"default": "reject"})
    asked = OpenQuestion(
        id="0123456789abcdef",
        thread_id="t",
        run_id="r",
        graph="payment",
        node="ask",
        interrupt_id="i",
        digest=value["question"]["digest"],
        payload=value,
        asked_at=NOON,
    )
    return replace(asked, **changes)


def notice(event: str = "asked", who: str = "", **changes: Any) -> Notice:  # fields of the question
    detail = {"decision": "approve"} if who else {}
    return Notice(
        id=7, target="x", tries=1, event=event, who=who, at=NOON, detail=detail,
        question=question(**changes),
    )  # fmt: skip


def test_a_message_holds_what_a_person_decides_by() -> None:
    """Summary, evidence, arguments, cost, who, how many, until when, and the commands that answer."""
    told = notice(
        assignees=("ann", "bob"),
        needed=2,
        votes=(Vote(by="ann", decision="approve"),),
        deadline=NOON,
    )

    assert message.text(told) == (
        "Pay Ann?\n"
        "• An invoice of 5.\n"
        "payee = ann\n"
        "amount = 5\n"
        "ledger = bank\n"
        "Cost: $0.25\n"
        "May answer: ann, bob\n"
        "2 people must agree; so far: ann\n"
        "Deadline: 2026-11-21 12:00 UTC; then it is rejected\n"
        "\n"
        "interlock approvals approve 01234567\n"
        "interlock approvals edit 01234567 --set payee=…\n"
        "interlock approvals reject 01234567 --reason …\n"
        "interlock approvals respond 01234567 --message …\n"
        "\n"
        "Question 0123456789abcdef, thread t"
    )


@pytest.mark.parametrize(
    ("payload", "told", "details"),
    [
        ({"question": "Refund it?", "amount": 20}, ["Refund it?", "amount = 20"], {"amount": 20}),
        ({"value": "Where?"}, ["Where?"], {}),
        ({"question": "Refund it?"}, ["Refund it?"], {}),
        ({"task": "Review it."}, ['{"task": "Review it."}'], {}),
        (
            {"task": "Review it.", "text": "Hello"},
            ['{"task": "Review it.", "text": "Hello"}', "task = Review it.", "text = Hello"],
            {"task": "Review it.", "text": "Hello"},
        ),
    ],
)
def test_all_that_another_application_asks_with_is_told(
    payload: dict[str, Any], told: list[str], details: dict[str, Any]
) -> None:  # JSON
    """What stands beside the question is what a person decides by."""
    asked = notice(payload=payload, digest="")

    assert message.lines(asked) == told
    assert message.document(asked)["question"]["details"] == details


def test_after_an_edit_the_command_names_what_it_approves() -> None:
    """A reader of the old message does not approve the new arguments by its command."""
    edited = notice(proposed={"payee": "ann", "amount": 4, "ledger": "bank"})

    assert message.commands_for(edited)[0] == (
        f"interlock approvals approve 01234567 --digest {edited.question.request[:8]}"
    )


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (notice(), "Approval needed: pay"),
        (notice("reminded"), "Still waiting for an answer: pay"),
        (notice("escalated"), "Escalated, still waiting for an answer: pay"),
        (notice("expired", "deadline"), "Nobody answered in time, rejected: pay"),
        (notice("answered", "bob"), "Answered by bob, approved: pay"),
    ],
)
def test_the_headline_says_what_happened(told: Notice, line: str) -> None:
    """One line for each event."""
    assert message.headline(told) == line


def test_a_closed_question_is_told_without_commands() -> None:
    """There is nothing to answer any more."""
    assert message.document(notice("answered", "bob", status="answered"))["commands"] == []


def test_the_webhook_s_document_has_these_fields_and_no_state() -> None:
    """Receivers are written against it."""
    document = message.document(notice())

    assert list(document) == [
        "version", "id", "event", "at", "who", "decision", "headline", "question", "commands",
    ]  # fmt: skip
    assert list(document["question"]) == [
        "id", "status", "thread_id", "graph", "action", "summary", "arguments", "details", "digest", "cost",
        "evidence", "decisions", "assignees", "needed", "agreed", "deadline", "default",
    ]  # fmt: skip


def test_text_for_slack_cannot_mention_or_link() -> None:
    """What a model wrote is escaped, and cut to what Slack takes."""
    asked = payload("a", {}, arguments={"payee": "<!channel> & <https://x|y>", "note": "z" * 9_000})
    body = message.slack(notice(payload=asked))

    words = "".join(each["text"]["text"] for each in body["blocks"])
    assert "payee = &lt;!channel&gt; &amp; &lt;https://x|y&gt;" in words
    assert max(len(each["text"]["text"]) for each in body["blocks"]) <= 3_000


def test_a_headline_is_one_line_whatever_the_name_is() -> None:
    """A line break in it would make another header of a mail."""
    assert "\n" not in message.headline(notice(payload={}, node="a\nBcc: b@example.com"))


def test_targets_are_shown_without_what_is_secret() -> None:
    """Names and fingerprints are stored and printed; paths, tokens and passwords are not."""
    settings = Settings(
        notify=(
            "webhook:https://hooks.example.com:8443/T0KEN",
            "slack:https://hooks.slack.com/services/T0KEN",
            "mailto:ops@example.com",
            "apprise:tgram://T0KEN/1",
        ),
        notify_secret="T0KEN",
        smtp="smtp://me:T0KEN@mail.example.com",
    )
    targets = targets_of(settings)

    assert [each.name for each in targets] == [
        "webhook hooks.example.com:8443",
        "slack hooks.slack.com",
        "mail ops@example.com",
        "apprise tgram",
    ]
    assert "T0KEN" not in repr((settings, targets, [fingerprint(each) for each in targets]))


def test_a_signature_is_over_the_time_and_the_body() -> None:
    """As docs/approvals.md tells receivers to check it."""
    expected = hmac.new(b"key", b'100.{"a": 1}', hashlib.sha256).hexdigest()

    assert signature("key", b'{"a": 1}', 100) == f"t=100,v1={expected}"


def test_a_mailbox_needs_a_mail_server() -> None:
    """It is said at the start, not at the first notification."""
    with pytest.raises(UsageError, match="there is no mail server"):
        targets_of(Settings(notify=("mailto:ops@example.com",)))


def test_apprise_is_asked_for_by_name_where_it_is_missing() -> None:
    """The extra is optional; its absence is one line."""
    with pytest.raises(UsageError, match=r"interlock-agents\[apprise\]"):
        check_installed([Apprise(address="tgram://a/b")])


@pytest.mark.parametrize("value", ["https://x", "webhook:ftp://x", "mailto:", "slack:x"])
def test_a_wrong_target_is_refused_without_repeating_it(value: str) -> None:
    """The variable may hold a secret, also where it is wrong."""
    with pytest.raises(UsageError, match="INTERLOCK_NOTIFY is wrong: write webhook:") as raised:
        load({"INTERLOCK_NOTIFY": f"{value}T0KEN" if value != "mailto:" else value})

    assert "T0KEN" not in str(raised.value)
