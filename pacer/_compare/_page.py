"""A comparison as one web page that needs nothing else: table, picture, settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final

from pacer._compare._comparison import Comparison
from pacer._compare._notes import notes
from pacer._compare._plot import FAINT, INK, REFUSED, SERIES, draw
from pacer._compare._run import Trial
from pacer._compare._table import BEST, columns, headline
from pacer._compare._verdict import verdict

_COLOURS: Final = {**{colour: f"--series-{index}" for index, colour in enumerate(SERIES)}, REFUSED: "--refused"}
_LIGHT: Final = " ".join(f"{name}: {colour};" for colour, name in _COLOURS.items())
_DARK: Final = " ".join(f"{name}: color-mix(in srgb, {colour} 70%, white);" for colour, name in _COLOURS.items())
_CSS: Final = """
:root { color-scheme: light dark; --ink: #1a1a1b; --faint: #d4d4d6; --page: #fff; --best: #00663f; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e8; --faint: #3a3d42; --page: #14171b; --best: #5fd3a2; DARK }
}
body { background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.verdict { border-left: 4px solid var(--best); padding-left: 1rem; font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--faint); padding: .35rem .6rem; text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tbody th { white-space: nowrap; }
.best { color: var(--best); font-weight: 700; }
.spread { display: block; font-size: .8em; opacity: .75; }
pre { background: color-mix(in srgb, var(--faint) 35%, transparent); overflow-x: auto; padding: .6rem; }
svg { height: auto; max-width: 100%; }
""".replace("LIGHT", _LIGHT).replace("DARK", _DARK)


def page(comparison: Comparison, trials: Sequence[Trial]) -> str:
    """The page as text."""
    said = "".join(f"<p>{escape(note)}</p>\n" for note in notes(comparison, trials))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pacer: comparison of {len(trials)} candidates</title>
<style>{_CSS}</style>
</head>
<body>
<h1>Comparison of {len(trials)} candidates</h1>
<p class="verdict">{escape(verdict(trials, comparison.tolerated).sentence)}</p>
<p>{escape(headline(comparison, trials))}</p>
<div class="wide">
{_table(trials)}
</div>
{said}<h2>What happened</h2>
<div class="wide" role="img" aria-label="For each candidate: requests against the limit over time; jobs waiting; waits">
{_picture(trials)}
</div>
<h2>Settings</h2>
{_settings(comparison)}
</body>
</html>
"""


def _table(trials: Sequence[Trial]) -> str:
    shown = columns(trials)
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in ["candidate", *(one.title for one in shown)])
    rows = []
    for index, trial in enumerate(trials):
        cells = "".join(_cell(one.cells[index], one.spreads[index], best=one.best[index]) for one in shown)
        rows.append(f'<tr><th scope="row">{escape(trial.candidate.name)}</th>{cells}</tr>')
    body = "\n".join(rows)
    return f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(text: str, spread: str, *, best: bool) -> str:
    below = f'<span class="spread">{escape(spread)}</span>' if spread else ""
    mark = f' class="best">{escape(text)}{BEST}' if best else f">{escape(text)}"
    return f"<td{mark}{below}</td>"


def _picture(trials: Sequence[Trial]) -> str:
    """The drawing without what belongs to a file of its own, and in the colours of the page."""
    svg = draw("svg", trials, transparent=True).decode("utf-8")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    # Its own namespaces are known to a page without being declared.
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r' (width|height)="[0-9.]+pt"', "", svg, count=2)
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, f"var({name})")
    return svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")


def _settings(comparison: Comparison) -> str:
    blocks = list(comparison.settings.items())
    blocks += [
        (candidate.name, "\n".join(f"{key} = {text}" for key, text in candidate.settings.items()))
        for candidate in comparison.candidates
    ]
    return "\n".join(f"<h3>{escape(title)}</h3>\n<pre>{escape(text)}</pre>" for title, text in blocks)
