"""Reads the log of a run with faults, and finds what contradicts the guarantees."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import attrs

from pacer import JobState

CLOCKS_MAY_DIFFER = 0.25
"""Seconds by which a worker may be wrong about the server's time."""


@attrs.frozen(kw_only=True)
class Entry:
    """One line of the log.

    Attributes:
        what: "asked" for it and "acknowledged" or "refused" (by the producer), "claimed", "began", "ended" or "left"
            without an end (by the job itself), "settled" or "failed" for good, "again" later, "fenced" out,
            "recovered", "cancelled" by somebody, or so it was wished; of a worker "killed", "stopped" and "woken"; and
            some that only help to understand it.
        who: The worker; of "killed", "stopped" and "woken" the one that it was done to.
        job: Its id; empty if it is of none.
        at: When, on a clock that all of them share.
        decided: When, by the server's clock, as the queue wrote it down.
        wall: The host's wall clock.
    """

    what: str
    who: str
    job: str = ""
    at: float = 0.0
    decided: float = math.nan
    wall: float = math.nan
    state: str = ""
    error: str = ""


def read(path: Path) -> list[Entry]:
    """All that happened, in order."""
    entries = [Entry(**json.loads(line)) for line in path.read_text().splitlines()]
    return sorted(entries, key=lambda entry: entry.at)


@attrs.frozen
class Run:
    """A time during which a job's function ran, as far as it is certain that its worker held the job."""

    job: str
    who: str
    since: float
    until: float


@attrs.define(eq=False)
class History:
    """What happened in one run, and the terms of its queue.

    Attributes:
        entries: In order.
        states: Of the jobs, by their ids, as the store has them at the end.
        interval: The least time between two starts.
        concurrency: The most runs at once.
        lease: Seconds for which a worker holds a job at least.
    """

    entries: Sequence[Entry]
    states: Mapping[str, JobState]
    interval: float
    concurrency: int
    lease: float

    def violations(self) -> list[str]:
        """All that cannot be if what is promised holds; empty if all is well."""
        return [
            *self.lost(),
            *self.settled_twice(),
            *self.run_after_its_end(),
            *self.settled_by_another(),
            *self.settled_without_a_run(),
            *self.too_many_at_once(),
            *self.too_soon(),
            *self.before_their_time(),
            *(f"a part misbehaved: {entry.error}" for entry in self.of("misbehaved")),
        ]

    def of(self, *what: str) -> Iterator[Entry]:
        """The entries of these kinds."""
        return (entry for entry in self.entries if entry.what in what)

    def by_job(self, *what: str) -> Mapping[str, list[Entry]]:
        """The entries of these kinds, by job."""
        found = defaultdict(list)
        for entry in self.of(*what):
            found[entry.job].append(entry)
        return found

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def lost(self) -> Iterator[str]:
        """An acknowledged job has to be there, and to have had its end; nobody may have made one up."""
        asked = {entry.job for entry in self.of("asked")}
        cancelled = {entry.job for entry in self.of("cancelled")}
        for job in {entry.job for entry in self.of("acknowledged")}:
            state = self.states.get(job)
            if state is not JobState.SUCCEEDED and not (state is JobState.CANCELLED and job in cancelled):
                yield f"{job} was acknowledged and is {state or 'nowhere'}"
        for job in {entry.job for entry in self.of("claimed")} - asked:
            yield f"{job} ran, and nobody had asked for it"

    def settled_twice(self) -> Iterator[str]:
        """A job has one end."""
        for job, ends in self.by_job("settled", "failed").items():
            if len(ends) > 1:
                yield f"{job} was settled {len(ends)} times, by {[end.who for end in ends]}"

    def run_after_its_end(self) -> Iterator[str]:
        """Nobody is given a job that has had its end."""
        claims = self.by_job("claimed")
        for end in self.of("settled", "failed"):
            for claim in claims[end.job]:
                if claim.decided > end.decided:
                    yield f"{end.job} was given to {claim.who} {claim.decided - end.decided} s after it was settled"

    def settled_by_another(self) -> Iterator[str]:
        """Whoever settles a job is the one that it was given to last: the fence."""
        claims = self.by_job("claimed")
        for end in self.of("settled", "failed"):
            last = max(claims[end.job], key=lambda claim: claim.decided, default=None)
            if last is not None and last.who != end.who:
                yield f"{end.job} was given to {last.who} last, and settled by {end.who}"

    def settled_without_a_run(self) -> Iterator[str]:
        """A job that succeeded has run to its end, where it was settled."""
        ended = {(entry.job, entry.who) for entry in self.of("ended")}
        for end in self.of("settled"):
            if (end.job, end.who) not in ended:
                yield f"{end.job} was settled by {end.who}, where it has not run to its end"

    # -- the queue ----------------------------------------------------------------------------------------------------

    def runs(self) -> Iterator[Run]:
        """All runs; each until it ended or its worker was killed or stopped, or while its lease held for certain."""
        takeovers = self.by_job("claimed", "recovered")
        claims: dict[tuple[str, str], Entry] = {}
        began: dict[tuple[str, str], float] = {}

        def run(who: str, job: str, until: float) -> Run:
            since, claim = began.pop((who, job)), claims[who, job]
            decided = claim.at - (claim.wall - claim.decided)
            others = (one for one in takeovers[job] if one.who != who or one.what == "recovered")
            if any(decided < one.at < until for one in others):
                # Whoever took it over had seen the lease run out; when is not known, only that it had held so long.
                until = max(since, min(until, decided + self.lease / 2))
            return Run(job, who, since, until)

        for entry in self.entries:
            key = (entry.who, entry.job)
            if entry.what == "claimed":
                claims[key] = entry
            elif entry.what == "began":
                began[key] = entry.at
            elif entry.what in ("ended", "left") and key in began:
                yield run(*key, entry.at)
            elif entry.what in ("killed", "stopped"):
                for who, job in [key for key in began if key[0] == entry.who]:
                    yield run(who, job, entry.at)

    def too_many_at_once(self) -> Iterator[str]:
        """No more than `concurrency` jobs run at once."""
        changes = [(run.since, 1) for run in self.runs()] + [(run.until, -1) for run in self.runs()]
        running = 0
        for at, change in sorted(changes):
            running += change
            if running > self.concurrency:
                yield f"{running} jobs ran at once at {at}"

    def too_soon(self) -> Iterator[str]:
        """No two starts are closer than the interval, by the server's clock, whoever made them."""
        starts = sorted(self.of("claimed"), key=lambda entry: entry.decided)
        for earlier, later in pairwise(starts):
            apart = later.decided - earlier.decided
            if apart < self.interval - 1e-6:
                yield f"{later.job} by {later.who} started {apart} s after {earlier.job} by {earlier.who}"

    def before_their_time(self) -> Iterator[str]:
        """What the queue wrote down is no time that has yet to come, on the clock of the server's host."""
        for entry in self.of("claimed"):
            if entry.wall < entry.decided - CLOCKS_MAY_DIFFER:
                yield f"{entry.job} started {entry.decided - entry.wall} s before its time"
