"""How the text of a setting is read; each of these raises `ValueError` that says what would be right."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from urllib.parse import urlsplit

from interlock.hosts import is_loopback


def boolean(value: str) -> bool:
    """Read yes or no."""
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("write true or false")


def positive(value: str) -> float:
    """Read a number greater than 0."""
    number = finite(value)
    if number <= 0:
        raise ValueError("it must be greater than 0")
    return number


def count(value: str) -> int:
    """Read a whole number greater than 0."""
    if not value.isdecimal() or int(value) < 1:
        raise ValueError("write a whole number greater than 0")
    return int(value)


def finite(value: str) -> float:
    """Read a number."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("write a number")
    return number


def limits(value: str) -> dict[str, float]:
    """Read limits by their units."""
    pairs = [each.partition("=") for each in value.split(",") if each.strip()]
    if any(not (name.strip() and equals) for name, equals, _ in pairs):
        raise ValueError("write unit=number, separated by commas: usd=0.5,tokens=20000")
    return {name.strip(): finite(number) for name, _, number in pairs}


def port(value: str) -> int:
    """Read the number of a port."""
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise ValueError("a port is a number between 1 and 65535")
    return int(value)


def database_url(value: str) -> str:
    """Read the address of a Postgres."""
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must start with postgresql://")
    return value


def schema(value: str) -> str:
    """Read the name of a schema."""
    taken = value in {"information_schema", "public"} or value.startswith("pg_")
    if taken or not re.fullmatch(r"[a-z_][a-z0-9_]{0,50}", value):
        raise ValueError(
            "a schema is up to 51 small letters, digits and _, and neither public nor Postgres's own"
        )
    return value


def size(value: str) -> int:
    """Read a number of bytes."""
    text = value.upper().removesuffix("B").strip()
    unit = text[-1:] if text[-1:] in ("K", "M", "G") else ""
    number = text.removesuffix(unit).strip()
    if not number.isdecimal() or int(number) == 0:
        raise ValueError("write a number of bytes, as 500000, 20MB or 1GB")
    return int(number) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[unit]


def keys(value: str) -> tuple[bytes, ...]:
    """Read keys in base64; what is wrong with them is told without them."""
    try:
        keys = tuple(b64decode(each.strip(), validate=True) for each in value.split(","))
    except ValueError:
        keys = ()
    if not keys or any(len(key) not in (16, 24, 32) for key in keys):
        # The value itself is never repeated.
        raise ValueError(
            "each key is 16, 24 or 32 bytes in base64, as `openssl rand -base64 32` prints"
        ) from None
    return keys


def names(value: str) -> tuple[str, ...]:
    """Read names of hosts or sites."""
    return tuple(each.strip().lower().rstrip("/") for each in value.split(",") if each.strip())


def site(value: str) -> str:
    """Read the address of a site that nobody between can read along with."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not (host and private):
        raise ValueError("it must start with https://")
    return value


def claims(value: str) -> dict[str, str]:
    """Read which claims of a token tell what."""
    pairs = {name.strip(): claim.strip() for name, _, claim in map(_parted, value.split(","))}
    if not pairs.keys() <= {"identity", "roles", "tenant"} or not all(pairs.values()):
        raise ValueError("write identity=claim,roles=claim,tenant=claim")
    return pairs


def _parted(pair: str) -> tuple[str, str, str]:
    return pair.partition("=")


def role_models(value: str) -> dict[str, str]:
    """Read models by their roles."""
    pairs = [each.partition("=") for each in value.split(",") if each.strip()]
    if any(not (role.strip() and equals and model.strip()) for role, equals, model in pairs):
        raise ValueError("write role=provider:name, separated by commas")
    return {role.strip(): model.strip() for role, _, model in pairs}


def targets(value: str) -> tuple[str, ...]:
    """Read whom messages go to."""
    targets = tuple(each.strip() for each in value.split(",") if each.strip())
    known = (
        *(f"{kind}:{scheme}://" for kind in ("webhook", "slack") for scheme in ("https", "http")),
        "mailto:",
        "apprise:",
    )
    if not all(each.startswith(known) and each not in known for each in targets):
        raise ValueError(
            "write webhook:https://…, slack:https://…, mailto:someone@example.com or apprise:…, separated by commas"
        )
    return targets


def mail_server(value: str) -> str:
    """Read the address of a mail server."""
    if not value.startswith(("smtp://", "smtps://")):
        raise ValueError("it must start with smtp:// or smtps://")
    return value
