"""Tells somebody of the end of a run: one request, to an address that was looked at, and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx

from interlock.notify.targets import SECONDS, NotDelivered, signature, unlogged
from interlock.server.hooks import Policy
from interlock.web.addresses import Address, resolve


async def call(
    url: str, body: bytes, headers: Mapping[str, str], policy: Policy, secret: str
) -> None:
    """Post a body, signed where there is a secret.

    The host is resolved once, and the connection goes to the address that was checked: a name that answers
    differently the second time changes nothing. Redirects are not followed, and proxies are not used.

    Raises:
        NotDelivered: it was not taken; the message holds no address.
        UsageError: the policy does not admit the address any more.
    """
    policy.check(url)
    target = httpx.URL(url)
    given = {**policy.headers, **headers}
    if secret:
        given["Interlock-Signature"] = signature(secret, body, int(time.time()))
    try:
        async with asyncio.timeout(SECONDS), _client() as client:
            request = client.build_request(
                "POST",
                target.copy_with(host=str(await _address(target, policy)), fragment=None),
                content=body,
                headers={**given, "Host": target.netloc.decode("ascii")},
                extensions={"sni_hostname": target.raw_host.decode("ascii")},
            )
            with unlogged():  # what it says beside its status is not read: it could be without end
                answer = await client.send(request, stream=True)
                await answer.aclose()
    except (httpx.HTTPError, OSError, UnicodeError) as error:
        raise NotDelivered(f"no answer: {type(error).__name__}") from None
    if not answer.is_success:
        raise NotDelivered(f"the answer was HTTP {answer.status_code}")


async def _address(url: httpx.URL, policy: Policy) -> Address:
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await resolve(url.host, port)
    if not addresses or not all(policy.admits(url.host, each) for each in addresses):
        raise NotDelivered("its host leads where no webhook may go")
    return addresses[0]


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS)
