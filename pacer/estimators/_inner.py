"""Estimators that are made of another one."""

from __future__ import annotations

from typing import Any

import attrs

from pacer._validation import part
from pacer.protocols import DurationEstimator

an_estimator = part(DurationEstimator, "MovingAverage()")


def beginning_with(estimator: Any, seconds: float) -> DurationEstimator[Any] | None:
    """The same estimator, or what it is made of, with another `initial` duration; None if it has no such setting."""
    names = {field.name for field in attrs.fields(type(estimator))} if attrs.has(type(estimator)) else set()
    if "initial" in names:
        changed: DurationEstimator[Any] = attrs.evolve(estimator, initial=seconds)
        return changed
    inner = beginning_with(estimator.estimator, seconds) if "estimator" in names else None
    return None if inner is None else attrs.evolve(estimator, estimator=inner)
