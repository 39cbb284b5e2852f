"""Charts as SVG text: written here by hand, so that the same data give the same file with any version of anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import attrs

# The page defines the colours, for light and for dark; without a page those for light hold.
STYLE = """
.pacer-chart text { fill: var(--md-typeset-color, #222); font: 12px var(--md-text-font-family, sans-serif); }
.pacer-chart .code { font: 11.5px var(--md-code-font-family, monospace); }
.pacer-chart .small { font-size: 11px; }
.pacer-chart path { fill: none; stroke-width: 1.6; }
.pacer-chart .axis { stroke: var(--pacer-line, #777); stroke-width: 1; }
.pacer-chart .grid { stroke: var(--pacer-line, #777); stroke-width: 1; opacity: .3; }
.pacer-chart .limit { stroke: var(--md-typeset-color, #222); stroke-width: 1; stroke-dasharray: 4 3; }
.pacer-chart .plain { stroke: var(--md-typeset-color, #222); fill: var(--md-typeset-color, #222); }
.pacer-chart .faint { stroke: var(--pacer-line, #777); fill: var(--pacer-line, #777); }
.pacer-chart .main { stroke: var(--pacer-main, #00796b); fill: var(--pacer-main, #00796b); }
.pacer-chart .second { stroke: var(--pacer-second, #b25e00); fill: var(--pacer-second, #b25e00); }
.pacer-chart .third { stroke: var(--pacer-third, #5e35b1); fill: var(--pacer-third, #5e35b1); }
.pacer-chart .bad { stroke: var(--pacer-bad, #c62828); fill: var(--pacer-bad, #c62828); }
.pacer-chart .line { fill: none; }
.pacer-chart .area { stroke: none; opacity: .25; }
.pacer-chart .dots { stroke-linecap: round; stroke-width: 5; }
.pacer-chart .dots.faint { stroke-width: 2.6; }
"""

Point = tuple[float, float]


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0").replace("-0", "-0" if value <= -0.05 else "0")


@attrs.define(eq=False)
class Chart:
    """A drawing that grows, with text and lines placed in pixels."""

    width: float
    height: float
    title: str
    parts: list[str] = attrs.field(init=False, factory=list)

    def text(self, x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> None:
        """Words that begin, are centred or end at x."""
        kinds = f' class="{kind}"' if kind else ""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{number(x)}" y="{number(y)}"{kinds}{place}>{escape(words, quote=False)}</text>')

    def path(self, points: Iterable[Point], kind: str, *, closed: bool = False) -> None:
        """Lines from point to point."""
        way = " L".join(f"{number(x)} {number(y)}" for x, y in points)
        shape, end = ("area", "Z") if closed else ("line", "")
        self.parts.append(f'<path class="{shape} {kind}" d="M{way}{end}"/>')

    def marks(self, xs: Iterable[float], top: float, bottom: float, kind: str) -> None:
        """Upright strokes from top to bottom."""
        way = "".join(f"M{number(x)} {number(top)}V{number(bottom)}" for x in xs)
        if way:
            self.parts.append(f'<path class="line {kind}" d="{way}"/>')

    def box(self, left: float, top: float, right: float, bottom: float, kind: str) -> None:
        """A filled rectangle."""
        size = f'width="{number(right - left)}" height="{number(bottom - top)}"'
        self.parts.append(f'<rect class="area {kind}" x="{number(left)}" y="{number(top)}" {size}/>')

    def dots(self, points: Iterable[Point], kind: str) -> None:
        """Discs, as the round ends of strokes without length."""
        way = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
        self.parts.append(f'<path class="dots {kind}" d="{way}"/>')

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """A stroke of each kind with its words, in one line."""
        for kind, words in entries:
            self.path([(x, y - 4), (x + 18, y - 4)], kind)
            self.text(x + 23, y, words, kind="small")
            x += 38 + 6.2 * len(words)

    def svg(self) -> str:
        """The whole file."""
        size = f'viewBox="0 0 {number(self.width)} {number(self.height)}" width="{number(self.width)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="pacer-chart" {size} role="img">\n'
            f"<title>{escape(self.title, quote=False)}</title>\n<style>{STYLE}</style>\n"
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


@attrs.frozen
class Panel:
    """A part of a chart with scales of its own; y grows upwards."""

    chart: Chart
    left: float
    top: float
    right: float
    bottom: float
    x_from: float
    x_to: float
    y_from: float = 0.0
    y_to: float = 1.0

    def x(self, value: float) -> float:
        """Where this value is, in pixels."""
        return self.left + (value - self.x_from) / (self.x_to - self.x_from) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where this value is, in pixels; what is beyond the panel is at its edge."""
        share = (value - self.y_from) / (self.y_to - self.y_from)
        return self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top)

    def x_axis(self, ticks: Iterable[float], words: str = "") -> None:
        """The lower edge with numbers, and what they are."""
        self.chart.path([(self.left, self.bottom), (self.right, self.bottom)], "axis")
        for tick in ticks:
            self.chart.marks([self.x(tick)], self.bottom, self.bottom + 4, "axis")
            self.chart.text(self.x(tick), self.bottom + 16, f"{tick:g}", kind="small", anchor="middle")
        if words:
            self.chart.text((self.left + self.right) / 2, self.bottom + 31, words, kind="small", anchor="middle")

    def y_axis(self, ticks: Iterable[float], words: str = "") -> None:
        """The left edge with numbers and lines across, and what they are, above."""
        for tick in ticks:
            self.chart.path([(self.left, self.y(tick)), (self.right, self.y(tick))], "grid")
            self.chart.text(self.left - 6, self.y(tick) + 4, f"{tick:g}", kind="small", anchor="end")
        if words:
            self.chart.text(self.left, self.top - 8, words, kind="small")

    def line(self, points: Iterable[Point], kind: str) -> None:
        """A line through these values."""
        self.chart.path([(self.x(x), self.y(y)) for x, y in points], kind)

    def band(self, edges: Sequence[tuple[float, float, float]], kind: str) -> None:
        """The area between two lines, given as x, lower and upper value."""
        lower = [(self.x(x), self.y(low)) for x, low, _ in edges]
        upper = [(self.x(x), self.y(high)) for x, _, high in reversed(edges)]
        self.chart.path([*lower, *upper], kind, closed=True)

    def dots(self, points: Iterable[Point], kind: str) -> None:
        """A disc for each value."""
        self.chart.dots([(self.x(x), self.y(y)) for x, y in points], kind)
