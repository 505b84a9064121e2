"""Who may do what, as an application says it with LangGraph's own handlers."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()

HIDDEN = "00000000-0000-4000-8000-000000000000"

PEOPLE = {"ann": ["write"], "bob": ["write"], "vic": []}


@auth.authenticate
async def known(authorization: str | None, headers: dict[bytes, bytes]) -> dict[str, Any]:
    """Know people by their name as a token."""
    name = (authorization or "").removeprefix("Bearer ")
    if name not in PEOPLE:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Nobody knows you")
    team = headers.get(b"x-team", b"blue").decode()
    return {"identity": name, "permissions": PEOPLE[name], "team": team}


@auth.on
async def nothing_else(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Refuse what nothing below decides."""
    return False


@auth.on.threads
async def own(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Let people reach their own threads."""
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.create
async def made(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Let those make threads who may write; they are theirs."""
    if "write" not in ctx.permissions:
        return False
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    value["metadata"]["readers"] = [ctx.user.identity, "vic"]
    return {"owner": ctx.user.identity}


@auth.on.threads.read
async def read(ctx: Auth.types.AuthContext, value: Any) -> dict[str, Any]:
    """Let readers read."""
    return {"readers": {"$contains": ctx.user.identity}}


@auth.on.threads.search
async def searched(ctx: Auth.types.AuthContext, value: Any) -> dict[str, Any]:
    """Let readers find."""
    return {"readers": {"$contains": ctx.user.identity}}


@auth.on.assistants.read
async def any_assistant(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Let all see assistants but one."""
    return bool(value.get("assistant_id") != HIDDEN)


@auth.on.store
async def own_items(ctx: Auth.types.AuthContext, value: Any) -> None:
    """Keep each one's items under their name."""
    value["namespace"] = (ctx.user.identity, *value["namespace"])
