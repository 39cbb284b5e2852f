"""Independent arrivals at a steady rate."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, log
from random import Random

import attrs

from pacer._validation import optional_seconds, positive, seconds, whole
from pacer.simulation._arrivals import Arrival
from pacer.simulation._job_mix import JobMix


@attrs.frozen
class Poisson:
    """Many people who know nothing of each other: gaps between arrivals are exponential, with mean `per / rate`.

    Not for machines that send on a beat, nor for the evening's rush: see `Bursts` and `DayCurve`.

    Args:
        rate: Arrivals per `per` seconds in the mean, above 0.
        per: Seconds, above 0; 1 by default.
        jobs: The workload ends after so many; None (default) does not end it by number.
        lasting: The workload ends after so many seconds; None (default) does not end it by time.
        mix: What the jobs are like.
    """

    rate: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)
    jobs: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)), kw_only=True)
    lasting: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )
    mix: JobMix = attrs.field(factory=JobMix, kw_only=True)

    @property
    def endless(self) -> bool:
        """True without `jobs` and `lasting`."""
        return self.jobs is None and self.lasting is None

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """One after the other."""
        make, draw, mean = self.mix.maker(random), random.random, -self.per / self.rate
        last = inf if self.lasting is None else self.lasting
        left = inf if self.jobs is None else self.jobs
        at = 0.0
        while left > 0:
            at += mean * log(1.0 - draw())
            if at > last:
                return
            yield make(at)
            left -= 1
