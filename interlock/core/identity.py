"""Who asked for a run, as its nodes find it in their configuration: in the words of LangGraph's server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interlock.errors import UsageError

HEADERS = "__interlock_headers"
"""Under which the configuration of a run names those of its keys that are headers of the request."""

SERVERS = "langgraph_"
"""With which keys begin that a server sets and nodes believe."""


class User:
    """Somebody as an application's handler returned them, with all that it may have left out."""

    def __init__(self, said: Any) -> None:  # a text, a mapping, or an object of the application's
        self._said = {"identity": said} if isinstance(said, str) else said
        identity: object = self._get("identity")
        if not isinstance(identity, str) or not identity:
            raise UsageError("The authentication handler returned nobody: `identity` is missing.")

    @property
    def identity(self) -> str:
        """Who it is."""
        return self._get("identity")  # type: ignore[no-any-return]  # checked when it was made

    @property
    def display_name(self) -> str:
        """Under which it is shown."""
        return str(self._get("display_name") or self.identity)

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known."""
        return self._get("is_authenticated") is not False

    @property
    def permissions(self) -> Sequence[str]:
        """What the application lets it do."""
        return tuple(self._get("permissions") or ())

    def document(self) -> dict[str, Any]:  # JSON
        """Return it as JSON."""
        said = self._said
        if not isinstance(said, Mapping):
            dumped = said.model_dump() if hasattr(said, "model_dump") else vars(said)
            said = {key: value for key, value in dumped.items() if not key.startswith("_")}
        return {
            **said,
            "identity": self.identity,
            "display_name": self.display_name,
            "is_authenticated": self.is_authenticated,
            "permissions": list(self.permissions),
        }

    def _get(self, name: str) -> Any:  # whatever it has
        if isinstance(self._said, Mapping):
            return self._said.get(name)
        return getattr(self._said, name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (value := self._get(name)) is None:
            raise AttributeError(name)
        return value

    def __getitem__(self, name: str) -> Any:
        return self.document()[name]

    def __contains__(self, name: str) -> bool:
        return name in self.document()

    def __iter__(self) -> Iterator[str]:
        return iter(self.document())


def asker(
    user: Mapping[str, Any],
    *,
    permissions: Sequence[str] = (),
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # JSON
    """Return who asked for a run as it is stored with it: what there is to say.

    Args:
        user: with an `identity`; empty for nobody in particular.
        permissions: what they may do.
        request_id: of the request.
        headers: of the request, which nodes are to find.
    """
    said = {
        "user": dict(user),
        "permissions": list(permissions),
        "request_id": request_id,
        "headers": dict(headers or {}),
    }
    return {key: each for key, each in said.items() if each}


def configured(
    asked: Mapping[str, Any],
    configurable: Mapping[str, Any],  # JSON
) -> dict[str, Any]:
    """Return what nodes find in `config["configurable"]`: what a client said, and who the client is.

    Args:
        asked: as `asker` returned it; empty for nobody in particular.
        configurable: what the client said; without an `assistant_id` there is none, and it is returned as it is.
    """
    if "assistant_id" not in configurable:
        return dict(configurable)
    user = User(asked["user"]) if asked.get("user") else None
    headers, identity = asked.get("headers", {}), user.identity if user else ""
    return {
        **configurable,
        **headers,
        "user_id": configurable.get("user_id") or identity,
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": identity,
        "langgraph_auth_permissions": list(asked.get("permissions", ())),
        "langgraph_request_id": asked.get("request_id"),
        HEADERS: tuple(headers),
    }


def told(known: Mapping[str, Any], configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be written down and shown of what a run's configuration says: not who asked, and no header.

    Args:
        known: some of it, by its keys.
        configurable: of the run.
    """
    headers = configurable.get(HEADERS, ())
    return {
        key: each
        for key, each in known.items()
        if key not in headers and not key.startswith(SERVERS)
    }
