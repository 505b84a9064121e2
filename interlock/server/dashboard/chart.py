"""Charts as SVG that the server draws: a title and a description for who listens, values on hover for who looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log10

from markupsafe import Markup

WIDTH, HEIGHT = 640.0, 180.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 8.0, 12.0, 24.0
GRID_LINES = 3
LABELS = 8

ROUND = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
"""What stands well at a line, with its zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values that belong together.

    Attributes:
        tone: names its colour: `accent`, `good`, `warning`, `bad`, `calm`, or a run's status.
        values: one for each label of the chart; None where nothing is known.
    """

    name: str
    values: Sequence[float | None]
    tone: str = "accent"


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart over labels, often times.

    Attributes:
        title: what it shows, in a few words.
        unit: how a value is told.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: Callable[[float], str] = _told

    def bars(self) -> Markup:
        """Return the values as bars, those of several series on top of each other."""
        top = _ceiling([sum(each) for each in self._stacks()])
        slot = self._plot / max(len(self.labels), 1)
        width = max(min(slot * 0.7, 42.0), 1.0)
        drawn = [
            self._bar(number, column, slot, width, top)
            for number, column in enumerate(self._stacks())
        ]
        return self._framed(Markup("").join(drawn), top, slot)

    def lines(self) -> Markup:
        """Return the values as lines."""
        known = [value for each in self.series for value in each.values if value is not None]
        top = _ceiling(known)
        slot = self._plot / max(len(self.labels), 1)
        drawn = [self._line(each, slot, top) for each in self.series]
        return self._framed(Markup("").join(drawn), top, slot)

    @property
    def _plot(self) -> float:
        return WIDTH - LEFT - RIGHT

    def _stacks(self) -> list[list[float]]:
        return [
            [each.values[n] or 0.0 if n < len(each.values) else 0.0 for each in self.series]
            for n in range(len(self.labels))
        ]

    def _bar(
        self, number: int, column: Sequence[float], slot: float, width: float, top: float
    ) -> Markup:
        x = LEFT + slot * number + (slot - width) / 2
        base = HEIGHT - BOTTOM
        pieces = []
        for series, value in zip(self.series, column, strict=True):
            height = value / top * (HEIGHT - TOP - BOTTOM)
            base -= height
            pieces.append(_rect(series.tone, (x, base), (width, height)) if value else Markup(""))
        told = self._tip(number, column)
        return Markup("<g><title>{}</title>{}</g>").format(told, Markup("").join(pieces))

    def _line(self, series: Series, slot: float, top: float) -> Markup:
        places = [
            None if value is None else (LEFT + slot * (n + 0.5), _y(value, top))
            for n, value in enumerate(series.values)
        ]
        path = " ".join(
            f"{'M' if before is None else 'L'}{here[0]:.1f} {here[1]:.1f}"
            for before, here in pairwise([None, *places])
            if here is not None
        )
        dots = [
            Markup(
                '<circle class="tone-{}" cx="{:.1f}" cy="{:.1f}" r="6"><title>{}</title></circle>'
            ).format(series.tone, *place, f"{series.name}, {self.labels[n]}: {self.unit(value)}")
            for n, (place, value) in enumerate(zip(places, series.values, strict=True))
            if place is not None and value is not None
        ]
        line = Markup('<path class="line tone-{}" d="{}"/>').format(series.tone, path)
        return line + Markup('<g class="dots">{}</g>').format(Markup("").join(dots))

    def _tip(self, number: int, column: Sequence[float]) -> str:
        told = [
            f"{series.name}: {self.unit(value)}"
            for series, value in zip(self.series, column, strict=True)
        ]
        return f"{self.labels[number]} · {', '.join(told)}"

    def _framed(self, drawn: Markup, top: float, slot: float) -> Markup:
        parts = Markup(
            '<figure class="chart"><figcaption>{title}{legend}</figcaption>'
            '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{about}">{grid}{drawn}{labels}</svg>{table}</figure>'
        )
        return parts.format(
            title=self.title,
            legend=self._legend(),
            w=WIDTH,
            h=HEIGHT,
            about=self._about(),
            grid=self._grid(top),
            drawn=drawn,
            labels=self._labels(slot),
            table=self._table(),
        )

    def _about(self) -> str:
        told = [
            f"{each.name} up to {self.unit(max((v for v in each.values if v is not None), default=0))}"
            for each in self.series
        ]
        return f"{self.title}: {'; '.join(told)}."

    def _legend(self) -> Markup:
        if len(self.series) < 2:
            return Markup("")
        keys = [
            Markup('<span class="key"><i class="tone-{}"></i>{}</span>').format(s.tone, s.name)
            for s in self.series
        ]
        return Markup('<span class="legend">{}</span>').format(Markup("").join(keys))

    def _grid(self, top: float) -> Markup:
        lines = []
        for n in range(GRID_LINES + 1):
            value = top * n / GRID_LINES
            lines.append(
                Markup(
                    '<line class="grid" x1="{:.0f}" x2="{:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>'
                    '<text class="tick" x="{:.0f}" y="{t:.1f}" text-anchor="end">{}</text>'
                ).format(
                    LEFT,
                    WIDTH - RIGHT,
                    LEFT - 6,
                    self.unit(value),
                    y=_y(value, top),
                    t=_y(value, top) + 4,
                )
            )
        return Markup("").join(lines)

    def _labels(self, slot: float) -> Markup:
        every = max(-(-len(self.labels) // LABELS), 1)
        return Markup("").join(
            Markup(
                '<text class="tick below{}" x="{:.1f}" y="{:.0f}" text-anchor="middle">{}</text>'
            ).format(
                " between" if n // every % 2 else "", LEFT + slot * (n + 0.5), HEIGHT - 7, label
            )
            for n, label in enumerate(self.labels)
            if n % every == 0
        )

    def _table(self) -> Markup:
        """Return the same as a table, for who does not see it."""
        head = Markup("").join(
            Markup('<th scope="col">{}</th>').format(s.name) for s in self.series
        )
        rows = [
            Markup('<tr><th scope="row">{}</th>{}</tr>').format(
                label, Markup("").join(Markup("<td>{}</td>").format(self.unit(v)) for v in column)
            )
            for label, column in zip(self.labels, self._stacks(), strict=True)
        ]
        return Markup(
            '<table class="unseen"><caption>{}</caption><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table>'
        ).format(self.title, head, Markup("").join(rows))


def meter(parts: Sequence[tuple[str, float, str]], whole: float, about: str) -> Markup:
    """Return one bar that is filled by parts of a whole, each with its name, its value and its tone."""
    x, drawn = 0.0, []
    for name, value, tone in parts:
        width = min(value / whole, 1.0) * 100 if whole > 0 else 0.0
        width = min(width, 100.0 - x)
        drawn.append(
            Markup(
                '<rect class="tone-{}" x="{:.2f}" y="0" width="{:.2f}" height="8"><title>{}</title></rect>'
            ).format(tone, x, width, f"{name}: {_told(value)}")
        )
        x += width
    return Markup(
        '<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="rail" width="100" height="8"/>{}</svg>'
    ).format(about, Markup("").join(drawn))


def sparkline(values: Sequence[float], about: str, *, tone: str = "accent") -> Markup:
    """Return a line as high as a word."""
    top = max([*values, 1e-9])
    step = 100 / max(len(values) - 1, 1)
    path = " ".join(
        f"{'L' if n else 'M'}{n * step:.1f} {22 - value / top * 20:.1f}"
        for n, value in enumerate(values)
    )
    return Markup(
        '<svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="line tone-{}" d="{}"/></svg>'
    ).format(about, tone, path)


def _rect(tone: str, corner: tuple[float, float], size: tuple[float, float]) -> Markup:
    return Markup(
        '<rect class="tone-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>'
    ).format(tone, *corner, *size)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _ceiling(values: Sequence[float]) -> float:
    """Return what no value exceeds, and whose parts between the lines are round; whole where all values are."""
    highest = max([*values, 0.0])
    if highest <= 0:
        return float(GRID_LINES)
    whole = all(value == int(value) for value in values)
    part = max(highest / GRID_LINES, 1.0 if whole else 0.0)
    scale = 10.0 ** floor(log10(part))
    steps = (scale * each for each in ROUND)
    return GRID_LINES * next(step for step in steps if step >= part and not (whole and step % 1))
