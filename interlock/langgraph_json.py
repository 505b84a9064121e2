"""`langgraph.json`: what an application says of itself, as LangGraph's own tools read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from interlock.errors import UsageError

NAME = "langgraph.json"

SHAPE = 'It needs {"graphs": {"name": "package.module:variable"}}.'

UNHONOURED: Mapping[str, str] = {
    "encryption": "Interlock encrypts with INTERLOCK_ENCRYPTION_KEY",
    "priority": "a run is given its priority when it is submitted",
    "ui": "Interlock serves no components of an application",
    "checkpointer.backend": "checkpoints are in Interlock's database",
    "checkpointer.path": "checkpoints are in Interlock's database",
    "checkpointer.serde": "checkpoints are read strictly, and never unpickled",
    "store.path": "the store is in Interlock's database",
    "auth.cache": "each request is asked who it comes from",
    "http.logging_headers": "headers are not logged",
    "http.middleware_order": "an application's middleware is asked for its own routes alone",
    "http.enable_custom_route_auth": "an application's own routes ask for themselves who calls",
}
"""What others honour and we do not, and why; a server says so when it starts."""

_BUILDING = frozenset(
    {
        "$schema",
        "_INTERNAL_docker_tag",
        "api_version",
        "base_image",
        "dockerfile_lines",
        "image_distro",
        "keep_pkg_tools",
        "node_version",
        "pip_config_file",
        "pip_installer",
        "python_version",
        "source",
        "ui_config",
    }
)
"""What is said to those who build images; it means nothing here."""

_PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class GraphEntry(_Section):
    """Where a graph is found, and what it is for."""

    path: str
    description: str | None = None


class Cors(_Section):
    """Which pages of other places may call the server from a browser."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ("*",)
    allow_headers: tuple[str, ...] = ("*",)
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: tuple[str, ...] = ()
    max_age: int = 600


class ConfigurableHeaders(_Section):
    """Which headers of a request its run finds in its configuration; `*` stands for anything."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_is_none(cls, names: Any) -> Any:  # JSON
        return () if names is None else names

    @property
    def included(self) -> tuple[str, ...]:
        """Those that are, under either name."""
        return self.includes or self.include

    @property
    def excluded(self) -> tuple[str, ...]:
        """Those that are not, under either name."""
        return self.excludes or self.exclude


class Http(_Section):
    """What the server serves, and where."""

    app: str | None = None
    mount_prefix: str = ""
    cors: Cors | None = None
    configurable_headers: ConfigurableHeaders | None = None
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_meta: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    disable_ui: bool = False
    disable_webhooks: bool = False

    @field_validator("mount_prefix")
    @classmethod
    def _rooted(cls, prefix: str) -> str:
        return f"/{prefix.strip('/')}" if prefix.strip("/") else ""


class Auth(_Section):
    """Where the application's own handlers are that say who calls."""

    path: str | None = None
    disable_studio_auth: bool = False


class ThreadTtl(_Section):
    """How long threads live, in minutes."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl: float | None = Field(default=None, gt=0)
    sweep_interval_minutes: float = Field(default=5, gt=0)
    sweep_limit: int | None = Field(default=None, gt=0)


class Checkpointer(_Section):
    """How threads are kept."""

    ttl: ThreadTtl | None = None


class StoreIndex(_Section):
    """How items of the store are searched by meaning."""

    dims: int = Field(gt=0)
    embed: str
    fields: tuple[str, ...] | None = None


class StoreTtl(_Section):
    """How long items of the store live, in minutes."""

    refresh_on_read: bool = True
    default_ttl: float | None = Field(default=None, gt=0)
    sweep_interval_minutes: float | None = Field(default=None, gt=0)


class StoreSection(_Section):
    """How the store is searched and kept."""

    index: StoreIndex | None = None
    ttl: StoreTtl | None = None


class WebhookUrls(_Section):
    """Which addresses webhooks may go to; a policy that is given asks for HTTPS unless it says otherwise."""

    require_https: bool = False
    allowed_domains: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = ()
    max_url_length: int = 2048
    disable_loopback: bool = True
    disable_private_ips: bool = False

    @model_validator(mode="before")
    @classmethod
    def _strict_when_given(cls, given: Any) -> Any:  # JSON
        return {"require_https": True, **given} if isinstance(given, dict) and given else given


class Webhooks(_Section):
    """Where webhooks may go, and what is sent with them."""

    env_prefix: str = "LG_WEBHOOK_"
    url: WebhookUrls = WebhookUrls()
    headers: Mapping[str, str] = Field(default_factory=dict)
    allowed_fields: tuple[str, ...] | None = None


class Config(_Section):
    """An application's langgraph.json.

    Attributes:
        graphs: name -> where it is found.
        env: a file of `NAME=value` lines, or the variables themselves.
        dependencies: folders that are importable, and packages that must be installed.
    """

    graphs: Mapping[str, GraphEntry]
    env: str | Mapping[str, str] = Field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    store: StoreSection = StoreSection()
    auth: Auth = Auth()
    checkpointer: Checkpointer = Checkpointer()
    http: Http = Http()
    webhooks: Webhooks = Webhooks()

    @field_validator("graphs", mode="before")
    @classmethod
    def _entries(cls, graphs: Any) -> Any:  # JSON
        if not isinstance(graphs, dict):
            return graphs
        return {
            name: {"path": each} if isinstance(each, str) else each for name, each in graphs.items()
        }

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_is_the_default(cls, value: Any, info: Any) -> Any:  # JSON; pydantic's
        if value is None and info.field_name != "graphs":
            return cls.model_fields[info.field_name].get_default(call_default_factory=True)
        return value

    def notices(self) -> list[str]:
        """Return what the file says that this server does not do, in sentences."""
        said = [
            f"{NAME}: `{name}` is not honoured: {why}."
            for name, why in UNHONOURED.items()
            if _says(self, name)
        ]
        unknown = sorted(set(self.model_extra or ()) - _BUILDING - set(UNHONOURED))
        said += [f"{NAME}: `{name}` is not known here." for name in unknown]
        said += [
            f"{NAME}: the package {name!r} is not installed: install it beside Interlock."
            for name in self._missing()
        ]
        return said

    def _missing(self) -> Iterator[str]:
        for each in self.dependencies:
            if not is_folder(each) and (found := _PACKAGE.match(each)):
                try:
                    version(found[0])
                except PackageNotFoundError:
                    yield found[0]


def read(path: Path) -> Config:
    """Read an application's langgraph.json; raises `UsageError`."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            hint="Pass --config, or set INTERLOCK_CONFIG.",
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.", hint=SHAPE) from error
    if not isinstance(given, dict) or not isinstance(given.get("graphs"), dict):
        raise UsageError(f"{path} names no graphs.", hint=SHAPE)
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path} is wrong at {where!r}: {first['msg']}.") from error


def is_folder(dependency: str) -> bool:
    """Say whether a dependency is a folder beside the file, and not a package."""
    return dependency.startswith((".", "/"))


def _says(config: Config, name: str) -> bool:
    """Say whether a file says something under a name."""
    section: Any = config  # a section
    *path, key = name.split(".")
    for part in path:
        section = getattr(section, part)
    said = key in section.model_fields_set or key in (section.model_extra or {})
    return said and bool(getattr(section, key))
