"""What a table does not show and its reader has to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from pacer._compare._comparison import Comparison
from pacer._compare._run import Trial

_NAMES_A_DIMENSION: Final = ("dimension", "of")
"""How parts call the setting that says what they count."""


def notes(comparison: Comparison, trials: Sequence[Trial]) -> list[str]:
    """Jobs that wait for ever, parts that did wrong, and parts that count what no job uses."""
    found = []
    used = {dimension for trial in trials for result in trial.results for dimension in result.work}
    if used:
        used.add("requests")  # of which a job uses one unless it says otherwise
        found += [f"upstream: {said}" for said in _idle(comparison.upstream, used)]
    for trial in trials:
        name = trial.candidate.name
        if used and trial.candidate.clients:
            scheduler = trial.candidate.clients[0].scheduler
            parts = (scheduler.pacing, scheduler.queue, scheduler.estimator)
            found += [f"{name}: {said}" for said in _idle(parts, used)]
        for result in trial.results:
            if result.stuck is not None:
                found.append(f"{name}: {result.unfinished} jobs would wait for ever ({result.stuck})")
            found += [f"{name}: {fault}" for fault in result.faults]
    return list(dict.fromkeys(found))


def _idle(part: object, used: set[str]) -> list[str]:
    return [
        f"{kind} counts {dimension}, which no job uses; they use {', '.join(sorted(used))}"
        for kind, dimension in _dimensions(part)
        if dimension not in used
    ]


def _dimensions(part: object) -> Iterator[tuple[str, str]]:
    """What the parts count that this one is made of, with the names of their kinds."""
    kind = type(part)
    if attrs.has(kind):
        for field in attrs.fields(kind):
            value = getattr(part, field.name)
            if field.name in _NAMES_A_DIMENSION and isinstance(value, str):
                yield kind.__name__, value
            else:
                yield from _dimensions(value)
    elif isinstance(part, Mapping):
        yield from _dimensions(tuple(part.values()))
    elif isinstance(part, tuple | list):
        for one in part:
            yield from _dimensions(one)
