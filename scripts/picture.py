"""Draw what a command printed, colours and all, as the docs show it: `picture.py SAID.ansi PICTURE.webp [TITLE]`.

What it printed is kept with `script -qec "interlock status" /dev/null > SAID.ansi`; a headless Chromium draws it.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO, StringIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 1_100
"""Pixels, as the dashboard's pictures have."""


def main(said: str, picture: str, title: str = "interlock status") -> None:
    """Draw it."""
    lines = [line.rstrip() for line in Path(said).read_text().replace("\r", "").split("\n")]
    texts = [Text.from_ansi(line) for line in lines]
    width = max(text.cell_len for text in texts)
    console = Console(record=True, width=width, file=StringIO())
    for text in texts:
        text.rstrip()
        console.print(text, soft_wrap=True)
    _save(console.export_svg(title=title, theme=MONOKAI), Path(picture))


def _save(svg: str, picture: Path) -> None:
    with sync_playwright() as play:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(device_scale_factor=1)
        page.set_content(f"<style>body{{margin:0}}svg{{width:{WIDTH}px;height:auto}}</style>{svg}")
        drawn = page.locator("svg").screenshot(omit_background=True)
        browser.close()
    Image.open(BytesIO(drawn)).convert("RGB").save(picture, quality=82, method=6)


if __name__ == "__main__":
    main(*sys.argv[1:])
