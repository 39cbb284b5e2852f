"""Busy by day, quiet by night."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, inf, log, pi
from random import Random

import attrs

from pacer._validation import not_negative, optional_seconds, positive, seconds, whole
from pacer.simulation._arrivals import Arrival
from pacer.simulation._job_mix import JobMix


@attrs.frozen
class DayCurve:
    """Independent arrivals at a rate that rises and falls once a day.

    With t in seconds the rate is `rate / per * (1 + swing * cos(2 * pi * (t - peak) / day))`: a Poisson process whose
    rate changes, made by thinning one with the highest rate (Lewis and Shedler 1979).

    Not for a rush within minutes: see `Bursts`.

    Args:
        rate: Arrivals per `per` seconds in the mean over a day, above 0.
        per: Seconds, above 0; 1 by default.
        swing: How far the rate rises above its mean and falls below it, as a share of it, 0 to 1; 0.8 by default.
        peak: Seconds from the start to the busiest moment; 14 hours by default.
        day: Seconds that a day has, above 0; 86 400 by default.
        jobs: The workload ends after so many; None (default) does not end it by number.
        lasting: The workload ends after so many seconds; None (default) does not end it by time.
        mix: What the jobs are like.
    """

    rate: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)
    swing: float = attrs.field(default=0.8, validator=not_negative, kw_only=True)
    peak: float = attrs.field(default=14 * 3600.0, converter=seconds, validator=not_negative, kw_only=True)
    day: float = attrs.field(default=86_400.0, converter=seconds, validator=positive, kw_only=True)
    jobs: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)), kw_only=True)
    lasting: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )
    mix: JobMix = attrs.field(factory=JobMix, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.swing > 1:
            msg = f"DayCurve: swing must be a number from 0 to 1, got {self.swing!r}"
            raise ValueError(msg)

    @property
    def endless(self) -> bool:
        """True without `jobs` and `lasting`."""
        return self.jobs is None and self.lasting is None

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """One after the other."""
        make, highest = self.mix.maker(random), self.rate / self.per * (1 + self.swing)
        last = inf if self.lasting is None else self.lasting
        left = inf if self.jobs is None else self.jobs
        at = 0.0
        while left > 0:
            at -= log(1.0 - random.random()) / highest
            if at > last:
                return
            now = 1 + self.swing * cos(2 * pi * (at - self.peak) / self.day)
            if random.random() * (1 + self.swing) < now:
                yield make(at)
                left -= 1
