"""Callers who come with a token of an OpenID Connect issuer."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from interlock.errors import IssuerUnavailable, UsageError
from interlock.postgres.pool import open_pool
from interlock.postgres.tenants import TenantStore
from interlock.server.tokens import AGAIN_SECONDS, FIRST_SECONDS, IssuerKeys, Tokens
from interlock.settings import Settings
from tests.server.conftest import serving

AUDIENCE = "interlock"


@dataclass
class Issuer:
    """An issuer on loopback that publishes its keys.

    Attributes:
        keys: name -> key and algorithm.
        asked: how often its keys were fetched.
    """

    url: str = ""
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)
    asked: int = 0

    def make(self, name: str, algorithm: str = "RS256") -> None:
        """Make and publish a key."""
        made = {
            "RS256": lambda: rsa.generate_private_key(65537, 2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }[algorithm]()
        self.keys[name] = (made, algorithm)

    def published(self) -> dict[str, Any]:  # JSON
        """Return the set of keys."""
        found = []
        for name, (key, algorithm) in self.keys.items():
            kind = jwt.get_algorithm_by_name(algorithm)
            found.append({**json.loads(kind.to_jwk(key.public_key())), "kid": name, "use": "sig"})
        return {"keys": found}

    def token(self, kid: str = "one", /, **claims: Any) -> str:
        """Return a token signed with a key; a claim that is None is left out."""
        key, algorithm = self.keys[kid]
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": time.time() + 60,
            "roles": ["operator"],
            "org": {"name": "acme"},
        } | claims
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key, algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer with keys of three kinds."""
    issuer = Issuer()
    for name, algorithm in (("one", "RS256"), ("two", "ES256"), ("three", "EdDSA")):
        issuer.make(name, algorithm)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            if self.path == "/keys":
                issuer.asked += 1
                said = issuer.published()
            else:
                said = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        issuer.url = f"http://127.0.0.1:{served.server_port}"
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield issuer
        served.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def trusting(server_database: str, issuer: Issuer) -> Iterator[str]:
    """The address of a server that takes the issuer's tokens."""

    async def add() -> None:
        async with open_pool(server_database, size=1) as pool:
            await TenantStore(pool).add("acme")

    asyncio.run(add())
    environment = {
        "INTERLOCK_OIDC_ISSUER": issuer.url,
        "INTERLOCK_OIDC_AUDIENCE": AUDIENCE,
        "INTERLOCK_OIDC_CLAIMS": "tenant=org.name",
        "INTERLOCK_SERVER_ORIGINS": "https://chat.example.com",
    }
    with serving(server_database, environment=environment) as address:
        yield address


def who(server: str, token: str) -> httpx.Response:
    """Ask the server who calls."""
    return httpx.get(f"{server}/access/me", headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("key", ["one", "two", "three"])
def test_a_token_says_who_calls(trusting: str, issuer: Issuer, key: str) -> None:
    """Identity, roles and tenant are the token's claims, whatever kind of key signed it."""
    token = issuer.token(key, roles=["approver", "viewer", "king"], org={"name": "acme"})

    assert who(trusting, token).json() == {
        "identity": "ann",
        "kind": "token",
        "roles": ["viewer", "approver"],
        "rights": ["answer", "read"],
        "tenant": "acme",
    }


def test_who_has_no_role_may_nothing(trusting: str, issuer: Issuer) -> None:
    """A token without a role of ours is known, and may do nothing."""
    assert who(trusting, issuer.token(roles=None)).status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 1 << 32},  # in 2106
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"sub": None},
        {"org": None},
        {"org": {"name": ""}},
        {"org": {"name": 7}},
    ],
    ids=str,
)
def test_a_token_that_is_not_right(trusting: str, issuer: Issuer, claims: dict[str, Any]) -> None:
    """A token that is late, early, of somebody else, for somebody else, or tells nobody, opens nothing."""
    assert who(trusting, issuer.token(**claims)).status_code == 401


def test_a_tenant_that_nobody_added(trusting: str, issuer: Issuer) -> None:
    """A token of a tenant that is none here may do nothing."""
    assert who(trusting, issuer.token(org={"name": "bolt"})).status_code == 403


def test_nobody_is_known_without(trusting: str) -> None:
    """Where tokens are asked for, loopback is not open."""
    assert httpx.get(f"{trusting}/access/me").status_code == 401


def test_signatures_that_are_none(trusting: str, issuer: Issuer) -> None:
    """A token without a signature, with somebody else's, or signed with the public key as a secret, opens nothing."""
    right = issuer.token()
    claims = jwt.decode(right, options={"verify_signature": False})
    none = jwt.encode(claims, "", "none", headers={"kid": "one"})
    other = jwt.encode(
        claims, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": "one"}
    )
    secret = json.dumps(issuer.published()["keys"][0]).encode()
    symmetric = by_hand(claims, secret)

    assert who(trusting, right).status_code == 200
    for token in (none, other, symmetric, right[:-4] + "AAAA", "nonsense", "a.b.c"):
        assert who(trusting, token).status_code == 401, token


def by_hand(claims: dict[str, Any], secret: bytes) -> str:
    """Sign a token with a public key as a secret, which libraries refuse to do."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims)
    said = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = urlsafe_b64encode(hmac.digest(secret, said, "sha256")).rstrip(b"=")
    return f"{said.decode()}.{signature.decode()}"


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_a_key_that_does_not_say_for_what(trusting: str, issuer: Issuer, algorithm: str) -> None:
    """A published key that names no algorithm, as many do, checks whichever of its kind a token names."""
    token = jwt.encode(_claims(issuer), issuer.keys["one"][0], algorithm, headers={"kid": "one"})

    assert who(trusting, token).status_code == 200


def test_a_token_for_several(trusting: str, issuer: Issuer) -> None:
    """A token that is for this server among others is taken; clocks may differ by half a minute."""
    several = issuer.token(aud=["another", AUDIENCE])

    assert who(trusting, several).status_code == 200
    assert who(trusting, issuer.token(exp=time.time() - 20)).status_code == 200
    assert who(trusting, issuer.token(exp=time.time() - 40)).status_code == 401


@pytest.mark.parametrize("kid", ["", "../one", "one\x00", "' or 1=1 --", "x" * 5000])
def test_names_of_keys_are_only_names(trusting: str, issuer: Issuer, kid: str) -> None:
    """A name of a key is looked up among the published ones, and means nothing else."""
    token = jwt.encode(_claims(issuer), issuer.keys["one"][0], "RS256", headers={"kid": kid})

    assert who(trusting, token).status_code == 401


def test_a_key_that_a_token_brings(trusting: str, issuer: Issuer) -> None:
    """A token that brings its own key, or says where one is, is not checked with that."""
    mine = rsa.generate_private_key(65537, 2048)
    brought = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(mine.public_key()))
    headers = {"kid": "one", "jwk": brought, "jku": f"{issuer.url}/mine", "x5u": issuer.url}

    token = jwt.encode(_claims(issuer), mine, "RS256", headers=headers)

    assert who(trusting, token).status_code == 401


def _claims(issuer: Issuer) -> dict[str, Any]:
    return dict(jwt.decode(issuer.token(), options={"verify_signature": False}))


@pytest.mark.parametrize(
    "published",
    [
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "RS256"},
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {"use": "enc"},
        {"alg": "RS512"},
    ],
    ids=["secret", "nameless secret", "encrypts", "another"],
)
async def test_published_keys_for_something_else(issuer: Issuer, published: dict[str, Any]) -> None:
    """A published secret, a key to encrypt with, or one for another algorithm checks no signature."""
    keys = IssuerKeys(issuer=issuer.url, url="")
    await keys.key({"alg": "RS256", "kid": "one"})
    keys._keys["x"] = published if "kty" in published else {**keys._keys["one"], **published}

    with pytest.raises(jwt.PyJWTError):
        await keys.key({"alg": "RS256", "kid": "x"})


async def test_an_issuer_that_is_not_there_yet(issuer: Issuer) -> None:
    """While no keys can be had, it is not the token that is wrong; they are fetched as soon as there are some."""
    keys = IssuerKeys(issuer="http://127.0.0.1:9", url="")

    for _ in range(2):
        with pytest.raises(IssuerUnavailable, match="cannot be had"):
            await keys.key({"alg": "RS256", "kid": "one"})
    keys.issuer = issuer.url
    keys._fetched_at -= FIRST_SECONDS

    assert (await keys.key({"alg": "RS256", "kid": "one"})).key_id == "one"


async def test_keys_are_rotated(issuer: Issuer) -> None:
    """A key that came later is looked for, but not as often as tokens name one that is not there."""
    keys = IssuerKeys(issuer=issuer.url, url="")
    await keys.key({"alg": "RS256", "kid": "one"})
    issuer.make("four", "ES256")
    asked = issuer.asked

    for _ in range(5):
        with pytest.raises(jwt.InvalidKeyError):
            await keys.key({"alg": "ES256", "kid": "four"})
    assert issuer.asked == asked

    keys._fetched_at -= AGAIN_SECONDS
    assert (await keys.key({"alg": "ES256", "kid": "four"})).key_id == "four"
    assert issuer.asked == asked + 1


async def test_an_issuer_that_is_gone(issuer: Issuer) -> None:
    """The keys that were fetched hold on while their issuer does not answer."""
    keys = IssuerKeys(issuer=issuer.url, url="")
    await keys.key({"alg": "RS256", "kid": "one"})
    keys.issuer = "http://127.0.0.1:9"
    keys._fetched_at -= 10_000

    assert (await keys.key({"alg": "RS256", "kid": "one"})).key_id == "one"


def test_an_issuer_without_an_audience() -> None:
    """Tokens for whomever are not taken."""
    with pytest.raises(UsageError, match="AUDIENCE"):
        Tokens.of(Settings(oidc_issuer="https://login.example.com"))


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://chat.example.com", 200),
        ("https://other.example.com", 400),
    ],
)
def test_pages_that_call_with_a_token(trusting: str, origin: str, status: int) -> None:
    """A chat that this machine serves, and one that is named, may call a server that knows its callers, too."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}

    before = httpx.options(f"{trusting}/threads", headers={"origin": origin, **asked})
    told = before.headers.get("access-control-allow-origin", "")

    assert (before.status_code, told == origin) == (status, status == 200)
