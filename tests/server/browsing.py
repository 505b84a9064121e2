"""A browser for tests, and looks at its pages: in both themes and sizes, for who sees, who listens and who types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has none
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

CHROMIUM = Path(os.environ.get("INTERLOCK_CHROMIUM", "/usr/bin/chromium"))

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and not os.environ.get("CI"),
    reason=f"no {CHROMIUM}: install Debian's chromium, or name another with INTERLOCK_CHROMIUM",
)

SHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"
DESKTOP: ViewportSize = {"width": 1360, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
Theme = Literal["light", "dark"]
LOOKS: Mapping[str, tuple[Theme, ViewportSize]] = {
    "desk": ("light", DESKTOP),
    "desk-dark": ("dark", DESKTOP),
    "phone": ("light", PHONE),
    "phone-dark": ("dark", PHONE),
}
PATIENCE = 120_000
"""Milliseconds that a run may take on a busy machine."""

FOCUSED = """() => {
    const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
    return {
        what: here === document.body ? "" : here.outerHTML.slice(0, 120),
        shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
        seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
}"""


@contextmanager
def launched() -> Iterator[Browser]:
    """Give a browser without a window."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@contextmanager
def at_a_desk(chromium: Browser, address: str) -> Iterator[Page]:
    """Give a page at a desk, which may log no error but that it was refused something."""
    context = chromium.new_context(base_url=address, viewport=DESKTOP, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert [each for each in faults if "status of 4" not in each] == []


def look_at(page: Page, name: str) -> None:
    """Look at a page in both themes and on a phone: nothing sticks out, nothing is hard to reach, and keep pictures."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for kind, (theme, size) in LOOKS.items():
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (name, kind)
        assert _serious(page) == [], (name, kind)
        page.screenshot(path=SHOTS / f"{name}-{kind}.png", full_page=kind.startswith("phone"))
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)


def painted(page: Page) -> None:
    """Wait until a page was drawn: a browser takes no keys for one that nobody has seen."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def walked(page: Page, most: int = 150) -> list[str]:
    """Go through a page with Tab until it begins anew; return what had the focus, which must be seen wherever it is."""
    painted(page)
    found: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        here = page.evaluate(FOCUSED)
        if not here["what"]:
            return found
        assert here["shown"], f"nobody sees that it has the focus: {here['what']}"
        assert here["seen"], f"it has the focus out of sight: {here['what']}"
        found.append(here["what"])
    return found


def _serious(page: Page) -> list[Any]:
    """Return what axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
