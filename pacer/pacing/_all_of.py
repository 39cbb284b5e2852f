"""Several policies at once: the slowest wins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from pacer._job import Outcome
from pacer._validation import part
from pacer.protocols import NOW, JobFacts, PacingPolicy, When

# So many times the policies are asked for a time at which all of them agree. Two weekly calendars that ever meet do so
# within a week, which is 14 changes for each; policies that do not meet by then contradict each other.
MOST_ROUNDS = 200

_LIKE = "FixedPause(10)"


class Combinable:
    """Gives a policy `&`."""

    __slots__ = ()

    def __and__(self, other: PacingPolicy[Any]) -> AllOf:
        """Both at once: a job starts when both let it."""
        return AllOf(self, other)  # type: ignore[arg-type]  # whoever inherits from it is a policy

    def __rand__(self, other: PacingPolicy[Any]) -> AllOf:
        """The same when `other` has no `&` of its own."""
        return AllOf(other, self)  # type: ignore[arg-type]  # as above


def _policies(instance: AllOf, attribute: attrs.Attribute[Any], value: tuple[PacingPolicy[Any], ...]) -> None:
    if not value:
        msg = "AllOf: policies must be at least one; Unpaced() lets every job start at once"
        raise ValueError(msg)
    check: Callable[..., None] = part(PacingPolicy, _LIKE)
    for policy in value:
        check(instance, attribute, policy)


def _flat(policies: tuple[PacingPolicy[Any], ...]) -> tuple[PacingPolicy[Any], ...]:
    """With the policies of a nested AllOf in its place."""
    flat: list[PacingPolicy[Any]] = []
    for policy in policies:
        flat += policy.policies if isinstance(policy, AllOf) else [policy]
    return tuple(flat)


@attrs.frozen(init=False, repr=False)
class AllOf(Combinable):
    """A job starts when all of these policies let it: the slowest wins. `a & b` is the same as `AllOf(a, b)`.

    `TokenBucket(600, per=60) & Budget(100_000, per=60)` keeps requests and tokens a minute together. A class of your
    own can stand on either side of `&`, as long as one of pacer's stands on the other.

    Each policy is asked, then asked again at the latest of the times named, because one of them may no longer agree by
    then (`OpeningHours` has closed), until there is a time that suits all. A job that one of them says can never start
    never starts. If no such time is found after 200 rounds of asking, as with opening hours that exclude each other,
    it never starts either, and `enqueue` says so at once. Reason and lane are those of the policy that waits longest.
    Each guarantees what it guarantees alone.

    Not for alternatives: hours on weekdays *or* at the weekend are `OpeningHours(...) | OpeningHours(...)`.

    State: a list of the policies' states.

    Args:
        *policies: One or more. An `AllOf` among them stands for its own policies.

    Raises:
        TypeError: Something else than a policy was given.
        ValueError: There is none.
    """

    policies: tuple[PacingPolicy[Any], ...] = attrs.field(converter=_flat, validator=_policies)

    def __init__(self, *policies: PacingPolicy[Any]) -> None:
        self.__attrs_init__(policies)

    def __repr__(self) -> str:
        return f"AllOf({', '.join(map(repr, self.policies))})"

    @property
    def slows_on_throttle(self) -> bool:
        """Whether one of them does."""
        return any(getattr(policy, "slows_on_throttle", False) for policy in self.policies)

    @property
    def starts_ahead(self) -> bool:
        """Whether all of them do."""
        return all(getattr(policy, "starts_ahead", False) for policy in self.policies)

    def on_clock(self, epoch: float) -> AllOf:
        """The same, with those that speak of the calendar told of the clock."""
        return AllOf(*(on_clock(policy, epoch) for policy in self.policies))

    def rested(self, state: list[Any], now: float) -> bool:
        """Whether all of them are."""
        return all(rested(policy, own, now) for policy, own in zip(self.policies, state, strict=True))

    def rate_limit(self, state: list[Any], now: float) -> float | None:
        """The least of those that say one; None if none does.

        What the others allow is not in it: within `OpeningHours` it is the rate while they are open.
        """
        pairs = zip(self.policies, state, strict=True)
        rates = [rate for policy, own in pairs if (rate := rate_limit(policy, own, now)) is not None]
        return min(rates, default=None)

    def initial_state(self) -> list[Any]:
        """The initial state of each."""
        return [policy.initial_state() for policy in self.policies]

    def with_rate(self, state: list[Any], now: float, rate: float | None) -> list[Any]:
        """The state with a rate that was set by hand, of those of them that have one.

        Raises:
            TypeError: None has.
            ValueError: It cannot be this one.
        """
        setters = [getattr(policy, "with_rate", None) for policy in self.policies]
        if not any(setters):
            msg = f"set_rate: the rate of {self!r} cannot be set; add `& ManualPace(...)` to it"
            raise TypeError(msg)
        pairs = zip(setters, state, strict=True)
        return [own if change is None else change(own, now, rate) for change, own in pairs]

    def hold_ended(self, state: list[Any], now: float) -> list[Any]:
        """Each is told that the hold is over."""
        return [hold_ended(policy, own, now) for policy, own in zip(self.policies, state, strict=True)]

    def earliest(self, state: list[Any], now: float, job: JobFacts, running: int) -> When:
        """The first time at which all of them agree."""
        for index, policy in enumerate(self.policies):
            if policy.earliest(state[index], now, job, running).at > now:
                return self._agreed(state, now, job, running)
        return NOW

    def _agreed(self, state: list[Any], now: float, job: JobFacts, running: int) -> When:
        found = NOW
        at, lane, on_event = now, False, False
        for _ in range(MOST_ROUNDS):
            latest = self._latest(state, at, job, running)
            if latest.at <= at:
                return found
            if latest.at == math.inf:
                # `never` stops one job and no lane; see `When.never`.
                return attrs.evolve(latest, lane=not latest.never and (lane or latest.lane))
            # Where one step of the way is a lane's own, jobs of other lanes need not go that way.
            at, lane, on_event = latest.at, lane or latest.lane, on_event or latest.on_event
            found = When(at, on_event, latest.reason, lane)
        return When(math.inf, reason=f"no time was found at which all of its pace allows it; last: {found.reason}")

    def _latest(self, state: list[Any], at: float, job: JobFacts, running: int) -> When:
        """The answer that binds: never, else for an event, else the latest; in a tie not one for a lane only."""
        latest = NOW
        for index, policy in enumerate(self.policies):
            when = policy.earliest(state[index], at, job, running)
            if when.at <= at:
                continue
            if when.never:
                return when
            if when.at > latest.at or (when.at == latest.at and latest.lane and not when.lane):
                latest = when
        return latest

    def started(self, state: list[Any], now: float, job: JobFacts, running: int) -> list[Any]:
        """Each charges for it."""
        charged = state.copy()
        for index, policy in enumerate(self.policies):
            charged[index] = policy.started(charged[index], now, job, running)
        return charged

    def ended(self, state: list[Any], now: float, job: JobFacts, outcome: Outcome, running: int) -> list[Any]:
        """Each learns from it."""
        learned = state.copy()
        for index, policy in enumerate(self.policies):
            learned[index] = policy.ended(learned[index], now, job, outcome, running)
        return learned


def on_clock(policy: PacingPolicy[Any], epoch: float) -> PacingPolicy[Any]:
    """The policy for a clock that showed 0 at this Unix time; the same one if it does not speak of the calendar."""
    move: Callable[[float], PacingPolicy[Any]] | None = getattr(policy, "on_clock", None)
    return policy if move is None else move(epoch)


def hold_ended(policy: PacingPolicy[Any], state: Any, now: float) -> Any:
    """The state with a hold over; the same one if the policy does not count from the end of holds."""
    change: Callable[[Any, float], Any] | None = getattr(policy, "hold_ended", None)
    return state if change is None else change(state, now)


def rested(policy: PacingPolicy[Any], state: Any, now: float) -> bool:
    """Whether nothing would be gained by forgetting the state; policies that do not say are judged by `earliest`."""
    ask: Callable[[Any, float], bool] | None = getattr(policy, "rested", None)
    return ask is None or ask(state, now)


def rate_limit(policy: PacingPolicy[Any], state: Any, now: float) -> float | None:
    """Starts of cost 1 a second in the long run; None for policies that do not say."""
    ask: Callable[[Any, float], float | None] | None = getattr(policy, "rate_limit", None)
    return None if ask is None else ask(state, now)
