"""Quantiles of a stream within a bounded relative error: the sketch of Masson, Rim and Lee, with forgetting."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

from typing_extensions import TypedDict

from pacer._durations import LEAST_DURATION

# Buckets that weigh less together matter to no quantile that anybody asks for.
_FAINT = 1e-6


class Sketch(TypedDict):
    """Weights by bucket; their sum is about 1.

    Bucket i stands for values above `g**(i - 1)` up to `g**i`, where `g = (1 + accuracy) / (1 - accuracy)`.
    """

    accuracy: float
    buckets: list[int]
    weights: list[float]


def empty(accuracy: float) -> Sketch:
    """Nothing has been seen."""
    return {"accuracy": accuracy, "buckets": [], "weights": []}


def added(sketch: Sketch, value: float, weight: float, most: int) -> Sketch:
    """The sketch with a value of this weight, after all others were made lighter by it. At most `most` buckets."""
    bucket = math.ceil(math.log(max(value, LEAST_DURATION)) / _log_width(sketch["accuracy"]))
    kept = [(b, w * (1 - weight)) for b, w in zip(sketch["buckets"], sketch["weights"], strict=True)]
    kept = [(b, w) for b, w in kept if w > _FAINT]
    place = bisect_left(kept, (bucket,))
    if place < len(kept) and kept[place][0] == bucket:
        kept[place] = (bucket, kept[place][1] + weight)
    else:
        kept.insert(place, (bucket, weight))
    if len(kept) > most:
        # The two lowest become one: what is lost is the accuracy of the lowest quantiles.
        kept[:2] = [(kept[1][0], kept[0][1] + kept[1][1])]
    return {"accuracy": sketch["accuracy"], "buckets": [b for b, _ in kept], "weights": [w for _, w in kept]}


def quantiles(sketch: Sketch, count: int) -> list[float]:
    """The values at `(i + 0.5) / count` of the weight, each within `accuracy` of the true one."""
    sums = list(accumulate(sketch["weights"]))
    log_width = _log_width(sketch["accuracy"])
    middle = 1 - sketch["accuracy"]  # 2 * g**i / (g + 1) is g**i * (1 - accuracy)
    places = (bisect_left(sums, sums[-1] * (index + 0.5) / count) for index in range(count))
    return [math.exp(sketch["buckets"][place] * log_width) * middle for place in places]


def _log_width(accuracy: float) -> float:
    return math.log((1 + accuracy) / (1 - accuracy))
