"""How long something will take: a distribution, not a number."""

from __future__ import annotations

import math
from statistics import NormalDist

import attrs

_NORMAL = NormalDist()
# An overdue job is never promised to end at once: at least this share of its expected duration remains.
_LEAST_SHARE_LEFT = 0.05
# Of a job that has outlasted all but one in 10**9 as much is expected again as it has taken (Lindy's rule of thumb).
_FAR_BEYOND = 1 - 1e-9


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
        """What is left of a job that has already run for `elapsed` seconds, given that it still runs.

        Mean and deviation are those of the rest, `X - elapsed` given `X > elapsed`, by the partial moments of the
        log-normal distribution: `E[X**n | X > t] = E[X**n] * N((mu + n * sigma**2 - ln t) / sigma) / (1 - F(t))`. The
        mean is never less than 5 % of the job's expected duration: an overdue job is not promised to end at once. The
        rest itself is not log-normal: ask `remaining_quantile` for its quantiles.
        """
        least = _LEAST_SHARE_LEFT * self.mean
        if elapsed <= 0:
            return self
        mu, sigma = self._log_parameters()
        if sigma == 0:
            return Durations(max(self.mean - elapsed, least), 0.0)
        done = _NORMAL.cdf((math.log(elapsed) - mu) / sigma)
        if done > _FAR_BEYOND:
            return Durations(max(elapsed, least), elapsed)
        above, twice = (_NORMAL.cdf((mu + n * sigma**2 - math.log(elapsed)) / sigma) / (1 - done) for n in (1, 2))
        whole = self.mean * above
        variance = (self.mean**2 + self.sd**2) * twice - whole**2
        return Durations(max(whole - elapsed, least), math.sqrt(max(variance, 0.0)))

    def remaining_quantile(self, elapsed: float, p: float) -> float:
        """The seconds in which a share `p` of the jobs that still run after `elapsed` seconds will have ended.

        With `q` the quantile function and `F` the distribution function of the duration it is
        `q(F(elapsed) + (1 - F(elapsed)) * p) - elapsed`.
        """
        if elapsed <= 0:
            return self.quantile(p)
        mu, sigma = self._log_parameters()
        done = _NORMAL.cdf((math.log(elapsed) - mu) / sigma) if sigma > 0 else 1.0
        if done > _FAR_BEYOND:
            return self.remaining(elapsed).quantile(p)
        return max(0.0, self.quantile(done + (1 - done) * p) - elapsed)

    def _log_parameters(self) -> tuple[float, float]:
        if self.mean <= 0:
            return -math.inf, 0.0
        sigma_squared = math.log1p((self.sd / self.mean) ** 2)
        return math.log(self.mean) - sigma_squared / 2, math.sqrt(sigma_squared)
