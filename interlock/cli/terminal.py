"""A terminal that is told nothing by what is printed on it: names and texts may come from anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Quiet(Console):
    """Prints characters that would command the terminal as they would be written; styles of our own pass."""

    @override
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what is printed."""
        for segment in super().render(renderable, options):
            if segment.control or not _COMMANDS.search(segment.text):
                yield segment
            else:
                yield Segment(_COMMANDS.sub(_written, segment.text), segment.style)


def _written(command: re.Match[str]) -> str:
    return ascii(command[0])[1:-1]
