"""What a model call asks for, and where: a digest that is the same whenever the same is asked, and a short account."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from interlock.core.recordings import Asked, ModelRequest, SeenMessage
from interlock.core.site import here, nth

SHOWN = 200
"""First characters of a message that a report can show."""

KEPT = 8_000
"""Characters of a model's parameters that a report can compare."""

_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]+(?=>)")
"""How Python writes objects that have no other form: different in each process."""

_TRANSPORT = (
    "timeout",
    "request_timeout",
    "default_request_timeout",
    "max_retries",
    "client_kwargs",
)
"""Parameters of a client that do not reach the model."""

_MODEL = re.compile(r"""["'](?:model|model_name|model_id|_type)["'][:,] ["']([^"']+)["']""")
_COUNTING = threading.Lock()


def request_here(prompt: str, llm_string: str) -> ModelRequest:
    """Return the request that the running node makes.

    Args:
        prompt: LangChain's serialized messages.
        llm_string: LangChain's text of the model and its parameters.
    """
    site = here()
    messages, parameters = _messages(prompt), _parameters(llm_string)
    digest = _sha256([messages, parameters])
    with _COUNTING:  # synchronous nodes call models from several threads
        number = nth(digest)
    return ModelRequest(
        key=_sha256([site.thread_id, site.task, digest, number]),
        digest=digest,
        site=site,
        number=number,
        asked=Asked(
            node=site.node,
            model=_model(parameters),
            parameters=parameters[:KEPT],
            messages=tuple(_seen(each) for each in messages),
        ),
    )


def _messages(prompt: str) -> list[dict[str, Any]]:  # JSON
    try:
        loaded = json.loads(prompt)
    except json.JSONDecodeError:  # a model of text, not of messages
        loaded = prompt
    each = loaded if isinstance(loaded, list) else [{"kwargs": {"type": "text", "content": loaded}}]
    return [_sent(message) for message in each]


def _sent(message: Any) -> dict[str, Any]:  # JSON
    """Return the part of a message that matters to a model: not what it cost, and no object made from its text."""
    if not isinstance(message, dict) or not isinstance(message.get("kwargs"), dict):
        return {"type": "text", "content": message}
    kept = dict(message["kwargs"])
    extra = kept.get("additional_kwargs") or {}
    kept["additional_kwargs"] = {name: each for name, each in extra.items() if name != "parsed"}
    kept.pop("usage_metadata", None)
    # What is empty is left out by LangChain in some of its versions and not in others.
    return {name: _without_addresses(each) for name, each in kept.items() if each}


def _without_addresses(value: Any) -> Any:  # JSON
    """Return JSON in which an object that has no form of its own is told by its kind."""
    if isinstance(value, list):
        return [_without_addresses(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "not_implemented" and isinstance(value.get("repr"), str):
        return value | {"repr": _ADDRESS.sub("0x", value["repr"])}
    return {name: _without_addresses(each) for name, each in value.items()}


def _parameters(llm_string: str) -> str:
    head, separator, tail = llm_string.partition("---")
    try:
        model = json.loads(head)
    except json.JSONDecodeError:
        return _ADDRESS.sub("0x", llm_string)
    if isinstance(model, dict) and isinstance(model.get("kwargs"), dict):
        given = model["kwargs"].items()
        model["kwargs"] = {name: each for name, each in given if name not in _TRANSPORT}
    return _ADDRESS.sub("0x", json.dumps(model, sort_keys=True) + separator + tail)


def _model(parameters: str) -> str:
    found = _MODEL.search(parameters)
    return found[1] if found else "a model"


def _seen(message: Mapping[str, Any]) -> SeenMessage:  # JSON
    text = _text(message)
    return SeenMessage(
        role=str(message.get("role") or message.get("type", "message")),
        sha256=_sha256(message),
        chars=len(text),
        start=text[:SHOWN],
    )


def _text(message: Mapping[str, Any]) -> str:  # JSON
    content = message.get("content") or ""
    calls = [f"{call['name']}({call['args']})" for call in message.get("tool_calls") or ()]
    said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return " ".join([said, *calls]).strip()


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
