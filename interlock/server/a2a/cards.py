"""Agent cards: what others read before they call an assistant."""

from __future__ import annotations

from typing import Any

from interlock import __version__
from interlock.postgres.assistants import Assistant

KINDS = ["text/plain", "application/json"]


def card(assistant: Assistant, url: str) -> dict[str, Any]:  # JSON
    """Return an assistant's card, which both versions of the protocol read.

    Args:
        assistant: that is called.
        url: where.
    """
    name = assistant.name or assistant.graph
    about = assistant.description or f"Runs the graph {assistant.graph}."
    ways = [
        {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version}
        for version in ("1.0", "0.3")
    ]
    skill = {"id": f"{assistant.assistant_id}-main", "name": name, "description": about}
    return {
        "name": name,
        "description": about,
        "version": __version__,
        "url": url,
        "protocolVersion": "0.3.0",
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": ways,
        "capabilities": {"streaming": True, "pushNotifications": False},
        "defaultInputModes": KINDS,
        "defaultOutputModes": KINDS,
        "skills": [{**skill, "tags": ["graph", assistant.graph]}],
    }
