"""Nothing for a while, then many at once."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from random import Random

import attrs

from pacer._validation import not_negative, optional_seconds, positive, seconds, whole
from pacer.simulation._arrivals import Arrival
from pacer.simulation._job_mix import JobMix


@attrs.frozen
class Bursts:
    """`size` jobs every `every` seconds, the first of them at 0, as timers and imports send them.

    Each burst is spread evenly at random over `within` seconds.

    Args:
        size: Jobs in a burst, 1 or more.
        every: Seconds from the beginning of a burst to that of the next, above 0.
        within: Seconds over which a burst is spread, 0 to `every`; 0 by default: all at one moment.
        jobs: The workload ends after so many jobs; None (default) does not end it by number.
        lasting: No burst begins at or after this time in seconds; None (default) does not end it by time.
        mix: What the jobs are like.
    """

    size: int = attrs.field(validator=whole(1))
    every: float = attrs.field(converter=seconds, validator=positive)
    within: float = attrs.field(default=0.0, converter=seconds, validator=not_negative, kw_only=True)
    jobs: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)), kw_only=True)
    lasting: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )
    mix: JobMix = attrs.field(factory=JobMix, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.within > self.every:
            msg = f"Bursts: within ({self.within:g} s) must not be above every ({self.every:g} s)"
            raise ValueError(msg)

    @property
    def endless(self) -> bool:
        """True without `jobs` and `lasting`."""
        return self.jobs is None and self.lasting is None

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """Burst after burst."""
        make = self.mix.maker(random)
        left = inf if self.jobs is None else self.jobs
        number = 0
        while left > 0 and (self.lasting is None or number * self.every < self.lasting):
            start = number * self.every
            offsets = sorted(self.within * random.random() for _ in range(int(min(self.size, left))))
            for offset in offsets:
                yield make(start + offset)
            left -= len(offsets)
            number += 1
