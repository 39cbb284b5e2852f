"""Distributions of positive numbers: durations, sizes, times to think."""

from __future__ import annotations

import math
from datetime import timedelta
from random import Random
from typing import Protocol

import attrs

from pacer._validation import not_negative, positive, seconds


class Distribution(Protocol):
    """Something to draw numbers from: a recipe, hashable, without state of its own."""

    def draw(self, random: Random) -> float:
        """One number, 0 or more. All chance comes from `random`."""


@attrs.frozen
class Constant:
    """Always the same number.

    Args:
        value: The number, 0 or more.
    """

    value: float = attrs.field(converter=seconds, validator=not_negative)

    def draw(self, random: Random) -> float:
        """The number."""
        return self.value


@attrs.frozen
class Uniform:
    """All numbers between two are equally likely.

    Args:
        low: The least, 0 or more.
        high: The greatest, at least `low`.
    """

    low: float = attrs.field(converter=seconds, validator=not_negative)
    high: float = attrs.field(converter=seconds, validator=not_negative)

    def __attrs_post_init__(self) -> None:
        if self.high < self.low:
            msg = f"Uniform: high ({self.high:g}) must not be below low ({self.low:g})"
            raise ValueError(msg)

    def draw(self, random: Random) -> float:
        """A number between the two."""
        return self.low + (self.high - self.low) * random.random()


@attrs.frozen
class Exponential:
    """The memoryless distribution: gaps between independent arrivals, service times of textbooks.

    Args:
        mean: Its mean, above 0. Its standard deviation is the same.
    """

    mean: float = attrs.field(converter=seconds, validator=positive)

    def draw(self, random: Random) -> float:
        """`-mean * ln(1 - U)`."""
        return -self.mean * math.log(1.0 - random.random())


@attrs.frozen
class LogNormal:
    """A number whose logarithm is normal: durations of real requests look like it, skewed to the right.

    Args:
        mean: The mean of the number itself, above 0.
        sigma: Standard deviation of its logarithm, 0 or more; 0.5 by default. The 95 % quantile is
            `mean * exp(1.645 * sigma - sigma**2 / 2)`.
    """

    mean: float = attrs.field(converter=seconds, validator=positive)
    sigma: float = attrs.field(default=0.5, validator=not_negative)

    def draw(self, random: Random) -> float:
        """`mean * exp(sigma * N(0, 1) - sigma**2 / 2)`."""
        return self.mean * math.exp(random.gauss(-self.sigma * self.sigma / 2, self.sigma))


@attrs.frozen
class FoldedNormal:
    """The absolute value of a normal number, as the network delay of the AWS jitter simulation.

    Args:
        mean: Mean of the normal number before its sign is dropped, 0 or more.
        sd: Its standard deviation, 0 or more.
    """

    mean: float = attrs.field(converter=seconds, validator=not_negative)
    sd: float = attrs.field(converter=seconds, validator=not_negative)

    def draw(self, random: Random) -> float:
        """`abs(N(mean, sd))`."""
        return abs(random.gauss(self.mean, self.sd))


def distribution(value: float | timedelta | Distribution) -> Distribution:
    """A converter: a plain number stands for the distribution that is always that number."""
    if isinstance(value, float | int | timedelta):
        return Constant(value)
    if isinstance(value, type) or not hasattr(value, "draw"):
        msg = f"expected a number or a distribution such as LogNormal(2.0), got {value!r}"
        raise TypeError(msg)
    return value
