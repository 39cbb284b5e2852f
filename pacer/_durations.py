"""How long something will take: a distribution, not a number."""

from __future__ import annotations

import math
from statistics import NormalDist

import attrs

_NORMAL = NormalDist()
_Z90 = _NORMAL.inv_cdf(0.9)
# An overdue job is never promised to end at once: at least this share of its expected duration remains.
_LEAST_SHARE_LEFT = 0.05


@attrs.frozen
class Durations:
    """What an estimator believes about the duration of one job.

    The distribution is taken as log-normal with the given mean and standard deviation (durations are positive
    and skewed to the right); a standard deviation of 0 is a point.

    Attributes:
        mean: Expected duration in seconds, above 0.
        sd: Standard deviation of one duration in seconds, 0 or more.
        uncertainty: Standard deviation in seconds of `mean` itself, as an estimate. It is shared by all jobs that
            are predicted from it, so over k jobs it adds up k-fold and not by the square root of k.
    """

    mean: float
    sd: float
    uncertainty: float = 0.0

    def quantile(self, p: float) -> float:
        """The duration in seconds that a share `p` (0 < p < 1) of such jobs does not exceed."""
        mu, sigma = self._log_parameters()
        return math.exp(mu + sigma * _NORMAL.inv_cdf(p))

    def total(self, count: int) -> Durations:
        """The distribution of `count` such jobs one after the other.

        Mean `count * mean`; variance `count * sd**2 + (count * uncertainty)**2`; the sum of log-normals taken as
        log-normal again (Fenton 1960).
        """
        spread = math.sqrt(count * self.sd**2 + (count * self.uncertainty) ** 2)
        return Durations(count * self.mean, spread)

    def remaining(self, elapsed: float) -> Durations:
        """The distribution of what is left of a job that has already run for `elapsed` seconds.

        Conditional on the job still running: with `q(u)` the log-normal quantile function and `F` its distribution
        function, the p-quantile of the rest is `q(F(elapsed) + (1 - F(elapsed)) * p) - elapsed`. The mean is never
        less than 5 % of the job's expected duration: an overdue job is not promised to end at once.
        """
        least = _LEAST_SHARE_LEFT * self.mean
        if elapsed <= 0:
            return self
        mu, sigma = self._log_parameters()
        if sigma == 0:
            return Durations(max(self.mean - elapsed, least), 0.0)
        done = _NORMAL.cdf((math.log(elapsed) - mu) / sigma)
        if done > 1 - 1e-9:
            # Far beyond anything seen: the tail is as heavy as the time already spent (Lindy's rule of thumb).
            return Durations(max(elapsed, least), elapsed)
        above = _NORMAL.cdf((mu + sigma**2 - math.log(elapsed)) / sigma)
        mean = self.mean * above / (1 - done) - elapsed
        low, high = (math.exp(mu + sigma * _NORMAL.inv_cdf(done + (1 - done) * p)) for p in (0.1, 0.9))
        return Durations(max(mean, least), (high - low) / (2 * _Z90))

    def _log_parameters(self) -> tuple[float, float]:
        if self.mean <= 0:
            return -math.inf, 0.0
        sigma_squared = math.log1p((self.sd / self.mean) ** 2)
        return math.log(self.mean) - sigma_squared / 2, math.sqrt(sigma_squared)
