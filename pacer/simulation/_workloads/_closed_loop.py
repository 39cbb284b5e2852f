"""People who wait for an answer before they ask again."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attrs

from pacer._validation import optional_seconds, positive, whole
from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Distribution, distribution
from pacer.simulation._job_mix import JobMix


def _no_keys(instance: object, attribute: attrs.Attribute[JobMix], value: JobMix) -> None:
    if value.keys is not None:
        msg = "ClosedLoop: mix must not have keys, because each user is a lane of its own"
        raise ValueError(msg)


@attrs.frozen
class ClosedLoop:
    """So many users, each of whom thinks, sends a job, waits for its end, thinks, and so on.

    A slow service gets fewer jobs, as a web page does whose visitors wait. A user whose job was turned away thinks,
    too, and then sends another. The key of a job is its user: "user 1" and so on.

    Not for arrivals that do not care how long the last one took: see `Poisson`.

    Args:
        users: How many, 1 or more.
        think: Seconds between the end of a user's job and the next one, a number or a distribution.
        jobs: How many jobs each user sends, 1 or more; None (default): as many as there is time for.
        lasting: Nobody sends a job after this time in seconds; None (default): no such time.
        mix: What the jobs are like; without keys.
    """

    users: int = attrs.field(validator=whole(1))
    think: Distribution = attrs.field(converter=distribution)
    jobs: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1)), kw_only=True)
    lasting: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )
    mix: JobMix = attrs.field(factory=JobMix, validator=_no_keys, kw_only=True)

    @property
    def endless(self) -> bool:
        """True without `jobs` and `lasting`."""
        return self.jobs is None and self.lasting is None

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """The first job of each user, after a first thought."""
        first = sorted((self.think.draw(random), user) for user in range(1, self.users + 1))
        for at, user in first:
            if self.lasting is None or at <= self.lasting:
                yield self._sent(at, f"user {user}", 1, random)

    def after(self, arrival: Arrival, now: float, random: Random) -> Arrival | None:
        """The same user's next job."""
        at = now + self.think.draw(random)
        if arrival.turn == self.jobs or (self.lasting is not None and at > self.lasting):
            return None
        return self._sent(at, arrival.key, arrival.turn + 1, random)

    def _sent(self, at: float, user: str | None, turn: int, random: Random) -> Arrival:
        return self.mix.maker(random)(at)._replace(key=user, turn=turn)
