"""All at once."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attrs

from pacer._validation import whole
from pacer.simulation._arrivals import Arrival
from pacer.simulation._job_mix import JobMix


@attrs.frozen
class Backlog:
    """So many jobs, all there from the beginning: how fast is a pile worked off?

    Not for waiting times that people would see: nobody sends all their jobs at one moment.

    Args:
        jobs: How many, 0 or more.
        mix: What they are like.
    """

    jobs: int = attrs.field(validator=whole(0))
    mix: JobMix = attrs.field(factory=JobMix, kw_only=True)
    endless: bool = attrs.field(init=False, default=False)

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """All of them at 0."""
        make = self.mix.maker(random)
        for _ in range(self.jobs):
            yield make(0.0)
