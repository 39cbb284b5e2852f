"""The rules rolled forward: a queue that lives only in a forecast."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from pacer._draws import Course
from pacer._job import Outcome, OutcomeKind
from pacer._snapshot import Facts, Snapshot
from pacer.protocols import JobFacts, When

if TYPE_CHECKING:
    from pacer._rules import Rules

# A policy may name another time whenever its time has come; so often it is believed.
_MOST_STEPS = 1000
_SUCCESS = Outcome(OutcomeKind.SUCCEEDED, foretold=True)
_NEVER = When(math.inf, on_event=True, reason="nothing waits")


@attrs.define(eq=False)
class _Queue:
    """What `Rules.next_start` asks of a queue's state; changed in place, because only a forecast sees it."""

    pacing: Any
    paused: bool
    failures: int
    hold_until: float
    hold_reason: str


class Roll:
    """One course of the future of some jobs, which come in this order; ends are successes.

    They are the jobs ahead, which last as long as `course` says; the job that is asked for; and those behind it, which
    last as long as `behind` says and may overtake it if its lane is blocked.
    """

    def __init__(
        self, rules: Rules, snapshot: Snapshot, jobs: Sequence[Facts], course: Course, behind: Sequence[float]
    ) -> None:
        state = snapshot.queue
        self.rules, self.jobs, self.target = rules, jobs, len(course.durations)
        self.durations = [*course.durations, math.inf, *behind]
        self.state = _Queue(state.pacing, state.paused, state.failures, state.hold_until, state.hold_reason)
        self.now = self.began = snapshot.now
        self.starts = [math.inf] * len(jobs)
        # The number keeps equal times in the order in which the jobs started.
        self.ends: list[tuple[float, int, JobFacts]] = [
            (snapshot.now + rest, number - len(course.rests), run.job)
            for number, (rest, run) in enumerate(zip(course.rests, snapshot.running, strict=True))
        ]
        heapq.heapify(self.ends)
        self.head = 0
        self.lanes: dict[str | None, deque[int]] = {}
        """Jobs that stand before the head because their lane was blocked, by key."""
        self.met_lanes = False

    def run(self) -> list[float] | None:
        """Seconds until the start of each job, `inf` for those after the one asked for; None if that never starts."""
        ends, most, rules, state = self.ends, self.rules.concurrency, self.rules, self.state
        steps = 0
        while steps < _MOST_STEPS:
            now = self.now
            while ends and ends[0][0] <= now:
                ended = heapq.heappop(ends)[2]
                state.pacing, state.failures = rules.give_back(state.pacing, now, ended, _SUCCESS, len(ends)), 0
            if len(ends) >= most and not state.paused:
                self.now = ends[0][0]  # which is what the rules would say
                continue
            index, found = self._first() if not self.lanes else self._among_lanes()
            if index is not None:
                self._start(index)
                if index == self.target:
                    return self.starts
                steps = 0
            elif ends and ends[0][0] < found.at:
                self.now = ends[0][0]
            elif found.at == math.inf:
                return None
            else:
                self.now, steps = found.at, steps + 1
        return None  # a policy that names another time whenever its time has come

    def _start(self, index: int) -> None:
        now, job, ends, state = self.now, self.jobs[index], self.ends, self.state
        job.started_at = now
        self.starts[index] = now - self.began
        state.pacing = self.rules.charge(state.pacing, now, job, len(ends))
        heapq.heappush(ends, (now + self.durations[index], index, job))

    def _first(self) -> tuple[int | None, When]:
        """The first job that may start now, or when to ask again."""
        index = self.head
        job = self.jobs[index]
        job.started_at = None
        found = self.rules.next_start(self.state, self.now, job, len(self.ends))
        if found.at <= self.now:
            self.head = index + 1
            return index, found
        return self._among_lanes() if found.lane or found.never else (None, found)

    def _ask(self, index: int) -> When:
        job = self.jobs[index]
        job.started_at = None
        return self.rules.next_start(self.state, self.now, job, len(self.ends))

    def _among_lanes(self) -> tuple[int | None, When]:
        """The same as a store does it: a blocked lane does not block the others."""
        upcoming = _NEVER
        for key in sorted(self.lanes, key=lambda key: self.lanes[key][0]):
            found = self._ask_lane(key)
            if found is None:
                continue
            if found.at <= self.now:
                return self._out_of_lane(key), found
            if not found.lane:
                return None, found
            upcoming = min(found, upcoming, key=lambda one: one.at)
        while self.head < len(self.jobs):
            index = self.head
            key = self.jobs[index].key
            if key not in self.lanes:
                found = self._ask(index)
                if found.at <= self.now:
                    self.head += 1
                    return index, found
                if found.never and index != self.target:  # it stops nobody
                    self.head += 1
                    continue
                if not found.lane:
                    return None, found
                upcoming = min(found, upcoming, key=lambda one: one.at)
                self.lanes[key] = deque()
                self.met_lanes = True
            self.lanes[key].append(index)
            self.head += 1
        return None, upcoming

    def _ask_lane(self, key: str | None) -> When | None:
        """Of its first job, without those that can never start: they stop nobody. None if it has no others."""
        while key in self.lanes:
            index = self.lanes[key][0]
            found = self._ask(index)
            if not found.never or index == self.target:
                return found
            self._out_of_lane(key)
        return None

    def _out_of_lane(self, key: str | None) -> int:
        lane = self.lanes[key]
        index = lane.popleft()
        if not lane:
            del self.lanes[key]
        return index
