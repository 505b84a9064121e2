"""Callers who come with a token of an OpenID Connect issuer: checked against its published keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from starlette.requests import HTTPConnection

from interlock.errors import IssuerUnavailable, Unauthorized, UsageError
from interlock.server.callers import Caller, roles_in
from interlock.server.gatekeeping import bearer
from interlock.settings import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures whose key is public: a symmetric one would let whoever reads the issuer's keys make tokens."""

LEEWAY = 30
"""Seconds by which clocks may differ."""

KEYS_SECONDS = 3600.0
"""How long the issuer's keys are believed; one that is not among them is looked for at once."""

AGAIN_SECONDS = 10.0
"""How often at most the keys are fetched, whatever tokens name."""

FIRST_SECONDS = 1.0
"""The same while none are known."""

CLAIMS: Mapping[str, str] = {"identity": "sub", "roles": "roles", "tenant": "tenant"}

DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Knows callers by their token.

    Attributes:
        claims: which claim tells identity, roles and tenant; a dotted name leads into an object.
        parted: the settings name the claim of the tenant: a token without one is refused.
    """

    issuer: str
    audience: str
    keys: IssuerKeys
    claims: Mapping[str, str]
    parted: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Tokens | None:
        """Return what the settings ask for; None when they name no issuer. Raises `UsageError`."""
        if not settings.oidc_issuer:
            return None
        if not settings.oidc_audience:
            raise UsageError(
                "INTERLOCK_OIDC_ISSUER is set without INTERLOCK_OIDC_AUDIENCE.",
                hint="Name for whom tokens must be: else those for other services would be taken.",
            )
        return cls(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            keys=IssuerKeys(issuer=settings.oidc_issuer, url=settings.oidc_jwks_url),
            claims={**CLAIMS, **(settings.oidc_claims or {})},
            parted="tenant" in (settings.oidc_claims or {}),
        )

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who a request's token is for; None without one. Raises `Unauthorized` for one that is not right."""
        token = bearer(connection)
        return self._caller(await self._checked(token)) if token else None

    async def _checked(self, token: str) -> dict[str, Any]:  # JSON
        try:
            key = await self.keys.key(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid: {error}.") from error

    def _caller(self, claims: Mapping[str, Any]) -> Caller:  # JSON
        identity = _claim(claims, self.claims["identity"])
        if not isinstance(identity, str) or not identity:
            raise Unauthorized(f"The token has no claim `{self.claims['identity']}`.")
        tenant = _claim(claims, self.claims["tenant"])
        if (tenant is not None or self.parted) and (not isinstance(tenant, str) or not tenant):
            raise Unauthorized(f"The token's claim `{self.claims['tenant']}` names no tenant.")
        roles = roles_in(_claim(claims, self.claims["roles"]))
        return Caller(identity=identity, roles=roles, tenant=tenant, kind="token")


@dataclass(slots=True, kw_only=True)
class IssuerKeys:
    """The public keys of an issuer, fetched when needed.

    Attributes:
        url: of the set of keys; empty to ask the issuer's discovery document.
    """

    issuer: str
    url: str
    _keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # JSON
    _made: dict[tuple[str, str], jwt.PyJWK] = field(default_factory=dict)
    _fetched_at: float = float("-inf")
    _problem: str = ""
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def key(self, header: Mapping[str, Any]) -> jwt.PyJWK:  # JSON
        """Return the key that a token's header names.

        Raises:
            PyJWTError: there is no such key, or it is for something else.
            IssuerUnavailable: no keys are known, and none can be had now.
        """
        algorithm, name = str(header.get("alg")), str(header.get("kid", ""))
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(f"its algorithm {algorithm!r} is not taken")
        if name not in self._keys or time.monotonic() - self._fetched_at > KEYS_SECONDS:
            await self._fetch(name)
        if not self._keys:
            raise IssuerUnavailable(
                f"The keys of {self.issuer} cannot be had: {self._problem or 'it has none'}.",
                hint="The token may be right: come again.",
            )
        if name not in self._keys:
            raise jwt.InvalidKeyError("its issuer has no such key")
        if (name, algorithm) not in self._made:
            self._made[name, algorithm] = _key(self._keys[name], algorithm)
        return self._made[name, algorithm]

    async def _fetch(self, name: str) -> None:
        async with self._fetching:
            age = time.monotonic() - self._fetched_at
            again = AGAIN_SECONDS if self._keys else FIRST_SECONDS
            if age < again or (name in self._keys and age < KEYS_SECONDS):
                return
            self._fetched_at = time.monotonic()
            try:
                found = (await self._published())["keys"]
                # One without a name, as some issuers with a single key have it, is that of tokens without one.
                self._keys = {str(each.get("kid", "")): dict(each) for each in found}
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._problem = str(error) or type(error).__name__  # those that are known hold on
                return
            self._made.clear()

    async def _published(self) -> Any:  # JSON
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            url = self.url
            if not url:
                said = await client.get(f"{self.issuer.rstrip('/')}{DISCOVERY}")
                url = said.raise_for_status().json()["jwks_uri"]
            return (await client.get(url)).raise_for_status().json()


def _key(published: dict[str, Any], algorithm: str) -> jwt.PyJWK:  # JSON
    """Return a published key for one algorithm; raises `PyJWTError` for one that is for something else."""
    if published.get("alg", algorithm) != algorithm or published.get("use", "sig") != "sig":
        raise jwt.InvalidKeyError("the key that it names is for something else")
    return jwt.PyJWK(published, algorithm=algorithm)


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # JSON
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
