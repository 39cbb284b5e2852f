"""A comparison as JSON: for programs, with names that stay."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import pacer
from pacer._compare._comparison import Comparison
from pacer._compare._figures import FIGURES, Figure, numbers
from pacer._compare._notes import notes
from pacer._compare._run import Trial
from pacer._compare._verdict import verdict
from pacer.simulation import Result

_COUNTS = (
    "arrived",
    "entered",
    "refused",
    "dropped",
    "expired",
    "succeeded",
    "failed",
    "unfinished",
    "asked",
    "throttled",
    "errors",
)


def report(comparison: Comparison, trials: Sequence[Trial]) -> dict[str, Any]:
    """All figures, as plain data. What was not measured is None.

    Keys: `pacer` (the version), `seed`, `repeat`, `workload`, `upstream`, `best` (a name or None), `sentence`, `notes`,
    and `candidates`: for each `name`, `settings`, `median`, `least` and `most` (by figure), and `runs` with all counts.
    """
    said = verdict(trials, comparison.tolerated)
    return {
        "pacer": pacer.__version__,
        "seed": comparison.seed,
        "repeat": comparison.repeat,
        "tolerated": comparison.tolerated,
        **comparison.settings,
        "best": said.best,
        "sentence": said.sentence,
        "notes": notes(comparison, trials),
        "candidates": [_candidate(trial) for trial in trials],
    }


def _candidate(trial: Trial) -> dict[str, Any]:
    found: dict[Figure, list[float]] = {figure: numbers(figure, trial) for figure in FIGURES}
    return {
        "name": trial.candidate.name,
        "settings": dict(trial.candidate.settings),
        "median": {figure.key: median(values) if values else None for figure, values in found.items()},
        "least": {figure.key: min(values, default=None) for figure, values in found.items()},
        "most": {figure.key: max(values, default=None) for figure, values in found.items()},
        "runs": [_run(result) for result in trial.results],
    }


def _run(result: Result) -> dict[str, Any]:
    figures = {figure.key: figure.of(result) for figure in FIGURES}
    return {"seed": result.seed, **{name: getattr(result, name) for name in _COUNTS}, **figures}
