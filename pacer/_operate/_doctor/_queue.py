"""One queue: whether its jobs run, and what a crash or a person has left behind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from pacer import JobState, Minute, Status
from pacer._job import JobRecord
from pacer._operate._doctor._finding import Finding, error, note, warning
from pacer._operate._state import able
from pacer._operate._target import Guest
from pacer._operate._text import clean, count_text, number_text, seconds_text
from pacer._overview import LOOKED_AT, Listing
from pacer._pages import MOST_COUNTED
from pacer.protocols import WorkerSeen

_CLOCKS_APART: Final = 2.0
_SET_BACK: Final = 60.0
_LONG_HOLD: Final = 3600.0
_NEARLY_FULL: Final = 0.9
_LATE_LEASE: Final = 5.0
_MOST_MINUTES: Final = 60
_STUCK_FOR: Final = 300.0
_MANY_FAILURES: Final = 5
_LONG_RUN: Final = 20.0
_LONG_RUN_AT_LEAST: Final = 3600.0


@attrs.frozen(kw_only=True)
class Facts:
    """What was asked of a queue. Times are seconds on its own clock."""

    name: str
    now: float
    utc: float
    """What time it is for people where the store is, as a Unix time."""
    status: Status
    tally: Mapping[JobState, int]
    workers: Sequence[WorkerSeen]
    minutes: Sequence[Minute]
    running: Sequence[JobRecord]
    waiting: Mapping[tuple[str, str | None], int]
    """How many of those that are next there are of each function and home."""
    due_for: float
    """Seconds for which one of these has been due; 0 if none is."""
    guest: Guest

    @property
    def able(self) -> list[WorkerSeen]:
        """Workers that are there and have functions to run."""
        return able(self.workers)

    @property
    def idle(self) -> list[WorkerSeen]:
        """Processes that are there and run no jobs: they only enqueue, ask and look after the queue."""
        return [one for one in self.workers if one.alive_seconds > 0 and not one.slots]


async def facts_of(guest: Guest) -> Facts:
    """Ask for them."""
    scheduler = guest.scheduler
    ledger = scheduler._running.worker.ledger
    running = await ledger.listed(Listing(state=JobState.RUNNING, limit=LOOKED_AT))
    waiting = await ledger.listed(Listing(state=JobState.QUEUED, limit=LOOKED_AT))
    status = await scheduler.status()
    now = ledger.now()
    return Facts(
        name=scheduler.name,
        now=now,
        utc=ledger.utc(now).timestamp(),
        status=status,
        tally=await scheduler.tally(),
        workers=await scheduler.workers(),
        minutes=await scheduler.history(_MOST_MINUTES),
        running=[record for _, record in running.jobs],
        waiting=Counter((record.task, record.home) for _, record in waiting.jobs),
        due_for=max((now - record.ready_at for _, record in waiting.jobs), default=0.0),
        guest=guest,
    )


def examine_queue(facts: Facts, here: float) -> list[Finding]:
    """All that is wrong with it.

    Args:
        facts: What was asked of it.
        here: What time it is on this machine.
    """
    looks = (_clocks, _people, _workers, _runnable, _starts, _running, _left, _full, _failing, _parts)
    found = [finding for look in looks for finding in look(facts, here)]
    return [attrs.evolve(finding, queue=facts.name) for finding in found]


def time_here() -> float:
    """This machine's clock."""
    return time.time()


def _clocks(facts: Facts, here: float) -> Iterator[Finding]:
    apart = here - facts.utc
    if abs(apart) > _CLOCKS_APART:
        direction = "ahead of" if apart > 0 else "behind"
        yield warning(
            "clock-differs",
            f"the clock of this machine is {seconds_text(abs(apart))} {direction} that of the store",
            "jobs go by the store's clock, so they are in time; log lines of this machine are not",
            "let both set their clocks by NTP",
        )
    back = facts.now - facts.utc
    if back > _SET_BACK:
        yield note(
            "clock-set-back",
            f"the store's clock has been set back by {seconds_text(back)} since the queue was made",
            "the queue has counted on, so that delays and pauses hold; nothing else follows from it",
            "let the machine set its clock by NTP",
        )


def _people(facts: Facts, _: float) -> Iterator[Finding]:
    status = facts.status
    if status.paused:
        quiet = _quiet_for(facts)
        since = f", and nothing has started for {quiet}" if status.pending and quiet else ""
        yield warning(
            "paused",
            f"a person has paused it{since}",
            f"{count_text(status.pending, 'job waits', 'jobs wait')}; no job starts until it is resumed",
            "pacer resume",
        )
    if status.numbers_by_hand:
        listed = ", ".join(f"{path}={number_text(value)}" for path, value in status.numbers_by_hand.items())
        yield note(
            "numbers-by-hand",
            f"numbers have been set by hand: {listed}",
            "they hold in the place of what the code says, also after a restart",
            "pacer set shows both; pacer set --reset PATH goes back",
        )
    if status.hold_seconds > _LONG_HOLD:
        yield warning(
            "long-hold",
            f"it is held for {seconds_text(status.hold_seconds)} more: {clean(status.hold_reason)}",
            "no job starts before that: an upstream has named a time far ahead, or the backoff is that long",
            "look at the last failures (pacer jobs --state failed); maximum of the backoff policy bounds its part",
        )


def _quiet_for(facts: Facts) -> str:
    """For how long no job has started, as far as the last minutes tell; empty if one just has, or none ever."""
    minutes = list(facts.minutes)[::-1]
    quiet = next((number for number, minute in enumerate(minutes) if minute.started), 0)
    return f"{quiet} min" if quiet > 1 else ""


def _workers(facts: Facts, _: float) -> Iterator[Finding]:
    status, able = facts.status, facts.able
    if not able and (status.pending or status.running):
        idle = count_text(
            len(facts.idle), "process has the queue open and runs", "processes have the queue open and run"
        )
        yield error(
            "no-worker",
            f"no worker is there, and {count_text(status.pending, 'job waits', 'jobs wait')}",
            "nothing starts until there is one" + (f"; {idle} no jobs" if facts.idle else ""),
            "start one: pacer worker module:scheduler"
            + ("" if facts.idle else ", or an application that runs jobs itself"),
        )
    gone = [one for one in facts.workers if one.alive_seconds <= 0]
    if gone and not able:
        yield note(
            "worker-gone",
            f"{count_text(len(gone), 'worker')} vanished without saying so",
            "it was killed, or its machine is gone; its jobs come back when a worker starts",
            "start a worker, and look at what ended the last one",
        )


def _runnable(facts: Facts, _: float) -> Iterator[Finding]:
    """Of functions that nobody knows or runs, while somebody is there."""
    alive = {one.name for one in facts.workers if one.alive_seconds > 0}
    served, kept = ({task for one in those for task in one.tasks} for those in (facts.able, facts.idle))
    known = served | kept
    lost = {
        task: count
        for (task, home), count in facts.waiting.items()
        if (task not in known if home is None else home not in alive)
    }
    if lost and (facts.able or any(home is not None for _, home in facts.waiting)):
        listed = ", ".join(f"{clean(task)} ({count})" for task, count in sorted(lost.items()))
        yield error(
            "unknown-function",
            f"jobs wait whose function no worker knows: {listed}",
            "they become stale when a worker looks through the queue",
            "start a worker whose code has these functions, under these names; then: pacer retry --all --state stale",
        )
    unserved = {task: count for (task, _), count in facts.waiting.items() if task in kept - served}
    if unserved and facts.able:
        listed = ", ".join(f"{clean(task)} ({count})" for task, count in sorted(unserved.items()))
        yield error(
            "no-worker-for",
            f"jobs wait whose function no worker knows, but only processes that run no jobs: {listed}",
            "they wait until there is a worker for them; others are not kept from starting",
            "start a worker whose code has these functions: pacer worker module:scheduler",
        )


def _starts(facts: Facts, _: float) -> Iterator[Finding]:
    status = facts.status
    stuck = (
        status.pending
        and facts.able
        and not (status.paused or status.hold_seconds or status.running)
        and not facts.guest.uncertain
        and status.next_start_seconds is not None
        and status.next_start_seconds <= 0
        and facts.due_for > _STUCK_FOR
        and not any(minute.started for minute in list(facts.minutes)[-int(_STUCK_FOR // 60) :])
    )
    if stuck:
        yield error(
            "stuck",
            f"jobs could start, workers are there, and none has started for {seconds_text(_STUCK_FOR)}",
            "they are blocked, or cannot reach the store as they should",
            "look at their logs: a job that blocks the event loop is a common cause; then restart them",
        )


def _running(facts: Facts, _: float) -> Iterator[Finding]:
    late = [one for one in facts.running if facts.now - one.lease_until > _LATE_LEASE]
    if late:
        longest = max(facts.now - one.lease_until for one in late)
        yield warning(
            "lease-over",
            f"the leases of {count_text(len(late), 'running job')} ran out, one {seconds_text(longest)} ago: "
            f"{_named(late)}",
            "their workers are gone, and no other has taken them over",
            "start a worker: it runs them again, or makes them stale, as on_crash says",
        )
    usual = max(_LONG_RUN_AT_LEAST, _LONG_RUN * facts.status.average_duration)
    long = [one for one in facts.running if one not in late and facts.now - (one.started_at or facts.now) > usual]
    if long and not facts.guest.uncertain:
        yield warning(
            "long-run",
            f"{count_text(len(long), 'job runs', 'jobs run')} for more than {seconds_text(usual)}: {_named(long)}",
            f"the usual is {seconds_text(facts.status.average_duration)}; each takes the place of others",
            "look at what they do; a timeout for the task would end them",
        )


def _named(records: Sequence[JobRecord]) -> str:
    listed = ", ".join(clean(one.id) for one in records[:3])
    return f"{listed} and others" if len(records) > 3 else listed


def _left(facts: Facts, _: float) -> Iterator[Finding]:
    for state, why in (
        (JobState.STALE, "a crash interrupted them, or nobody could run them; they are not run again by themselves"),
        (JobState.DEAD, "they were running in too many crashes: maybe they cause them"),
    ):
        count = facts.tally.get(state, 0)
        if count:
            shown = f"{count} or more" if count >= MOST_COUNTED else str(count)
            yield warning(
                state.value,
                f"{shown} {'job is' if count == 1 else 'jobs are'} {state}",
                why,
                f"look: pacer jobs --state {state}; run them again: pacer retry --all --state {state}",
            )


def _full(facts: Facts, _: float) -> Iterator[Finding]:
    status = facts.status
    if "queue" in facts.guest.unknown or status.pending < _NEARLY_FULL * status.capacity:
        return
    yield warning(
        "full",
        f"{status.pending} jobs wait, and {status.capacity} may",
        "new jobs are refused when it is full",
        "let fewer in, start them faster, or raise it: pacer set queue.capacity=...",
    )


def _failing(facts: Facts, _: float) -> Iterator[Finding]:
    failed, succeeded = (sum(getattr(minute, name) for minute in facts.minutes) for name in ("failed", "succeeded"))
    if failed >= _MANY_FAILURES and failed > succeeded:
        yield warning(
            "failing",
            f"in the last {len(facts.minutes)} min {count_text(failed, 'job')} failed and {succeeded} succeeded",
            "something is wrong with the jobs or with their upstream",
            "look: pacer jobs --state failed",
        )


def _parts(facts: Facts, _: float) -> Iterator[Finding]:
    guest = facts.guest
    if guest.differs:
        listed = "; ".join(f"{name} is {theirs} there, {ours} in it" for name, (theirs, ours) in guest.differs.items())
        yield error(
            "parts-differ",
            f"the queue is run with other parts than --app has: {clean(listed)}",
            "a scheduler of this application does not start beside the others",
            "give both the same parts, or release the new ones with takeover=True (pacer worker --takeover)",
        )
    registry = guest.scheduler._registry.names
    lacking = sorted({task for task, home in facts.waiting if home is None} - registry) if registry else []
    if lacking:
        yield warning(
            "not-in-app",
            f"jobs wait whose functions --app does not have: {', '.join(map(clean, lacking))}",
            "a worker of this application cannot run them",
            "register them under these names, or let workers of the other code run them first",
        )
