"""A run: time goes from one thing that happens to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

import attrs

from pacer._job import JobState, OutcomeKind
from pacer.simulation._arrivals import Arrival
from pacer.simulation._errors import SimulationError
from pacer.simulation._fairness import Lane
from pacer.simulation._oracle import Oracle, oracle
from pacer.simulation._promises import PromiseKeeper
from pacer.simulation._result import EventKind, Happening
from pacer.simulation._simulated_job import SimulatedJob, Source
from pacer.simulation._station import Station
from pacer.simulation._tally import Tally
from pacer.simulation._timeline import Recording
from pacer.simulation._upstream import RunningUpstream

MOST_STEPS: Final = 100_000
"""So many things may happen without a job that enters or ends; then the run is taken to go on for ever."""


_ENDS: Final[Mapping[OutcomeKind, EventKind]] = {
    OutcomeKind.SUCCEEDED: "succeeded",
    OutcomeKind.THROTTLED: "throttled",
    OutcomeKind.FAILED: "failed",
}


@attrs.define(eq=False)
class Run:
    """Everything there is during one run."""

    seed: int
    upstream: RunningUpstream
    until: float
    keep: int
    promises: PromiseKeeper | None
    oracle: Oracle = attrs.field(init=False)
    stations: list[Station] = attrs.field(init=False, factory=list)
    now: float = attrs.field(init=False, default=0.0)
    number: int = attrs.field(init=False, default=0)
    """Of the next job that arrives."""
    recording: Recording = attrs.field(init=False, factory=Recording)
    happenings: list[Happening] = attrs.field(init=False, factory=list)
    stirred: list[Station] = attrs.field(init=False, factory=list)
    lanes: dict[str, Lane] = attrs.field(init=False, factory=dict)
    idle: bool = attrs.field(init=False, default=False)
    """Nothing can happen any more."""
    last_at: float = attrs.field(init=False, default=0.0)
    """When a job has arrived or ended last."""
    last_asked: float = attrs.field(init=False, default=0.0)
    """When the upstream was asked for the last job that succeeded."""
    _events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = attrs.field(init=False, factory=list)
    _count: Iterator[int] = attrs.field(init=False, factory=count)
    present: int = attrs.field(init=False, default=0)
    _steps: int = attrs.field(init=False, default=0)
    _follows: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.oracle = oracle(self.upstream.recipe, self._oracle_sent)

    def _oracle_sent(self, at: float) -> None:
        if at <= self.until:
            self.recording.add("oracle", at)

    # -- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[..., None], *args: Any) -> None:
        """Do something later. Actions of the same moment are done in the order in which they were set."""
        heapq.heappush(self._events, (when, next(self._count), action, args))

    def go(self) -> None:
        """Until nothing can happen any more, or the time is up."""
        events, stirred = self._events, self.stirred
        while events and events[0][0] <= self.until:
            now = self.now = events[0][0]
            while events and events[0][0] == now:
                _, _, action, args = heapq.heappop(events)
                action(*args)
                self._steps += 1
            # All that happens at one moment is taken in before the queues are asked who is next.
            for station in stirred:
                station.dispatch()
            stirred.clear()
            if self._steps > MOST_STEPS:
                raise SimulationError(self._endless())
        self.idle = not events

    def _endless(self) -> str:
        answers = Tally.of(station.tally for station in self.stations)
        return (
            f"no job has entered or ended for {MOST_STEPS:,} steps, at {self.now:g} s: "
            f"{self.present} jobs wait or run, {answers.throttled} of {answers.asked} requests were answered 429. "
            "Does a policy name ever later times, or does an upstream that never admits a job meet a scheduler "
            "that never gives one up? Set until=, or a lower max_throttles"
        )

    # -- arrivals ----------------------------------------------------------------------------------------------------

    def feed(self, source: Source) -> None:
        """Let the next job of a workload arrive when its time has come, and then the one after it."""
        arrival = next(source.arrivals, None)
        if arrival is not None:
            self.expect(arrival, source)

    def expect(self, arrival: Arrival, source: Source) -> None:
        """Let this job arrive when its time has come, and then the one after it."""
        self.at(max(arrival.at, self.now), self._arrive, arrival, source)

    def _arrive(self, arrival: Arrival, source: Source) -> None:
        self._steps = 0
        self.last_at = self.now
        source.choose().arrive(arrival, source)
        self.feed(source)

    def follow(self, job: SimulatedJob) -> None:
        """A job has ended for good or was turned away: another may follow from it."""
        after = job.source.after
        if after is None:
            return
        arrival = after(job.arrival, self.now, job.source.random)
        if arrival is not None:
            self._follows = self._follows + 1 if arrival.at <= self.now else 0
            if self._follows > MOST_STEPS:
                raise SimulationError(self._endless())
            self.at(max(arrival.at, self.now), job.source.choose().arrive, arrival, job.source)

    # -- what stations tell ------------------------------------------------------------------------------------------

    def entered(self, station: Station, job: SimulatedJob, position: int) -> None:
        """A job has come into a queue."""
        now = self.now
        self._steps = 0
        self.present += 1
        self.recording.add("entered", now)
        self.oracle.entered(now, job.arrival)
        for lane in self._lanes_of(station, job):
            lane.entered(now)
        if self.promises is not None and self.promises.wants():
            self.promises.promised(station.ledger.rules, station.ledger.view(now), job, position)
        self.happened("arrived", job, station)

    def _lanes_of(self, station: Station, job: SimulatedJob) -> tuple[Lane, ...]:
        if job.key is None:
            return (station.tally.lane,)
        lane = self.lanes.get(job.key)
        if lane is None:
            lane = self.lanes[job.key] = Lane()
        return (station.tally.lane, lane)

    def started(self, station: Station, job: SimulatedJob) -> None:
        """A run of a job begins."""
        if self.promises is not None:
            self.promises.started(job, self.now)
        self.happened("started", job, station)

    def ended(self, station: Station, job: SimulatedJob, kind: OutcomeKind, asked_at: float) -> None:
        """A run of a job has ended."""
        self.happened(_ENDS[kind], job, station)
        self.recording.add(_ENDS[kind], self.now)
        if kind is OutcomeKind.SUCCEEDED:
            self.last_asked = asked_at
            self.oracle.succeeded(self.now)
        if job.state is not JobState.QUEUED:
            if job.state is JobState.FAILED:
                self.happened("ended", job, station)
            self._left(station, job, done=job.state is JobState.SUCCEEDED)

    def gone(self, station: Station, job: SimulatedJob, how: EventKind) -> None:
        """A waiting job has left without having been done."""
        if self.promises is not None:
            self.promises.lost(job)
        self.happened(how, job, station)
        self._left(station, job, done=False)

    def _left(self, station: Station, job: SimulatedJob, *, done: bool) -> None:
        self._steps = 0
        self.last_at = self.now
        self.present -= 1
        self.recording.add("left", self.now)
        for lane in self._lanes_of(station, job):
            lane.left(self.now, done)
        self.follow(job)

    def happened(self, what: EventKind, job: SimulatedJob, station: Station) -> None:
        """Keep it, if things that happen are kept and there is room."""
        if len(self.happenings) < self.keep:
            self.happenings.append(Happening(self.now, what, job.number, station.client.name))
