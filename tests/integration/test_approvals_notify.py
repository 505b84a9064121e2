"""Notifications: written with what they tell, delivered once, tried again, and never the end of a run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Interlock, Settings
from interlock.cli.watching import Watch
from interlock.notify.targets import signature
from interlock.postgres.outbox import TRIES
from tests.questions import ask, happened, pass_time, sql

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"
HOUR = 3_600


@dataclass
class Receiver:
    """A server for webhooks; answers with the given statuses one after the other, then with 200."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0

    def url(self, kind: str = "webhook") -> str:
        return f"{kind}:http://127.0.0.1:{self.port}/T0KEN"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {key.lower(): value for key, _, value in (each.partition(": ") for each in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.raw.append(body)
        self.headers.append(headers)
        self.bodies.append(json.loads(body))
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@dataclass
class Mailbox:
    """A mail server that takes everything, without encryption; it may offer what it then refuses."""

    mails: list[str] = field(default_factory=list)
    refuses: bool = False
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            match line.split()[0].upper():
                case "EHLO":
                    writer.write(b"250 here\r\n")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                    writer.write(b"250 taken\r\n")
                case "MAIL" if self.refuses:
                    writer.write(b"451 later\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 yes\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(server: Any) -> AsyncIterator[None]:  # a Receiver or a Mailbox
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    server = Receiver()
    async with serving(server):
        yield server


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    server = Mailbox()
    async with serving(server):
        yield server


@asynccontextmanager
async def opened(url: str, *targets: str, **more: Any) -> AsyncIterator[Interlock]:  # settings
    settings = Settings(database_url=url, config=CONFIG, notify=targets, **more)
    async with interlock.aopen(settings=settings) as il:
        yield il


async def test_what_happens_to_a_question_is_told_once(
    database_url: str, receiver: Receiver
) -> None:
    """Asked, reminded, escalated, expired: one message each, however often it is delivered."""
    async with opened(database_url, receiver.url()) as il:
        terms = {"within": 100, "remind": 40, "chain": [{"after": 60, "who": ["boss"]}]}
        [question] = await ask(il.store, terms)
        for _ in range(4):
            await il.adeliver()
            await pass_time(database_url, 30)
            await il.asweep()
        await il.adeliver()
        await il.adeliver()

        told = [each["event"] for each in receiver.bodies]
        assert Counter(told) == {"asked": 1, "escalated": 1, "reminded": 1, "expired": 1}
        assert receiver.bodies[0]["question"]["id"] == question.id
        assert [each for each in await happened(il, question.id) if each == "notified"] == (
            ["notified"] * 4
        )


async def test_a_webhook_is_signed(database_url: str, receiver: Receiver) -> None:
    """The header is over the body as it was sent."""
    async with opened(database_url, receiver.url(), notify_secret="key") as il:
        await ask(il.store, {})
        await il.adeliver()

    [header], [body] = [each["interlock-signature"] for each in receiver.headers], receiver.raw
    seconds = int(header.removeprefix("t=").partition(",")[0])
    assert header == signature("key", body, seconds)


async def test_a_notification_that_fails_five_times_is_sent_the_sixth_time(
    database_url: str, receiver: Receiver
) -> None:
    """It waits longer each time, says why, and is then sent once."""
    receiver.statuses = [500, 503, 429, 404, 500]
    async with opened(database_url, receiver.url()) as il:
        await ask(il.store, {})
        pauses = []
        for _ in range(6):
            await il.adeliver()
            await il.adeliver()  # nothing is due before its pause is over
            [row] = await sql(
                database_url,
                "select status, tries, error, round(extract(epoch from due_at - now()))::int as pause "
                "from interlock.notifications",
            )
            pauses.append((row["status"], row["tries"], row["error"], row["pause"]))
            await pass_time(database_url, HOUR)

        assert [each[:3] for each in pauses] == [
            ("waiting", 1, "the answer was HTTP 500"),
            ("waiting", 2, "the answer was HTTP 503"),
            ("waiting", 3, "the answer was HTTP 429"),
            ("waiting", 4, "the answer was HTTP 404"),
            ("waiting", 5, "the answer was HTTP 500"),
            ("sent", 6, ""),
        ]
        assert [each[3] for each in pauses[:5]] == [10, 20, 40, 80, 160]
        assert len(receiver.bodies) == 6


async def test_one_that_never_works_is_given_up_and_can_be_tried_again(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, shown in the question's history, and no address is told anywhere."""
    receiver.statuses = [500] * TRIES
    caplog.set_level(logging.DEBUG)
    async with opened(database_url, receiver.url()) as il:
        [question] = await ask(il.store, {})
        for _ in range(TRIES + 2):
            await il.adeliver()
            await pass_time(database_url, HOUR)

        [given_up] = await il.outbox.notifications(status="failed")
        assert (given_up.tries, await il.outbox.failed()) == (TRIES, 1)
        assert await happened(il, question.id) == ["asked", "not_notified"]
        assert await il.outbox.try_again() == 1
        assert (await il.adeliver()).sent == 1
    stored = await sql(
        database_url,
        "select n::text, e::text from interlock.notifications n, interlock.question_events e",
    )
    assert "T0KEN" not in caplog.text + str(stored)


async def test_several_deliverers_send_each_notification_once(
    database_url: str, receiver: Receiver
) -> None:
    """Thirty questions, four deliverers on two connections: thirty messages."""
    async with (
        opened(database_url, receiver.url()) as first,
        opened(database_url, receiver.url()) as second,
    ):
        for number in range(30):
            await ask(first.store, {}, thread=f"t{number}")
        await asyncio.gather(*(il.adeliver() for il in (first, second) * 2))

    assert len(receiver.bodies) == 30
    assert len({each["question"]["id"] for each in receiver.bodies}) == 30


async def test_a_closed_question_is_not_asked_about_any_more(
    database_url: str, receiver: Receiver
) -> None:
    """The first message could not be sent; when it could, somebody had answered, and only that is told."""
    receiver.statuses = [500]
    async with opened(database_url, receiver.url()) as il:
        [question] = await ask(il.store, {})
        await il.adeliver()
        await il.asubmit_answer("t", Approve(question.id, "ann"))
        await pass_time(database_url, HOUR)
        await il.adeliver()

        told = {each.event: each.status for each in await il.outbox.notifications()}
        assert told == {"asked": "outdated", "answered": "sent"}


async def test_slack_and_mail_get_their_own_forms(
    database_url: str, receiver: Receiver, mailbox: Mailbox
) -> None:
    """The same question as blocks and as a mail of plain text."""
    smtp = f"smtp://127.0.0.1:{mailbox.port}?from=bot@example.com"
    async with opened(
        database_url, receiver.url("slack"), "mailto:ops@example.com", smtp=smtp
    ) as il:
        await ask(il.store, {})
        assert (await il.adeliver()).sent == 2

    assert receiver.bodies[0]["text"] == "Approval needed: pay"
    [mail] = mailbox.mails
    assert "Subject: Approval needed: pay\r\nFrom: bot@example.com\r\nTo: ops@example.com" in mail
    assert "interlock approvals approve" in mail


@pytest.mark.parametrize(
    ("user", "refuses", "error"),
    [
        ("me:T0KEN@", False, "offers no STARTTLS, so it was not told the password"),
        ("", True, "the mail server answered 451"),
    ],
)
async def test_what_a_mail_server_refuses_is_tried_again(
    database_url: str, mailbox: Mailbox, user: str, refuses: bool, error: str
) -> None:
    """A password is never sent without encryption, and never told."""
    mailbox.refuses = refuses
    smtp = f"smtp://{user}127.0.0.1:{mailbox.port}?from=bot@example.com"
    async with opened(database_url, "mailto:ops@example.com", smtp=smtp) as il:
        await ask(il.store, {})
        assert (await il.adeliver()).not_sent == 1

        [waiting] = await il.outbox.notifications()
        assert (waiting.status, error in waiting.error) == ("waiting", True)
        assert (mailbox.mails, "T0KEN" in str(waiting)) == ([], False)


async def test_apprise_is_used_where_it_is_installed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the notification waits, with the command that installs it."""
    async with opened(database_url, "apprise:tgram://T0KEN/1") as il:
        await ask(il.store, {})
        await il.adeliver()
        [waiting] = await il.outbox.notifications()

        assert (waiting.target, "pip install" in waiting.error) == ("apprise tgram", True)


async def test_a_run_that_waits_tells_people_at_once_and_never_fails_by_it(
    database_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    """A target that works gets it before the run returns; one where nobody listens changes nothing."""
    closed = "webhook:http://127.0.0.1:9/T0KEN"
    given = {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")}
    async with opened(database_url, receiver.url(), closed) as il:
        run = await il.ainvoke("payment", given)

        assert run.status == "waiting"
        assert [each["question"]["id"] for each in receiver.bodies] == [run.interrupts[0].id]
        told = {each.target: each.error for each in await il.outbox.notifications()}
        assert told["webhook 127.0.0.1:9"] == "no answer: ConnectError"


async def test_watching_goes_on_with_what_a_deadline_answered(
    database_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    """One look: the question is rejected by its deadline, its thread ends, and people are told."""
    given = {"payee": "ann", "amount": 5, "ledger": str(tmp_path / "bank")}
    async with opened(database_url, receiver.url()) as il:
        run = await il.ainvoke("payment", given, thread_id="t")
        await sql(database_url, "update interlock.questions set deadline = now()")
        watch = Watch(il, every=60, quiet=True)
        await watch.look()
        await watch.idle()
        watch.stopped.set()
        await watch.until_stopped()

        assert watch.counts == {"steps": 1, "sent": 1, "not_sent": 0, "runs": 1}
        assert (await il.arun("t")).output["decision"]["by"] == "deadline"
        assert [each["event"] for each in receiver.bodies] == ["asked", "expired"]
        assert not (tmp_path / "bank").exists()
        assert run.status == "waiting"
