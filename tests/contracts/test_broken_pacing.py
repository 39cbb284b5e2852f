"""The pacing contract catches what it is for: each of these policies breaks one promise, and the message names it."""

from __future__ import annotations

import math
import random
import time

import attrs
import pytest

from pacer import OutcomeKind
from pacer.pacing import AdaptiveRate, FixedPause, FixedWindow, MinInterval, PerKey, TokenBucket, Unpaced
from pacer.protocols import NOW, When
from pacer.testing import check_pacing_policy


class PlainObject(Unpaced):
    """Without equality."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


class Unhashable(Unpaced):
    __hash__ = None


class Unprintable(Unpaced):
    __repr__ = object.__repr__


class TupleState(Unpaced):
    def started(self, state, now, job, running):
        return (now,)


class InfiniteState(Unpaced):
    def initial_state(self):
        return -math.inf


class ObjectState(Unpaced):
    def ended(self, state, now, job, outcome, running):
        return outcome


class MutatesItsState(Unpaced):
    def initial_state(self):
        return {"count": 0}

    def started(self, state, now, job, running):
        state["count"] += 1
        return state

    def ended(self, state, now, job, outcome, running):
        return state


@attrs.define(eq=False, slots=False)
class RemembersInTheRecipe(Unpaced):
    """Looks equal and stateless, and is not."""

    last_end = [None]  # noqa: RUF012 - the defect

    def earliest(self, state, now, job, running):
        at = self.last_end[0]
        return NOW if at is None or at + 5 <= now else When(at + 5, reason="pause")

    def ended(self, state, now, job, outcome, running):
        self.last_end[0] = now

    def __eq__(self, other):
        return type(other) is type(self)

    def __hash__(self):
        return 1


class ReadsAClock(Unpaced):
    def started(self, state, now, job, running):
        return time.perf_counter()

    def ended(self, state, now, job, outcome, running):
        return state


class RollsDice(Unpaced):
    def started(self, state, now, job, running):
        return random.random()

    def ended(self, state, now, job, outcome, running):
        return state


class AnswersNumbers(Unpaced):
    def earliest(self, state, now, job, running):
        return now


class AnswersNaN(Unpaced):
    def earliest(self, state, now, job, running):
        return When(math.nan)


class GivesNoReason(FixedPause):
    def earliest(self, state, now, job, running):
        return attrs.evolve(super().earliest(state, now, job, running), reason="")


class AsksAgainInChunks(FixedPause):
    """Names times at which it says no again."""

    def earliest(self, state, now, job, running):
        when = super().earliest(state, now, job, running)
        return when if when.at <= now else attrs.evolve(when, at=min(when.at, now + 1.0))


class FloatLevel(TokenBucket):
    """A level that is filled up by elapsed time, and is short by a rounding error at the moment it was to be full."""

    def initial_state(self):
        return {"level": 1.0, "at": None}

    def _level(self, state, now):
        if state["at"] is None:
            return 1.0
        return min(1.0, state["level"] + (now - state["at"]) * self.rate / self.per)

    def earliest(self, state, now, job, running):
        level = self._level(state, now)
        return NOW if level >= 1 else When(max(now + (1 - level) * self.per / self.rate, now + 1e-6), reason="empty")

    def started(self, state, now, job, running):
        return {"level": self._level(state, now) - 1, "at": now}

    def ended(self, state, now, job, outcome, running):
        return state


class ForgetsIgnoredEnds(Unpaced):
    """Leaks a slot for each run that was broken off."""

    def initial_state(self):
        return 0

    def earliest(self, state, now, job, running):
        return NOW if state < 4 else When(math.inf, on_event=True, reason="busy")

    def started(self, state, now, job, running):
        return state + 1

    def ended(self, state, now, job, outcome, running):
        return state if outcome.kind is OutcomeKind.IGNORED else state - 1


class WaitsForNothing(TokenBucket):
    """Tells a job that can never start to wait for an event."""

    def earliest(self, state, now, job, running):
        return attrs.evolve(super().earliest(state, now, job, running), on_event=True)


class DebtFromLargeJobs(TokenBucket):
    """Lets a job of any size start, and then makes the others pay for it without end."""

    def earliest(self, state, now, job, running):
        if state is not None and state - now > 1e5:
            return When(math.inf, reason="deep in debt")
        return NOW if state is None or state <= now else When(state, reason="debt")


class LaterWhenAskedEarlier(FixedPause):
    """Counts the pause from the question."""

    def earliest(self, state, now, job, running):
        if state is not None and now < state:
            return When(state + self.seconds + (state - now), reason="pause")
        return super().earliest(state, now, job, running)


class ForgetsToSayLane(PerKey):
    """Stops all keys where one of them has to wait."""

    def earliest(self, state, now, job, running):
        return attrs.evolve(super().earliest(state, now, job, running), lane=False)


class LetsOthersWaitLonger(PerKey):
    """Says that others may start sooner, and makes those that are new wait."""

    def earliest(self, state, now, job, running):
        if job.key in (None, "a", "b"):
            return super().earliest(state, now, job, running)
        return When(now + 1e6, reason="new here")


class StopsTheLaneForEver(PerKey):
    """A job that can never start blocks the others of its key."""

    def earliest(self, state, now, job, running):
        when = super().earliest(state, now, job, running)
        return attrs.evolve(when, lane=True) if when.never else when


class ForgetsTheClock(FixedWindow):
    def on_clock(self, epoch):
        return attrs.evolve(self, epoch=epoch / 3)


class AddsUpEpochs(FixedWindow):
    def on_clock(self, epoch):
        return attrs.evolve(self, epoch=self.epoch + epoch)


class ClosedAfterASleep(FixedPause):
    """Not because of the calendar, but because it counts the time since as if it had been at work."""

    def earliest(self, state, now, job, running):
        if state is not None and now - state > 1e6:
            return When(now + 60, reason="slept for too long")
        return super().earliest(state, now, job, running)


class ForgetsWhatIsUsed(FixedWindow):
    def rested(self, state, now):
        return True


class RemembersForEver(FixedWindow):
    def rested(self, state, now):
        return state is None


class RateOfAnIdleQueue(TokenBucket):
    """Says that nothing is limited as long as the bucket is full."""

    def rate_limit(self, state, now):
        return math.inf if self.rested(state, now) else self.rate / self.per


class RateBelowZero(TokenBucket):
    """Takes the next start for one that was."""

    def rate_limit(self, state, now):
        return None if state is None or state == now else 1 / (now - state)


class RateOfUsedStatesOnly(MinInterval):
    def rate_limit(self, state, now):
        return 1 / max(self.seconds, state - now)


class PausesAhead(FixedPause):
    """An end makes the next job wait, and the start times that were given out ahead do not know of it."""

    starts_ahead = True


class AdaptsAhead(AdaptiveRate):
    starts_ahead = True


class ForgetsTimesAhead(TokenBucket):
    """Starts anew from the end of each run."""

    def ended(self, state, now, job, outcome, running):
        return min(state, now)


class GivesBackAllThatWasCharged(TokenBucket):
    """Also what has flowed over since."""

    def ended(self, state, now, job, outcome, running):
        return state - self.interval * job.cost.get("requests", 1.0) if outcome.unused else state


class GivesBackTheLastStart(MinInterval):
    """Whichever it was that was given back."""

    def ended(self, state, now, job, outcome, running):
        return state - self.seconds if outcome.unused else state


class GivesBackTwice(FixedWindow):
    def ended(self, state, now, job, outcome, running):
        return [state[0], state[1] - 2] if outcome.unused else state


class DeafToEndedHolds(FixedPause):
    def hold_ended(self, state, now):
        return state


class ForgetsToPassItOn(PerKey):
    def hold_ended(self, state, now):
        return state


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (PlainObject(), "equals its copy"),
        (Unhashable(), "hashable"),
        (Unprintable(), "repr shows the settings"),
        (TupleState(), "survives JSON unchanged"),
        (InfiniteState(), "plain data that JSON can hold"),
        (ObjectState(), "plain data that JSON can hold"),
        (MutatesItsState(), "does not change the state it is given"),
        (RemembersInTheRecipe(), "same question has the same answer"),
        (ReadsAClock(), "same question has the same answer"),
        (RollsDice(), "same question has the same answer"),
        (AnswersNumbers(), "answers with a When"),
        (AnswersNaN(), "the time is a number"),
        (GivesNoReason(10), "says why"),
        (AsksAgainInChunks(10), "the time it named itself"),
        (FloatLevel(3, per=7), "the time it named itself"),
        (ForgetsIgnoredEnds(), "every `ended`"),
        (WaitsForNothing(1), "no event will help"),
        (DebtFromLargeJobs(1), "can start at some time"),
        (LaterWhenAskedEarlier(10), "no later time"),
        (ClosedAfterASleep(10), "no later time"),
        (ForgetsToSayLane(FixedPause(10)), "`lane` says whether"),
        (LetsOthersWaitLonger(FixedPause(10)), "`lane` says whether"),
        (StopsTheLaneForEver(TokenBucket(1)), "stops no lane"),
        (PausesAhead(1 / 3), "Does the end of a run make others wait longer?"),
        (AdaptsAhead(1), "Does the end of a run make others wait longer?"),
        (ForgetsTimesAhead(1 / 3), "Does the end of a run make others wait longer?"),
        (GivesBackAllThatWasCharged(1 / 3, burst=2), "nothing that later starts build on"),
        (GivesBackTheLastStart(1), "nothing that later starts build on"),
        (GivesBackTwice(1, per=60), "no more than was charged"),
        (ForgetsTheClock(1, per=60), "whatever the clock counts from"),
        (AddsUpEpochs(5, per=60), "counts from Unix time 0"),
        (ForgetsWhatIsUsed(9, per=1e4), "a new state would let 9 jobs start at once, and this one"),
        (RateOfAnIdleQueue(1), "None or a finite number, 0 or more; got inf"),
        (RateBelowZero(1), "None or a finite number, 0 or more; got -"),
        (RateOfUsedStatesOnly(1), "there is an answer for every state; got TypeError"),
        (DeafToEndedHolds(10), "that a person ends after 1 s is over"),
        (ForgetsToPassItOn(FixedPause(10)), "that a person ends after 1 s is over"),
        (RemembersForEver(5, per=60), "after 1e\\+07 s at rest the answer is yes"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_pacing_policy_is_caught(policy, message):
    with pytest.raises(AssertionError, match=message):
        check_pacing_policy(policy)
