"""Every setting, read once from the environment, cast, and refused when wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from interlock import casts
from interlock.errors import UsageError

PREFIX: Final = "INTERLOCK_"


def _setting(
    variable: str,
    text: str,
    read: Callable[[str], Any] = str,
    default: Any = None,
    *,
    secret: bool = False,
) -> Any:  # dataclass field
    metadata = {"variable": PREFIX + variable, "text": text, "read": read}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set; each field's variable and meaning stand in its metadata and in docs/configuration.md."""

    database_url: str | None = _setting(
        "DATABASE_URL",
        "A Postgres to use (version 14 or later); without it an embedded one is started.",
        casts.database_url,
    )
    schema: str = _setting(
        "SCHEMA",
        "The schema of Interlock's tables; with another name LangGraph's tables are in it, too.",
        casts.schema,
        "interlock",
    )
    encryption_key: tuple[bytes, ...] | None = _setting(
        "ENCRYPTION_KEY",
        "Keys for what is stored, in base64, separated by commas: the first encrypts, all decrypt.",
        casts.keys,
        secret=True,
    )
    data_dir: Path | None = _setting(
        "DATA_DIR",
        "Where the embedded Postgres keeps its data; default: the platform's user data directory.",
        Path,
    )
    postgres_port: int | None = _setting(
        "POSTGRES_PORT",
        "Let the embedded Postgres listen on this port of 127.0.0.1 too; default: unix socket only.",
        casts.port,
    )
    config: Path | None = _setting(
        "CONFIG",
        "The langgraph.json that names the graphs; default: found in this folder or above.",
        Path,
    )
    policy: Path | None = _setting(
        "POLICY",
        "The policy's file, .toml or .yaml; default: what cannot be undone is asked about.",
        Path,
    )
    tenant: str = _setting("TENANT", "On whose behalf runs act; for the policy.", str, "")
    budget_run: Mapping[str, float] | None = _setting(
        "BUDGET_RUN", "What a run may take at most: usd=0.5,tokens=20000,…", casts.limits
    )
    budget_thread: Mapping[str, float] | None = _setting(
        "BUDGET_THREAD", "What a thread may take at most, over all its runs.", casts.limits
    )
    budget_graph: Mapping[str, float] | None = _setting(
        "BUDGET_GRAPH", "What all runs of a graph together may take at most.", casts.limits
    )
    budget_tenant: Mapping[str, float] | None = _setting(
        "BUDGET_TENANT", "What all runs of a tenant together may take at most.", casts.limits
    )
    prices: Path | None = _setting(
        "PRICES", "A file with prices of models, added to the table of Interlock.", Path
    )
    rates: Path | None = _setting(
        "RATES", "A file with rate limits, breakers and fallback models of providers.", Path
    )
    model: str = _setting("MODEL", "The chat model, provider:name.", str, "offline:extractive")
    role_models: Mapping[str, str] = _setting(
        "ROLE_MODELS",
        "Other models for some roles: critic=openai:gpt-5,writer=…",
        casts.role_models,
        None,
    )
    base_url: str | None = _setting(
        "BASE_URL", "Address of a local server that speaks OpenAI's protocol."
    )
    model_timeout: float = _setting(
        "MODEL_TIMEOUT", "Seconds that one model request may take.", casts.positive, 120.0
    )
    temperature: float | None = _setting(
        "TEMPERATURE", "Sampling temperature; default: the provider's.", casts.finite
    )
    max_output_tokens: int | None = _setting(
        "MAX_OUTPUT_TOKENS",
        "Tokens that one answer of a model may have; default: the provider's.",
        casts.count,
    )
    embeddings: bool = _setting(
        "EMBEDDINGS",
        "Rank passages with the local embedding model of the extra [embeddings].",
        casts.boolean,
        False,
    )
    allow_private_urls: bool = _setting(
        "ALLOW_PRIVATE_URLS",
        "Let sources be fetched from private and loopback addresses.",
        casts.boolean,
        False,
    )
    allow_private_webhooks: bool = _setting(
        "ALLOW_PRIVATE_WEBHOOKS",
        "Let webhooks of runs go to private and loopback addresses.",
        casts.boolean,
        False,
    )
    blob_limit: int = _setting(
        "BLOB_LIMIT", "Bytes that one blob may have: 500000, 20MB, 1GB.", casts.size, 1_000_000_000
    )
    user: str = _setting(
        "USER", "Who answers questions on this machine; default: the login name.", str, ""
    )
    notify: tuple[str, ...] = _setting(
        "NOTIFY",
        "Who is told of questions: webhook:https://…, slack:https://…, mailto:…, apprise:…, separated by commas.",
        casts.targets,
        None,
        secret=True,
    )
    notify_secret: str = _setting(
        "NOTIFY_SECRET", "The key with which webhooks are signed.", str, "", secret=True
    )
    smtp: str = _setting(
        "SMTP",
        "The mail server: smtp://user:password@host:587, or smtps://….",
        casts.mail_server,
        "",
        secret=True,
    )
    steps: int = _setting(
        "STEPS",
        "Supersteps that a run of a graph may take that declares no limit of its own.",
        casts.count,
        200,
    )
    stream_hours: float = _setting(
        "STREAM_HOURS",
        "Hours for which what a run told is kept after its end.",
        casts.positive,
        24.0,
    )
    server: str = _setting(
        "SERVER", "The server that the command line asks instead of a database.", str, ""
    )
    api_key: str = _setting(
        "API_KEY", "The key that the command line shows that server.", str, "", secret=True
    )
    api_key_in_clear: bool = _setting(
        "API_KEY_IN_CLEAR",
        "Let that key go over http to another machine: for networks that encrypt by themselves.",
        casts.boolean,
        False,
    )
    server_key: bool | None = _setting(
        "SERVER_KEY",
        "Whether the server asks for a key on loopback, too; unset, it does once a key was made.",
        casts.boolean,
        None,
    )
    server_hosts: tuple[str, ...] = _setting(
        "SERVER_HOSTS",
        "Names beside those of loopback under which the server may be called, separated by commas.",
        casts.names,
        (),
    )
    server_origins: tuple[str, ...] = _setting(
        "SERVER_ORIGINS",
        "Other sites whose pages may call the server: https://chat.example.com, separated by commas.",
        casts.names,
        (),
    )
    server_body: int = _setting(
        "SERVER_BODY", "Bytes that the body of a request may have.", casts.size, 20_000_000
    )
    server_depth: int = _setting(
        "SERVER_DEPTH", "How deep lists and objects of a request may be nested.", casts.count, 100
    )
    server_rate: float = _setting(
        "SERVER_RATE",
        "Requests a second that one caller may send for long; twice as many at once.",
        casts.positive,
        1000.0,
    )
    server_streams: int = _setting(
        "SERVER_STREAMS",
        "Streams that one caller may have open on a server process.",
        casts.count,
        2000,
    )
    server_all_streams: int = _setting(
        "SERVER_ALL_STREAMS",
        "Streams that all callers together may have open on one.",
        casts.count,
        10000,
    )
    server_connections: int = _setting(
        "SERVER_CONNECTIONS",
        "Connections of all clients that may be open on a server process.",
        casts.count,
        12000,
    )
    oidc_issuer: str = _setting(
        "OIDC_ISSUER",
        "Who issues the tokens that the server takes: https://login.example.com",
        casts.site,
        "",
    )
    oidc_audience: str = _setting(
        "OIDC_AUDIENCE", "For whom those tokens must be; needed with an issuer.", str, ""
    )
    oidc_jwks_url: str = _setting(
        "OIDC_JWKS_URL",
        "Where the issuer's keys are; default: where its discovery document says.",
        casts.site,
        "",
    )
    oidc_claims: Mapping[str, str] = _setting(
        "OIDC_CLAIMS",
        "Which claims tell what: identity=email,roles=groups,tenant=org; default: sub, roles and tenant.",
        casts.claims,
        None,
    )
    debug: bool = _setting("DEBUG", "Show tracebacks.", casts.boolean, False)

    def with_(self, **changes: Any) -> Settings:  # field values
        """Return a copy with the changes that are not None."""
        return replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )


def variables() -> dict[str, str]:
    """Return each setting's environment variable and what it means."""
    return {each.metadata["variable"]: each.metadata["text"] for each in fields(Settings)}


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises `UsageError` that names each variable that is wrong or unknown."""
    known = {each.metadata["variable"]: each for each in fields(Settings)}
    faults = [
        _unknown(name, known)
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]
    values: dict[str, Any] = {}  # field values
    for variable, each in known.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            values[each.name] = each.metadata["read"](text)
        except ValueError as error:
            faults.append(f"{variable} is wrong: {error}.")
    if faults:
        raise UsageError(" ".join(faults), hint="docs/configuration.md lists all settings.")
    return Settings(**values)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.85)
    return f"{name} is not a setting{f'; {near[0]} is' if near else ''}."
