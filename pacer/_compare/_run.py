"""Runs all candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from pacer._compare._comparison import Candidate, Comparison
from pacer._errors import PacerError
from pacer.simulation import Result, SimulationError, simulate


class RunError(PacerError):
    """The run of a candidate did not come to an end; the message names it."""


@attrs.frozen
class Trial:
    """What one candidate did, once for each seed."""

    candidate: Candidate
    results: Sequence[Result]


def run(comparison: Comparison, told: Callable[[str], None]) -> list[Trial]:
    """Run each candidate as often as it is to be repeated; `told` is called with its name after each run.

    Raises:
        RunError: A run did not come to an end.
    """
    return [Trial(candidate, _results(comparison, candidate, told)) for candidate in comparison.candidates]


def _results(comparison: Comparison, candidate: Candidate, told: Callable[[str], None]) -> list[Result]:
    results = []
    for seed in range(comparison.seed, comparison.seed + comparison.repeat):
        try:
            result = simulate(
                candidate.clients,
                comparison.workload,
                comparison.upstream,
                seed=seed,
                until=comparison.until,
                start=comparison.start,
                estimates=comparison.estimates,
            )
        except SimulationError as error:
            msg = f"{candidate.name}: {error}"
            raise RunError(msg) from error
        results.append(result)
        told(candidate.name)
    return results
