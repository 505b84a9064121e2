"""The OpenAPI document and its page; and each operation of LangGraph's protocol, which is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

# LangGraph's own server is installed for development; its description of the protocol is a file beside it.
PROTOCOL = Path(httpx.__file__).parents[1] / "openapi.json"


def operations() -> list[tuple[str, str]]:
    """Return each method and path of LangGraph's protocol."""
    paths = json.loads(PROTOCOL.read_text(encoding="utf-8"))["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    ]


@pytest.fixture(scope="module")
def document(server: str) -> Mapping[str, Any]:
    """The OpenAPI document as the server gives it."""
    found: dict[str, Any] = httpx.get(f"{server}/openapi.json").json()
    return found


@pytest.mark.parametrize(("method", "path"), operations())
def test_each_operation_of_the_protocol_is_served(server: str, method: str, path: str) -> None:
    """Nothing of the protocol is simply not there."""
    address = server + re.sub(r"\{\w+\}", lambda _: str(uuid4()), path)
    body: dict[str, str] | None = {} if method in ("POST", "PUT", "PATCH", "DELETE") else None

    with httpx.stream(method, address, json=body, timeout=30) as answer:
        content = "" if answer.status_code < 400 else answer.read().decode()

    if not path.startswith(
        "/mcp"
    ):  # whose transport has statuses of its own for what it does not have
        assert answer.status_code not in (405, 501)
        assert content != '{"detail":"Not Found"}'
        assert answer.status_code < 500


def test_each_operation_of_ours_says_what_it_does(document: Mapping[str, Any]) -> None:
    """A sentence, a tag that is explained, and what it may answer."""
    tags = {each["name"] for each in document["tags"]}

    assert len(list(_ours(document))) > 100
    for where, operation in _ours(document):
        assert operation.get("description", "").strip(), where
        assert set(operation["tags"]) <= tags, where
        assert {"401", "403", "422", "503"} <= set(operation["responses"]), where


def test_an_operation_has_one_name(document: Mapping[str, Any]) -> None:
    """Clients that are generated from the document have a method for each."""
    names = [operation["operationId"] for _, operation in _ours(document)]

    assert len(names) == len(set(names))


def test_keys_and_tokens_are_declared(document: Mapping[str, Any]) -> None:
    """A generated client knows how to show who it is."""
    schemes = document["components"]["securitySchemes"]

    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "x-api-key"}
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert {"key": []} in document["security"]


def test_an_error_has_one_shape(document: Mapping[str, Any]) -> None:
    """Each error is a mapping with `detail`."""
    problem = document["components"]["schemas"]["Problem"]

    assert problem["required"] == ["detail"]
    for where, operation in _ours(document):
        refused = operation["responses"]["422"]["content"]["application/json"]["schema"]
        assert refused == {"$ref": "#/components/schemas/Problem"}, where


def test_the_reference_shows_every_operation_and_loads_nothing_from_elsewhere(
    server: str, document: Mapping[str, Any]
) -> None:
    """The page has no scripts, and names no other place."""
    page = httpx.get(f"{server}/docs")

    assert page.headers["content-type"].startswith("text/html")
    loaded = _Loaded()
    loaded.feed(page.text)
    assert loaded.tags.isdisjoint({"script", "img", "iframe"})
    assert loaded.addresses == {"docs/reference.css"}
    style = httpx.get(f"{server}/docs/reference.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page.text


def _ours(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


class _Loaded(HTMLParser):
    """Collects what a page consists of, and what a browser would fetch for it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        named = dict(attrs)
        if tag == "link" or "src" in named:
            self.addresses.add(named.get("href") or named.get("src") or "")


def test_tags_are_told_once(document: Mapping[str, Any]) -> None:
    """OpenAPI wants the name of each tag once, and each that an operation has is told of."""
    told = [each["name"] for each in document["tags"]]
    used = {
        tag for path in document["paths"].values() for each in path.values() for tag in each["tags"]
    }

    assert len(told) == len(set(told))
    assert used <= set(told)
