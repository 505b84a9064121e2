"""Where webhooks may go, and what is sent there, as langgraph.json says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from interlock.errors import UsageError
from interlock.langgraph_json import Config
from interlock.server.hooks import Policy
from interlock.settings import Settings
from tests.server.conftest import SAMPLE, serving
from tests.server.test_webhooks import listening

TOKEN = {"LG_WEBHOOK_TOKEN": "t-1"}


def config_in(folder: Path, webhooks: Any) -> Path:
    """Write an application that says something of webhooks."""
    (folder / "graphs.py").write_text(SAMPLE.with_name("graphs.py").read_text())
    said = {"graphs": {"echo": "./graphs.py:echo"}, "webhooks": webhooks}
    path = folder / "langgraph.json"
    path.write_text(json.dumps(said))
    return path


@pytest.fixture(scope="module")
def telling(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that may tell loopback, with headers, and only some of a run."""
    webhooks = {
        "url": {"require_https": False, "disable_loopback": False, "max_url_length": 300},
        "headers": {"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "X-From": "us"},
        "allowed_fields": ["run_id", "status", "values"],
    }
    config = config_in(tmp_path_factory.mktemp("telling"), webhooks)
    with serving(server_database, config=config, environment=TOKEN) as address:
        yield address


async def test_headers_and_fields(telling: str) -> None:
    """What is sent has the application's headers, with what the environment says, and its fields."""
    async with get_client(url=telling, api_key=None) as client, listening() as listener:
        run = await client.runs.create(
            None, "echo", input={"said": "abc"}, webhook=listener.address
        )
        _, headers, body = await listener.next()

    assert (headers["authorization"], headers["x-from"]) == ("Bearer t-1", "us")
    assert json.loads(body) == {
        "run_id": run["run_id"],
        "status": "success",
        "values": {"said": "abc", "answered": "cba"},
    }


def test_an_address_is_refused(telling: str) -> None:
    """An address that the policy does not admit is 422, and nothing is accepted."""
    for address in ("http://10.0.0.1/", f"http://localhost/{'x' * 300}"):
        asked = {"assistant_id": "echo", "input": {}, "webhook": address}
        assert httpx.post(f"{telling}/runs", json=asked).status_code == 422


def policy(url: Any, *, trusting: bool = False, **said: Any) -> Policy:
    """Return the policy of an application."""
    config = Config.model_validate({"graphs": {}, "webhooks": {"url": url, **said}})
    return Policy.of(config, Settings(allow_private_webhooks=trusting))


def admitted(policy: Policy, *addresses: str) -> list[bool]:
    """Say of addresses whether a policy admits them."""

    def admits(address: str) -> bool:
        try:
            policy.check(address)
        except UsageError:
            return False
        return True

    return [admits(each) for each in addresses]


PLACES = ("https://a.example/", "http://a.example/", "http://127.0.0.1/", "http://10.0.0.1/")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (policy({}), [True, True, False, False]),
        (policy({"allowed_ports": [443]}), [True, False, False, False]),
        (policy({"require_https": False}), [True, True, False, False]),
        (
            policy({"require_https": False, "disable_private_ips": False}),
            [True, True, False, True],
        ),
        (policy({"require_https": False, "disable_loopback": False}), [True, True, True, False]),
        (policy({}, trusting=True), [True, True, True, True]),
        (
            policy({"require_https": False, "disable_loopback": True}, trusting=True),
            [True, True, False, True],
        ),
    ],
)
def test_where_they_may_go(said: Policy, expected: list[bool]) -> None:
    """A policy that is given asks for HTTPS unless it says otherwise; private addresses must be let in by word."""
    assert admitted(said, *PLACES) == expected


def test_domains_and_ports() -> None:
    """Only named hosts are told, with `*.` those below one; a named host may have a private address."""
    said = policy({"allowed_domains": ["hooks.mine", "*.corp.example"], "allowed_ports": [8443]})

    addresses = (
        "https://hooks.mine:8443/",
        "https://HOOKS.mine.:8443/",
        "https://hooks.mine/",
        "https://a.corp.example:8443/",
        "https://corp.example:8443/",
        "https://hooks.mine.evil.example:8443/",
    )
    assert admitted(said, *addresses) == [True, True, False, True, False, False]
    assert said.admits("hooks.mine", ip_address("10.0.0.1"))
    assert not policy({}).admits("a.example", ip_address("::ffff:10.0.0.1"))
    assert not policy({"disable_private_ips": False}).admits("a.example", ip_address("::1"))


def test_what_no_webhook_is_meant_for() -> None:
    """Also where private addresses are let in, those of a link are not; no address of one's own is loopback."""
    private = policy({"require_https": False, "disable_private_ips": False})

    assert admitted(private, "http://169.254.169.254/", "http://0.0.0.0/", "http://[fe80::1]/") == [
        False,
        False,
        False,
    ]


def test_what_means_nothing_is_refused() -> None:
    """A header whose variable is not there, or may not be named, and an unknown field are refused."""
    for headers in (
        {"a": "${{ env.LG_WEBHOOK_NONE }}"},
        {"a": "${{ env.HOME }}"},
        {"a": "${{ x }}"},
    ):
        with pytest.raises(UsageError, match="which is not there"):
            policy({}, headers=headers)
    with pytest.raises(UsageError, match="has no secrets"):
        policy({}, allowed_fields=["secrets"])


def test_nobody_is_told() -> None:
    """`http.disable_webhooks` lets runs name a webhook, and tells nobody."""
    config = Config.model_validate({"graphs": {}, "http": {"disable_webhooks": True}})

    assert Policy.of(config, Settings()).off
