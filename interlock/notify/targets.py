"""Where notifications go. An address may be a secret: a target shows its name and its fingerprint, never that."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import smtplib
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.message import EmailMessage
from importlib import import_module, util
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import httpx

from interlock.errors import InterlockError, UsageError
from interlock.notify import message
from interlock.postgres.outbox import Notice
from interlock.settings import Settings

SECONDS = 15.0
"""How long a target may take."""

_unlogged: ContextVar[bool] = ContextVar("_unlogged", default=False)
logging.getLogger("httpx").addFilter(lambda record: not _unlogged.get())
# httpx logs each address it asks.


class NotDelivered(InterlockError):
    """A target did not take a notification; the message names no address and no password."""


class Target(Protocol):
    """Somewhere to send notifications."""

    @property
    def name(self) -> str:
        """What is shown of it."""
        ...

    @property
    def address(self) -> str:
        """All of it; a secret."""
        ...

    async def send(self, notice: Notice) -> None:
        """Send a notice; raises `NotDelivered`."""
        ...


def fingerprint(target: Target) -> str:
    """Return what names a target in the database without telling its address."""
    return hashlib.sha256(f"{target.name} {target.address}".encode()).hexdigest()[:16]


def targets_of(settings: Settings) -> list[Target]:
    """Return the targets that the settings name; raises `UsageError`."""
    return [_target(each, settings) for each in settings.notify or ()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Takes the JSON document, signed if there is a secret.

    Attributes:
        secret: key of the HMAC-SHA256 over the time, a dot and the body; empty for no signature.
    """

    address: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What is shown of it."""
        return f"webhook {_host(self.address)}"

    async def send(self, notice: Notice) -> None:
        """Send a notice; raises `NotDelivered`."""
        body = json.dumps(message.document(notice), ensure_ascii=False).encode()
        await _post(self.address, body, self._headers(body, notice))

    def _headers(self, body: bytes, notice: Notice) -> dict[str, str]:
        headers = {"Interlock-Notification": str(notice.id)}
        if self.secret:
            headers["Interlock-Signature"] = signature(self.secret, body, int(time.time()))
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Takes Slack's messages: Slack, Mattermost, Rocket.Chat and others."""

    address: str = field(repr=False)

    @property
    def name(self) -> str:
        """What is shown of it."""
        return f"slack {_host(self.address)}"

    async def send(self, notice: Notice) -> None:
        """Send a notice; raises `NotDelivered`."""
        body = json.dumps(message.slack(notice), ensure_ascii=False).encode()
        await _post(self.address, body, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mailbox.

    Attributes:
        server: address of the mail server, with user and password.
    """

    address: str
    server: str = field(repr=False)

    @property
    def name(self) -> str:
        """What is shown of it."""
        return f"mail {self.address}"

    async def send(self, notice: Notice) -> None:
        """Send a notice; raises `NotDelivered`."""
        mail = self._mail(notice)
        try:
            await asyncio.to_thread(_hand_over, urlsplit(self.server), mail)
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"the mail server answered {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"the mail server: {type(error).__name__}") from None

    def _mail(self, notice: Notice) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.headline(notice)
        mail["From"] = _sender(urlsplit(self.server))
        mail["To"] = self.address
        mail["Message-ID"] = f"<notification-{notice.id}@interlock.invalid>"
        mail.set_content(message.text(notice))
        return mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Apprise:
    """Anything that the package apprise can reach."""

    address: str = field(repr=False)

    @property
    def name(self) -> str:
        """What is shown of it."""
        return f"apprise {urlsplit(self.address).scheme or '?'}"

    async def send(self, notice: Notice) -> None:
        """Send a notice; raises `NotDelivered`."""
        if util.find_spec("apprise") is None:
            raise NotDelivered(MISSING)
        # An optional package without types of its own; its API: https://github.com/caronc/apprise/wiki
        notifier: Any = import_module("apprise").Apprise()
        if not notifier.add(self.address):
            raise NotDelivered("apprise does not know this kind of address")
        if not await notifier.async_notify(
            title=message.headline(notice), body=message.text(notice)
        ):
            raise NotDelivered("apprise could not deliver it")


MISSING = "the package apprise is not installed: pip install 'interlock-agents[apprise]'"


def check_installed(targets: list[Target]) -> None:
    """Raise `UsageError` when a target needs a package that is not there."""
    if any(isinstance(each, Apprise) for each in targets) and util.find_spec("apprise") is None:
        raise UsageError(f"A target of INTERLOCK_NOTIFY cannot be used: {MISSING}.")


def signature(secret: str, body: bytes, seconds: int) -> str:
    """Return the header by which a receiver knows that a webhook's body is ours, and how old it is."""
    signed = f"{seconds}.".encode() + body
    return f"t={seconds},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep the addresses that are asked out of the log: that of a webhook is its password."""
    quiet = _unlogged.set(True)
    try:
        yield
    finally:
        _unlogged.reset(quiet)


def _target(text: str, settings: Settings) -> Target:
    kind, _, address = text.partition(":")
    match kind:
        case "webhook":
            return Webhook(address=address, secret=settings.notify_secret)
        case "slack":
            return Slack(address=address)
        case "mailto":
            return Mail(address=address, server=_server(settings))
        case _:
            return Apprise(address=address)


def _server(settings: Settings) -> str:
    if not settings.smtp:
        raise UsageError(
            "INTERLOCK_NOTIFY names a mailbox, but there is no mail server.",
            hint="Set INTERLOCK_SMTP=smtp://user:password@host:587.",
        )
    return settings.smtp


async def _post(address: str, body: bytes, headers: Mapping[str, str]) -> None:
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            with unlogged():
                answer = await client.post(
                    address, content=body, headers={"Content-Type": "application/json", **headers}
                )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotDelivered(f"no answer: {type(error).__name__}") from None
    if not answer.is_success:
        raise NotDelivered(f"the answer was HTTP {answer.status_code}")


def _hand_over(server: SplitResult, mail: EmailMessage) -> None:
    with _connected(server) as session:
        if server.scheme == "smtp" and session.has_extn("starttls"):
            session.starttls(context=_trust())
            session.ehlo()
        elif server.scheme == "smtp" and server.password:
            raise NotDelivered(
                "the mail server offers no STARTTLS, so it was not told the password"
            )
        if server.username:
            session.login(unquote(server.username), unquote(server.password or ""))
        session.send_message(mail)


def _connected(server: SplitResult) -> smtplib.SMTP:
    host = server.hostname or "localhost"
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(host, server.port or 465, timeout=SECONDS, context=_trust())
    session = smtplib.SMTP(host, server.port or 587, timeout=SECONDS)
    session.ehlo()
    return session


def _trust() -> Any:  # ssl.SSLContext, imported late: most processes send no mail
    import ssl

    return ssl.create_default_context()


def _sender(server: SplitResult) -> str:
    user = unquote(server.username or "")
    given = parse_qs(server.query).get("from", [user if "@" in user else ""])[0]
    return given or f"interlock@{socket.gethostname()}"


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        return f"{parts.hostname or '?'}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "?"
