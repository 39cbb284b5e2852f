"""The picture of a comparison: rates against the limit, jobs that wait, and how long they waited."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pacer._compare._figures import middle, percent, rate_unit, time_unit
from pacer._compare._run import Trial
from pacer.simulation import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by people who see no red or no green: at least 19 units of CIELAB between any two of these and the colour
# of refusals, in normal sight and with protanopia or deuteranopia (simulated as Machado et al. 2009). Each has a
# contrast of 3 or more with white and with the dark page. The line styles tell them apart in print.
SERIES: Final = ("#0072b2", "#049578", "#8638fa", "#676732", "#5a9eaf", "#8b9b4b", "#5c5cd6", "#3f6883")
REFUSED: Final = "#d55e00"
INK: Final = "#1a1a1b"
FAINT: Final = "#c8c8c9"
_DASHES: Final = ("-", (0, (6, 1.5)), (0, (2, 1)), (0, (7, 1.5, 1.5, 1.5)))

_STRETCHES: Final = 120
"""So many steps at most over the time of the longest run."""
_MOST_OF_LIMIT: Final = 2.5
"""What is faster than so many times the limit is cut off, and written down."""

_LONG: Final = 1000 / 600
"""Times go up to 600 of a unit, other than in the table."""
_FEW: Final = 5
"""So many requests per unit of time at least, where there are units enough."""

_STYLE: Final[Any] = {  # matplotlib's stubs list its names one by one
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "pacer",
    "hatch.linewidth": 0.6,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
}


@attrs.frozen
class _Scale:
    """Units and ends of the axes, the same for all candidates."""

    seconds: float
    time_sign: str
    last: float
    per_second: float
    rate_sign: str
    highest: float
    step: float


def draw(kind: str, trials: Sequence[Trial], *, transparent: bool = False) -> bytes:
    """The first run of each candidate as the content of a "png" or "svg" file."""
    drawn = io.BytesIO()
    with mpl.rc_context(_STYLE):
        rows = len(trials)
        figure = Figure(figsize=(11, max(4.6, 0.9 + 1.12 * rows)), layout="constrained")
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        left, right = halves
        scale = _scale(trials)
        _rates(left, trials, scale)
        waiting, waits = right.subplots(2, 1)
        _waiting(waiting, trials, scale)
        _waits(waits, trials)
        right.legend(*waiting.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=8)
        metadata = {"Date": None, "Creator": "pacer"} if kind == "svg" else {"Software": "pacer"}
        figure.savefig(drawn, format=kind, dpi=150, transparent=transparent, metadata=metadata)
    return _shortened(drawn.getvalue()) if kind == "svg" else drawn.getvalue()


def _shortened(svg: bytes) -> bytes:
    """Without the digits behind a hundredth of a point that paths have."""
    paths = re.compile(rb' d="[^"]*"')
    return paths.sub(lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path.group()), svg)


def _scale(trials: Sequence[Trial]) -> _Scale:
    timelines = [trial.results[0].timeline for trial in trials]
    last = max(trial.results[0].makespan for trial in trials) or 1.0
    seconds, sign = time_unit([last * _LONG])
    limits = [limit for timeline in timelines for limit in timeline.limit if limit is not None]
    step = last / _STRETCHES
    asked = max(max(_steps(timeline, timeline.asked, step), default=0.0) for timeline in timelines)
    highest = asked if not limits else min(asked, _MOST_OF_LIMIT * max(limits))
    per_second, rate_sign = rate_unit([highest / _FEW])
    return _Scale(seconds, sign, last, per_second, rate_sign, max(highest, max(limits, default=0.0)) * 1.08, step)


def _steps(timeline: Timeline, counts: Sequence[int], step: float) -> list[float]:
    """Rates a second in steps of another width than the timeline's; what lies in two steps is shared out."""
    found = [0.0] * (math.ceil(len(counts) * timeline.width / step) + 1)
    for index, count in enumerate(counts):
        at, end = index * timeline.width, (index + 1) * timeline.width
        while count and at < end:
            slot = int(at / step + 1e-9)
            until = min(end, (slot + 1) * step)
            found[slot] += count * (until - at) / timeline.width / step
            at = until
    return found


# -- rates against the limit -----------------------------------------------------------------------------------------


def _rates(figure: Any, trials: Sequence[Trial], scale: _Scale) -> None:
    axes = figure.subplots(len(trials), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for index, (trial, one) in enumerate(zip(trials, axes, strict=True)):
        _rate(one, trial, SERIES[index], scale)
    axes[0].set_xlim(0, scale.last / scale.seconds)
    axes[0].set_ylim(0, scale.highest * scale.per_second)
    axes[-1].set_xlabel(f"time, {scale.time_sign}")
    figure.supylabel(f"requests per {scale.rate_sign}", fontsize=9, color=INK)
    handles = {label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    shown = [Patch(facecolor=FAINT, label="accepted"), *handles.values()]
    figure.legend(shown, ["accepted", *handles], loc="outside lower left", ncols=3, frameon=False, fontsize=8)


def _rate(axes: Axes, trial: Trial, colour: str, scale: _Scale) -> None:
    timeline = trial.results[0].timeline
    asked = [rate * scale.per_second for rate in _steps(timeline, timeline.asked, scale.step)]
    answered = [rate * scale.per_second for rate in _steps(timeline, _answered(timeline), scale.step)]
    times = [index * scale.step / scale.seconds for index in range(len(asked) + 1)]
    axes.stairs(answered, times, fill=True, color=colour, alpha=0.85, linewidth=0)
    if any(timeline.throttled):
        refused: dict[str, Any] = {"facecolor": "none", "edgecolor": REFUSED, "hatch": "//////", "linewidth": 0}
        axes.stairs(asked, times, baseline=answered, fill=True, label="answered 429", **refused)
    _limit(axes, timeline, scale)
    share = percent(middle("throttled_share", trial))
    said = f"{share} answered 429"
    if max(asked) > scale.highest * scale.per_second:
        said += f", up to {max(asked):.0f} requests per {scale.rate_sign}"
    axes.set_title(trial.candidate.name)
    axes.set_title(said, loc="right", fontweight="normal", fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(3))


def _answered(timeline: Timeline) -> list[int]:
    return [max(0, asked - refused) for asked, refused in zip(timeline.asked, timeline.throttled, strict=True)]


def _limit(axes: Axes, timeline: Timeline, scale: _Scale) -> None:
    limits = [math.nan if limit is None else limit * scale.per_second for limit in timeline.limit]
    if all(map(math.isnan, limits)):
        return
    times = [index * timeline.width / scale.seconds for index in range(len(limits))]
    # The last one holds to its end.
    style: dict[str, Any] = {"color": INK, "linewidth": 1.4, "label": "limit of the upstream, on average"}
    end = scale.last / scale.seconds
    axes.step([*times, end], [*limits, limits[-1]], where="post", **style)


# -- what people notice ----------------------------------------------------------------------------------------------


def _waiting(axes: Axes, trials: Sequence[Trial], scale: _Scale) -> None:
    for index, trial in enumerate(trials):
        timeline = trial.results[0].timeline
        every = max(1, math.ceil(len(timeline.present) / (2 * _STRETCHES)))
        present = timeline.present[::every]
        times = [position * every * timeline.width / scale.seconds for position in range(len(present))]
        axes.step(times, present, where="post", label=trial.candidate.name, **_line(index))
    axes.set_title("Jobs waiting or running")
    axes.set_xlabel(f"time, {scale.time_sign}")
    axes.set_ylabel("jobs")
    axes.set_xlim(0, scale.last / scale.seconds)
    axes.set_ylim(bottom=0)


def _waits(axes: Axes, trials: Sequence[Trial]) -> None:
    results = [trial.results[0] for trial in trials]
    seconds, sign = time_unit([max(result.wait.most for result in results)])
    for index, result in enumerate(results):
        done = result.succeeded / result.arrived if result.arrived else 0.0
        waits = [0.0, *(wait / seconds for wait in result.wait.percentiles)]
        shares = [0.0, *(percent * done for percent in range(101))]
        axes.plot(waits, shares, **_line(index))
    axes.set_title("How long jobs waited")
    axes.set_xlabel(f"wait from arrival to start, {sign}")
    axes.set_ylabel("% of jobs started by then")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 102)


def _line(index: int) -> dict[str, Any]:
    return {"color": SERIES[index], "linestyle": _DASHES[index % len(_DASHES)], "linewidth": 1.6}
