"""What is printed commands no terminal."""

from __future__ import annotations

from io import StringIO

from rich.table import Table
from rich.text import Text

from interlock.cli.terminal import Quiet


def test_what_others_wrote_is_shown_as_written() -> None:
    """Commands in texts and cells are shown; lines, tabs and styles of our own pass."""
    out = StringIO()
    console = Quiet(
        file=out, force_terminal=True, color_system="standard", width=60, highlight=False
    )
    table = Table("name")
    table.add_row("a\x1b]0;title\x07b")

    console.print("one\ntwo \x1b[2J", markup=False)
    console.print(Text("red", style="red"))
    console.print(table)

    assert "\x1b[2J" not in out.getvalue()
    assert "one\ntwo \\x1b[2J" in out.getvalue()
    assert "\x1b[31mred" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()
