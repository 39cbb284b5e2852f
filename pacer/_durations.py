"""How long something will take: a distribution, not a number."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import mul
from statistics import NormalDist, fmean

import attrs

# Shorter durations are too short for arithmetic with squares and ratios.
LEAST_DURATION = 1e-9
_NORMAL = NormalDist()
# An overdue job is never promised to end at once: at least this share of its expected duration remains.
_LEAST_SHARE_LEFT = 0.05
# Of a job that has outlasted all but one in 10**9 as much is expected again as it has taken (Lindy's rule of thumb).
_FAR_BEYOND = 1 - 1e-9


@attrs.frozen
class Durations:
    """What an estimator believes about the duration of one job.

    Without `quantiles` the distribution is log-normal with the given mean and standard deviation (durations are
    positive and skewed to the right); a standard deviation of 0 is a point. With `quantiles` it is straight between
    them, and beyond the first and the last it goes on as a log-normal one with this mean and deviation would.

    Attributes:
        mean: Expected duration in seconds, above 0.
        sd: Standard deviation of one duration in seconds, 0 or more.
        uncertainty: Standard deviation in seconds of `mean` itself, as an estimate. It is shared by all jobs that
            are predicted from it, so over k jobs it adds up k-fold and not by the square root of k.
        quantiles: The durations in seconds that shares `(i + 0.5) / n` of such jobs do not exceed, for i from 0 to
            n - 1, rising. Empty: log-normal.
    """

    mean: float
    sd: float
    uncertainty: float = 0.0
    quantiles: tuple[float, ...] = ()

    @classmethod
    def of_sample(
        cls, values: Iterable[float], *, mean: float | None = None, sd: float | None = None, uncertainty: float = 0.0
    ) -> Durations:
        """What durations that have been seen, one or more, say of the next one.

        The i-th smallest of n stands at `i / (n + 1)`: with that chance the next one does not exceed it, whatever the
        distribution, if their order says nothing (Wilks 1941). The quantiles are in the middle between them. `mean` and
        `sd` are the sample's unless given.

        Raises:
            ValueError: There are no values.
        """
        seen = sorted(max(value, LEAST_DURATION) for value in values)
        if not seen:
            msg = "Durations.of_sample: no values; before any job was seen only a prior can be given"
            raise ValueError(msg)
        average = fmean(seen) if mean is None else mean
        deviation = _deviation(seen) if sd is None else sd
        sigma = _log_parameters(average, deviation)[1]
        # n values divide what can come into n + 1 equally likely parts; the quantiles are in the middle of each.
        step = 1 / (len(seen) + 1)
        reach = math.exp(sigma * (_NORMAL.inv_cdf(step) - _NORMAL.inv_cdf(step / 2)))
        between = [(low + high) / 2 for low, high in pairwise(seen)]
        return cls(average, deviation, uncertainty, (seen[0] / reach, *between, seen[-1] * reach))

    def quantile(self, p: float) -> float:
        """The duration in seconds that a share `p` (0 < p < 1) of such jobs does not exceed."""
        values = self.quantiles
        if not values:
            mu, sigma = _log_parameters(self.mean, self.sd)
            return math.exp(mu + sigma * _NORMAL.inv_cdf(p))
        place = p * len(values) - 0.5
        index = int(place)
        if place <= 0 or index >= len(values) - 1:
            return self._beyond(p, -1 if place > 0 else 0)
        low = values[index]
        return low + (place - index) * (values[index + 1] - low)

    def total(self, count: float) -> Durations:
        """The distribution of `count` such jobs one after the other; parts of a job count when a mix is scaled.

        Mean `count * mean`; variance `count * sd**2 + (count * uncertainty)**2`; the sum of log-normals taken as
        log-normal again (Fenton 1960).
        """
        spread = math.sqrt(count * self.sd**2 + (count * self.uncertainty) ** 2)
        return Durations(count * self.mean, spread)

    def remaining(self, elapsed: float) -> Durations:
        """What is left of a job that has already run for `elapsed` seconds, given that it still runs.

        Mean and deviation are those of the rest, `X - elapsed` given `X > elapsed`, by the partial moments of the
        distribution; for a log-normal one `E[X**n | X > t] = E[X**n] * N((mu + n * sigma**2 - ln t) / sigma) /
        (1 - F(t))`. The mean is never less than 5 % of the job's expected duration: an overdue job is not promised to
        end at once. Of a job that has outlasted everything as much is expected again as it has taken. The rest itself
        is not log-normal: ask `remaining_quantile` for its quantiles.
        """
        if elapsed <= 0:
            return self
        least = _LEAST_SHARE_LEFT * self.mean
        if self.sd == 0 and not self.quantiles:
            return Durations(max(self.mean - elapsed, least), 0.0)
        done = self._share_done(elapsed)
        if done > _FAR_BEYOND:
            return Durations(max(elapsed, least), elapsed)
        first, second = self._moments_above(elapsed, done)
        whole = first / (1 - done)
        variance = second / (1 - done) - whole**2
        return Durations(max(whole - elapsed, least), math.sqrt(max(variance, 0.0)))

    def remaining_quantile(self, elapsed: float, p: float) -> float:
        """The seconds in which a share `p` of the jobs that still run after `elapsed` seconds will have ended.

        With `q` the quantile function and `F` the distribution function of the duration it is
        `q(F(elapsed) + (1 - F(elapsed)) * p) - elapsed`.
        """
        if elapsed <= 0:
            return self.quantile(p)
        done = self._share_done(elapsed)
        if done > _FAR_BEYOND:
            return self.remaining(elapsed).quantile(p)
        return max(0.0, self.quantile(done + (1 - done) * p) - elapsed)

    def _share_done(self, elapsed: float) -> float:
        """The share of such jobs that end within `elapsed` seconds, above 0."""
        values, (mu, sigma) = self.quantiles, _log_parameters(self.mean, self.sd)
        if not values:
            return _NORMAL.cdf((math.log(elapsed) - mu) / sigma) if sigma > 0 else 1.0
        index = bisect_right(values, elapsed)
        if 0 < index < len(values):
            low = values[index - 1]
            return (index - 0.5 + (elapsed - low) / (values[index] - low)) / len(values)
        end, at = self._end(-1 if index else 0)
        if sigma == 0 or end <= 0:
            return 1.0 if index else 0.0
        return _NORMAL.cdf(at + (math.log(elapsed) - math.log(end)) / sigma)

    def _moments_above(self, elapsed: float, done: float) -> tuple[float, float]:
        """The parts that jobs longer than `elapsed` have in the mean and in the mean square of the duration."""
        mu, sigma = _log_parameters(self.mean, self.sd)
        values = self.quantiles
        if not values:
            return _log_moments_above(mu, sigma, (math.log(elapsed) - mu) / sigma)
        last, at = self._end(-1)
        if elapsed >= last:
            beyond = (math.log(elapsed) - math.log(last)) / sigma
            return _log_moments_above(math.log(last) - sigma * at, sigma, at + beyond)
        first, second = (
            _log_moments_above(math.log(last) - sigma * at, sigma, at)
            if sigma > 0
            else (last / (2 * len(values)), last * last / (2 * len(values)))
        )
        above = values[bisect_right(values, elapsed) :]
        start = (len(values) - len(above) + 0.5) / len(values) - done
        inner = _moments_between(above)
        edge = _moments_between((elapsed, above[0]))
        return (
            first + inner[0] / len(values) + edge[0] * start,
            second + inner[1] / len(values) + edge[1] * start,
        )

    def _end(self, index: int) -> tuple[float, float]:
        """The first or last of the quantiles, and the normal deviate at which it stands."""
        share = 0.5 / len(self.quantiles)
        return self.quantiles[index], _NORMAL.inv_cdf(1 - share if index else share)

    def _beyond(self, p: float, index: int) -> float:
        end, at = self._end(index)
        sigma = _log_parameters(self.mean, self.sd)[1]
        return end * math.exp(sigma * (_NORMAL.inv_cdf(p) - at))


def _log_parameters(mean: float, sd: float) -> tuple[float, float]:
    if mean <= 0:
        return -math.inf, 0.0
    sigma_squared = math.log1p((sd / mean) ** 2)
    return math.log(mean) - sigma_squared / 2, math.sqrt(sigma_squared)


def _log_moments_above(mu: float, sigma: float, deviate: float) -> tuple[float, float]:
    """E[X; Z > deviate] and E[X**2; Z > deviate] for X = exp(mu + sigma * Z)."""
    return (
        math.exp(mu + sigma**2 / 2) * _NORMAL.cdf(sigma - deviate),
        math.exp(2 * mu + 2 * sigma**2) * _NORMAL.cdf(2 * sigma - deviate),
    )


def _moments_between(values: Sequence[float]) -> tuple[float, float]:
    """The areas under the straight lines between these values and under their squares, each line of width 1."""
    first, last = values[0], values[-1]
    squares = sum(map(mul, values, values))
    products = sum(map(mul, values, values[1:]))
    return sum(values) - (first + last) / 2, (2 * squares - first * first - last * last + products) / 3


def _deviation(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
