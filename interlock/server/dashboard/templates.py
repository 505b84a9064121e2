"""Pages out of templates: whole, or one block of them for a page that is open and wants to know what is new."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from interlock import __version__, wording
from interlock.server.dashboard import words
from interlock.server.dashboard.assets import address_of
from interlock.server.dashboard.counters import counters
from interlock.server.dashboard.icons import icon
from interlock.server.dashboard.navigation import PLACES, is_here, place_of
from interlock.server.scope import Scope

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Vary": "X-Fragment",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
THEMES = ("light", "dark")
MACROS: Mapping[str, str] = {"parts": "parts.html", "diff": "changes.html", "form": "fields.html"}
"""What every template and every block of one can call, without importing it: a block alone would not see imports."""


async def page(
    request: Request,
    scope: Scope | None,
    name: str,
    *,
    status_code: int = 200,
    **values: Any,  # what the template tells
) -> HTMLResponse:
    """Return a page; a request with the header `X-Fragment: BLOCK` gets that block of its template alone.

    Args:
        request: that asks for it.
        scope: of whoever asks; None for somebody who is not known.
        name: of the template, which extends `base.html`.
        status_code: of the answer.
        values: what the template is given, beside `request`, `caller`, `may`, `places`, `figures`, `theme` and `csrf`.
    """
    template = environment().get_template(name)
    known = {**await _surroundings(request, scope), **values}
    known |= {name: _macros(file, known) for name, file in MACROS.items()}
    block = request.headers.get("x-fragment", "")
    if block in template.blocks:
        text = "".join(template.blocks[block](template.new_context(known)))
    else:
        text = template.render(known)
    return HTMLResponse(text, status_code, dict(HEADERS))


@cache
def environment() -> Environment:
    """Return what all templates share."""
    made = Environment(
        loader=PackageLoader("interlock.server.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("short", "clipped", "money", "names"):
        made.filters[name] = getattr(wording, name)
    for name in ("duration", "ago", "exactly", "number"):
        made.filters[name] = getattr(words, name)
    made.filters |= {
        "brief": words.brief,
        "cron_title": words.cron_title,
        "repeated": words.repeated,
        "plain": words.plain,
        "pretty": words.pretty,
        "outline": words.outline,
        "segment": words.segment,
    }
    made.globals |= {
        "asset": address_of,
        "counted": wording.counted,
        "icon": icon,
        "is_here": is_here,
        "place_of": place_of,
        "now": lambda: datetime.now(UTC),
        "version": __version__,
    }
    return made


def _has_nav(request: Request) -> bool:
    return request.headers.get("x-fragment", "nav") == "nav"


def _macros(file: str, known: Mapping[str, Any]) -> object:  # what templates are given
    return environment().get_template(file).make_module(dict(known))


async def _surroundings(request: Request, scope: Scope | None) -> dict[str, Any]:
    theme = request.cookies.get("theme", "")
    return {
        "request": request,
        "path": request.url.path,
        "caller": scope.caller if scope else None,
        "may": scope.caller.rights if scope else frozenset(),
        "places": PLACES,
        "figures": await counters(scope) if scope and _has_nav(request) else {},
        "theme": theme if theme in THEMES else "",
        "csrf": scope.caller.csrf if scope else "",
        "said": request.query_params.get("said", ""),
    }
