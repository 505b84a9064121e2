"""Which addresses a client may let be told of its runs, and what is sent there: as langgraph.json and the settings say.

Without a word of either it is addresses of the public internet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpx

from interlock.errors import UsageError
from interlock.langgraph_json import Config, Webhooks
from interlock.settings import Settings
from interlock.web.addresses import Address, is_public, meant

LONGEST = 4096

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "host.docker.internal"})

FIELDS = frozenset(
    {
        "run_id",
        "thread_id",
        "assistant_id",
        "created_at",
        "updated_at",
        "metadata",
        "kwargs",
        "multitask_strategy",
        "status",
        "run_started_at",
        "run_ended_at",
        "webhook_sent_at",
        "values",
        "interrupts",
        "error",
    }
)
"""What may be told of a run."""

_VARIABLE = re.compile(r"\$\{\{\s*([^}]+?)\s*\}\}")
"""Of a header: `${{ env.LG_WEBHOOK_TOKEN }}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Where webhooks may go, and what is sent.

    Attributes:
        off: nobody is told of anything.
        https: plain HTTP is refused.
        domains: hosts, and `*.example.com` for those below one; empty for all. One that is named may have any address.
        ports: empty for all.
        longest: characters of an address.
        loopback: whether this machine may be told.
        private: whether other private addresses may.
        headers: sent with each.
        fields: what is told; None for all.
    """

    off: bool = False
    https: bool = False
    domains: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    longest: int = LONGEST
    loopback: bool = False
    private: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    fields: frozenset[str] | None = None

    @classmethod
    def of(cls, config: Config, settings: Settings) -> Policy:
        """Return what an application and the settings say; raises `UsageError` when that means nothing."""
        trusting = settings.allow_private_webhooks
        said, url = config.webhooks, config.webhooks.url
        named = url.model_fields_set
        return cls(
            off=config.http.disable_webhooks,
            https=url.require_https,
            domains=tuple(each.strip().lower() for each in url.allowed_domains),
            ports=url.allowed_ports,
            longest=url.max_url_length if named else LONGEST,
            loopback=not url.disable_loopback if "disable_loopback" in named else trusting,
            private=not url.disable_private_ips if "disable_private_ips" in named else trusting,
            headers=_rendered(said, os.environ),
            fields=_fields(said.allowed_fields),
        )

    def check(self, url: str) -> None:
        """Refuse what is no address, or certainly none that may be told; what a name leads to is seen when it is told.

        Raises:
            UsageError: the address is refused.
        """
        if len(url) > self.longest:
            raise UsageError(f"The webhook has more than {self.longest} characters.")
        parsed = _parsed(url)
        if self.https and parsed.scheme != "https":
            raise UsageError("A webhook begins with https:// here.")
        if self.ports and _port(parsed) not in self.ports:
            raise UsageError(f"A webhook does not go to port {_port(parsed)} here.")
        host = parsed.host.lower().rstrip(".")
        if self.domains and not self._names(host):
            raise UsageError(f"A webhook does not go to {host!r} here.")
        if not self._may_lead(host):
            raise UsageError(
                f"The webhook's host {parsed.host!r} is not one of the public internet.",
                hint="INTERLOCK_ALLOW_PRIVATE_WEBHOOKS=true lets webhooks go there.",
            )

    def admits(self, host: str, address: Address) -> bool:
        """Say whether a webhook may go to an address that its host's name leads to."""
        if self._names(host.lower().rstrip(".")):
            return True
        return is_public(address) or all(self._fits(each) for each in meant(address))

    def _fits(self, address: Address) -> bool:
        if address.is_loopback or address.is_unspecified:  # which leads to this machine, too
            return self.loopback
        # A link's own addresses tell of machines in a cloud; no webhook is meant for them.
        return is_public(address) or (self.private and not address.is_link_local)

    def _may_lead(self, host: str) -> bool:
        if self._names(host):
            return True
        if host in LOOPBACK_NAMES or host.endswith(".localhost"):
            return self.loopback
        try:
            return self.admits(host, ip_address(host))
        except ValueError:
            return True

    def _names(self, host: str) -> bool:
        return any(
            host.endswith(each[1:]) if each.startswith("*.") else host == each
            for each in self.domains
        )


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise UsageError(f"The webhook is not a valid address: {error}.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UsageError(
            "A webhook begins with https:// or http://; routes of the server itself are not called.",
            hint="Write the whole address.",
        )
    if parsed.userinfo:
        raise UsageError("A webhook carries no password.", hint="Put a token into its query.")
    return parsed


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _fields(named: tuple[str, ...] | None) -> frozenset[str] | None:
    if named is None:
        return None
    if unknown := sorted(set(named) - FIELDS):
        raise UsageError(
            f"langgraph.json: `webhooks.allowed_fields` has no {', '.join(unknown)}.",
            hint=f"They are: {', '.join(sorted(FIELDS))}.",
        )
    return frozenset(named)


def _rendered(said: Webhooks, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with what the environment says in the place of its variables."""

    def value(found: re.Match[str]) -> str:
        kind, _, name = found[1].partition(".")
        if kind != "env" or not name.startswith(said.env_prefix) or name not in environment:
            raise UsageError(
                f"langgraph.json: a header of `webhooks` names {found[1]}, which is not there.",
                hint=f"Write ${{{{ env.{said.env_prefix}NAME }}}}, and set that variable.",
            )
        return environment[name]

    return {name: _VARIABLE.sub(value, text) for name, text in said.headers.items()}


def shown(document: Mapping[str, Any], policy: Policy) -> dict[str, Any]:  # JSON
    """Return what of a run is told."""
    return {key: document[key] for key in document if policy.fields is None or key in policy.fields}
