"""A pace for each key, for example each tenant."""

from __future__ import annotations

from itertools import islice
from typing import Any

import attrs

from pacer._job import Outcome
from pacer._validation import part, positive, seconds
from pacer.pacing._all_of import Combinable, hold_ended, on_clock, rested
from pacer.protocols import JobFacts, PacingPolicy, When

# How many lanes a start looks at to forget them. Two, because a start adds at most one.
LOOKED_AT = 2

Lane = list[Any]
"""How many jobs of it run, when one last started or ended, and the policy's state."""

Lanes = dict[str, Lane]


@attrs.frozen
class PerKey(Combinable):
    """Each key has the pace to itself: `PerKey(TokenBucket(60, per=60))` is 60 a minute for every tenant.

    A job's key is given with it: `enqueue(..., key="tenant-7")`. Jobs without a key are one more lane, with one pace
    for all of them. A lane that has to wait does not stop the others. The policy is told how many jobs *of the key*
    run, and of their starts and ends only. Each lane has the policy's guarantee; all of them together have none, so
    add one for the upstream's own limit: `PerKey(TokenBucket(60, per=60)) & TokenBucket(600, per=60)`.

    A lane is forgotten when none of its jobs runs, none has started or ended for `forget_after` seconds, and nobody
    gains by it: pauses, windows and bursts that are used up in part, debts, and rates set by hand are not forgotten.
    What goes is what the policy has learned of the key. Each start looks at two lanes in turn, so that a lane may be
    kept for longer than it has to be. (A policy of your own that lets a job start although its state is not as good as
    new has a method `rested` that says so; see `PacingPolicy`.)

    Not for thousands of keys in an hour, or in a window that is longer: the state is written with each start and each
    end. Not for sharing one limit fairly: that is the queue's order.

    It names no `rate_limit`, whatever its policy: that would be one for each key, and say nothing of the queue. Nor can
    a rate be set by hand.

    State: for each key with a job in the last `forget_after` seconds, or as long as the policy needs to be as new:
    about 40 bytes, the key, and the policy's state.

    Args:
        policy: The pace of each key.
        forget_after: Seconds, above 0; an hour by default.
    """

    policy: PacingPolicy[Any] = attrs.field(validator=part(PacingPolicy, "TokenBucket(60, per=60)"))
    forget_after: float = attrs.field(default=3600.0, converter=seconds, validator=positive, kw_only=True)

    @property
    def slows_on_throttle(self) -> bool:
        """Whether the policy does."""
        return bool(getattr(self.policy, "slows_on_throttle", False))

    @property
    def starts_ahead(self) -> bool:
        """Whether the policy does."""
        return bool(getattr(self.policy, "starts_ahead", False))

    def on_clock(self, epoch: float) -> PerKey:
        """The same with the policy told of the clock."""
        return attrs.evolve(self, policy=on_clock(self.policy, epoch))

    def rested(self, state: Lanes, now: float) -> bool:
        """Whether the policy is in all lanes."""
        return all(rested(self.policy, own, now) for _, _, own in state.values())

    def initial_state(self) -> Lanes:
        """No lane is known."""
        return {}

    def earliest(self, state: Lanes, now: float, job: JobFacts, running: int) -> When:
        """What the policy says of this lane."""
        lane = self._lane(state, job.key, now)
        when = self.policy.earliest(lane[2], now, job, lane[0])
        if when.at <= now or when.never:
            return when  # a job that can never start stops no lane
        reason = f"{when.reason}, for {'jobs without a key' if job.key is None else f'key {job.key!r}'}"
        return When(when.at, when.on_event, reason, lane=True, by_hand=when.by_hand)

    def started(self, state: Lanes, now: float, job: JobFacts, running: int) -> Lanes:
        """The lane charges for it; up to two others are forgotten."""
        of_key, _, own = self._lane(state, job.key, now)
        others = {name: lane for name, lane in state.items() if name != _name(job.key)}
        for name in list(islice(others, LOOKED_AT)):
            lane = others.pop(name)
            if not self._forgettable(lane, now, job):
                others[name] = lane  # behind the others: its turn comes again
        others[_name(job.key)] = [of_key + 1, now, self.policy.started(own, now, job, of_key)]
        return others

    def ended(self, state: Lanes, now: float, job: JobFacts, outcome: Outcome, running: int) -> Lanes:
        """The lane learns from it."""
        of_key, last, own = self._lane(state, job.key, now)
        of_key = max(0, of_key - 1)
        lane = [of_key, max(last, now), self.policy.ended(own, now, job, outcome, of_key)]
        return {**state, _name(job.key): lane}

    def hold_ended(self, state: Lanes, now: float) -> Lanes:
        """All lanes are told that the hold is over."""
        return {name: [of_key, last, hold_ended(self.policy, own, now)] for name, (of_key, last, own) in state.items()}

    def _lane(self, state: Lanes, key: str | None, now: float) -> Lane:
        return state.get(_name(key)) or [0, now, self.policy.initial_state()]

    def _forgettable(self, lane: Lane, now: float, job: JobFacts) -> bool:
        running, last, own = lane
        idle = running == 0 and now - last >= self.forget_after
        return idle and self.policy.earliest(own, now, job, 0).at <= now and rested(self.policy, own, now)


def _name(key: str | None) -> str:
    """The names of an object in JSON are text, and None is not the key `""`."""
    return "" if key is None else f":{key}"
