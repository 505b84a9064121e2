"""Icons as lines on a grid of 24; each status has a shape of its own, so that colour is never all that tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from markupsafe import Markup

PATHS: Mapping[str, str] = json.loads(
    resources.files(__package__).joinpath("icons.json").read_text(encoding="utf-8")
)


def icon(name: str, label: str = "") -> Markup:
    """Return an icon; without a label it says nothing to a screen reader, since a word stands beside it."""
    told = Markup('role="img" aria-label="{}"').format(label) if label else 'aria-hidden="true"'
    return Markup(
        '<svg class="icon icon-{name}" viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor"'
        ' stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" {told}><path d="{path}"/></svg>'
    ).format(name=name, told=Markup(told), path=PATHS[name])  # noqa: S704  # made here
