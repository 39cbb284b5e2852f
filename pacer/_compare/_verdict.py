"""One plain sentence on what a table says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from pacer._compare._figures import duration, middle, percent
from pacer._compare._run import Trial

ALIKE: Final = 0.02
"""Goodputs within 2 % of the best count as equally good; then the shorter wait decides."""


@attrs.frozen
class Verdict:
    """What the figures speak for.

    Attributes:
        best: Name of the candidate; None if none is tolerable, or there is only one.
        sentence: In words.
    """

    best: str | None
    sentence: str


def verdict(trials: Sequence[Trial], tolerated: float) -> Verdict:
    """The most goodput among those whose requests are answered 429 rarely enough.

    Goodputs that are within 2 % of each other count as equal; of these the shortest p95 wait is best.
    """
    if len(trials) == 1:
        return Verdict(None, _alone(trials[0]))
    tolerable = [trial for trial in trials if middle("throttled_share", trial) <= tolerated and _done(trial)]
    if not tolerable:
        return Verdict(None, _none(trials, tolerated))
    most = max(_goodput(trial) for trial in tolerable)
    equals = [trial for trial in tolerable if _goodput(trial) >= (1 - ALIKE) * most]
    best = min(equals, key=_wait)
    return Verdict(best.candidate.name, _chosen(best, equals, trials, tolerable, tolerated))


def _goodput(trial: Trial) -> float:
    return middle("goodput_per_second", trial)


def _wait(trial: Trial) -> float:
    return middle("wait_p95_seconds", trial)


def _done(trial: Trial) -> bool:
    return _goodput(trial) > 0


def _figures(trial: Trial) -> str:
    return (
        f"{percent(middle('utilisation', trial))} of what was possible, "
        f"{percent(middle('throttled_share', trial))} answered 429, p95 wait {duration(_wait(trial))}"
    )


def _alone(trial: Trial) -> str:
    return (
        f"{trial.candidate.name}: {_figures(trial)}." if _done(trial) else f"{trial.candidate.name}: nothing got done."
    )


def _none(trials: Sequence[Trial], tolerated: float) -> str:
    least = min(trials, key=lambda trial: (not _done(trial), middle("throttled_share", trial)))
    share = percent(middle("throttled_share", least))
    return (
        f"None of them: all have more than {tolerated * 100:.3g} % of their requests answered 429, "
        f"or get nothing done; the least has {least.candidate.name} with {share}."
    )


def _chosen(
    best: Trial, equals: Sequence[Trial], trials: Sequence[Trial], tolerable: Sequence[Trial], tolerated: float
) -> str:
    limit = f"{tolerated * 100:.3g} %"
    among = f"with at most {limit} answered 429"
    as_good = [trial.candidate.name for trial in equals if duration(_wait(trial)) == duration(_wait(best))]
    as_good.remove(best.candidate.name)
    if len(equals) > 1:
        is_best = "none has a shorter p95 wait" if as_good else "its p95 wait is the shortest"
        why = f"Of the {len(equals)} that get most done {among} (within {ALIKE * 100:.0f} %) {is_best}"
    elif len(tolerable) > 1:
        why = f"Of the {len(tolerable)} {among} it gets most done"
    else:
        why = f"It is the only one {among}"
    text = f"Best: {best.candidate.name}. {why} ({_figures(best)})."
    if as_good:
        text += f" As good: {', '.join(as_good)}."
    faster = max(trials, key=_goodput)
    if _goodput(faster) > (1 + ALIKE) * _goodput(best):
        more = percent(_goodput(faster) / _goodput(best) - 1)
        share = percent(middle("throttled_share", faster))
        text += f" {faster.candidate.name} gets {more} more done, at the price of {share} answered 429."
    return text
