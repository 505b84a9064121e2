"""Which addresses a client may let be told of its runs: those of the public internet, unless the settings say more."""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from interlock.errors import UsageError
from interlock.settings import Settings
from interlock.web.addresses import Address, any_address, is_public

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "host.docker.internal"})


def check(url: str, settings: Settings) -> None:
    """Refuse what is no address, or is certainly no public one; what a name leads to is seen when it is told.

    Raises:
        UsageError: the address is refused.
    """
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
    if not settings.allow_private_webhooks and _is_private(parsed.host):
        raise UsageError(
            f"The webhook's host {parsed.host!r} is not one of the public internet.",
            hint="INTERLOCK_ALLOW_PRIVATE_WEBHOOKS=true lets webhooks go there.",
        )


def admits(address: Address, settings: Settings) -> bool:
    """Say whether a webhook may go to an address that its host's name leads to."""
    return (any_address if settings.allow_private_webhooks else is_public)(address)


def _is_private(host: str) -> bool:
    if host.lower().rstrip(".") in LOOPBACK_NAMES or host.lower().endswith(".localhost"):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False
