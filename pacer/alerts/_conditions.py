"""What can be wrong with a queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from pacer._job import JobState
from pacer._validation import not_negative, positive, seconds
from pacer.alerts._look import ENDED_SHOWN, Finding, Look, duration


@attrs.frozen
class QueueFull:
    """The queue was full and has refused jobs: with `when_full="reject"`, or after waiting for room in vain.

    It knows of the refusals of this process only, because nobody else hears of them. It is over once there is room and
    none has been refused for a while. A queue that is full and refuses nobody is none of its business.
    """

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """Whether jobs have been refused since the last look, or there still is no room."""
        status = look.status
        if not look.refused and status.pending < status.capacity:
            return None
        refused = look.refused + (0 if before is None else before.count)
        retry_after = look.retry_after if before is None or look.refused else before.fields["retry_after_seconds"]
        return Finding(
            text=f"{_jobs(refused)} refused because the queue was full; {status.pending} of {status.capacity} wait now",
            since=look.now if before is None else before.since,
            firing=refused > 0,
            count=refused,
            fields={
                "pending": status.pending,
                "capacity": status.capacity,
                "refused": refused,
                "retry_after_seconds": retry_after,
            },
        )


@attrs.frozen
class HeldFor:
    """A backoff or the upstream has kept all jobs from starting for more than `seconds`, or is known to.

    Holds that follow each other are one, as long as no job has succeeded between them: an upstream that answers each
    job that is let through with the next refusal does not begin anew. A hold that is announced for longer than
    `seconds` is told at once. A queue that a person has paused is `PausedFor`; a pace that makes jobs wait is none.

    Args:
        seconds: How long that may last, above 0.
    """

    seconds: float = attrs.field(converter=seconds, validator=positive)

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """Whether the queue is held, or was and nobody has succeeded since."""
        status = look.status
        if before is not None and status.succeeded != before.memory:
            before = None
        if not status.hold_seconds and (before is None or not (status.pending or status.running)):
            return None
        since = look.now if before is None else before.since
        so_far = look.now - since
        why = status.hold_reason or "no job has succeeded since"
        return Finding(
            text=f"no job starts, for {duration(so_far)} now and {duration(status.hold_seconds)} more: {why}",
            since=since,
            firing=so_far + status.hold_seconds > self.seconds or (before is not None and before.firing),
            fields={
                "held_seconds": so_far,
                "remaining_seconds": status.hold_seconds,
                "reason": status.hold_reason,
                "failures_in_a_row": status.failures_in_a_row,
                "pending": status.pending,
            },
            memory=status.succeeded,
        )


@attrs.frozen
class PausedFor:
    """A person has paused the queue, and has not resumed it for more than `seconds`.

    Args:
        seconds: How long a pause may last, 0 or more, counted from when it is first seen.
    """

    seconds: float = attrs.field(converter=seconds, validator=not_negative)

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """Whether it is paused."""
        if not look.status.paused:
            return None
        since = look.now if before is None else before.since
        so_far, pending = look.now - since, look.status.pending
        return Finding(
            text=f"paused by hand for {duration(so_far)}; {_jobs(pending)} wait{'s' * (pending == 1)}",
            since=since,
            firing=so_far >= self.seconds,
            fields={"paused_seconds": so_far, "pending": pending},
        )


@attrs.frozen
class OldestWaiting:
    """A job has been ready to start for more than `seconds`, and has not started.

    That may be because too much came in, because the queue is held or paused, or because no worker is there. A job's
    own delay does not count, nor does that of a retry.

    Args:
        seconds: How long a job may wait, above 0.
    """

    seconds: float = attrs.field(converter=seconds, validator=positive)

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """Whether one has waited too long."""
        waited = look.status.ready_seconds
        if waited is None or waited <= self.seconds:
            return None
        status = look.status
        why = f": {status.waiting_for}" if status.waiting_for else ""
        return Finding(
            text=f"a job has waited for {duration(waited)}{why}; {_jobs(status.pending)} wait"
            f"{'s' * (status.pending == 1)}, {status.running} run",
            since=look.now - (waited - self.seconds) if before is None else before.since,
            fields={
                "oldest_waiting_seconds": waited,
                "waiting_for": status.waiting_for,
                "pending": status.pending,
                "running": status.running,
            },
        )


def _states(values: Sequence[JobState | str]) -> tuple[JobState, ...]:
    return tuple(dict.fromkeys(JobState(value) for value in values))


def _final(instance: JobEnded, attribute: attrs.Attribute[tuple[JobState, ...]], value: tuple[JobState, ...]) -> None:
    if not value or not all(state.final for state in value):
        final = ", ".join(state for state in JobState if state.final)
        msg = f"JobEnded: states must be one or more of {final}; got {', '.join(value) or 'none'}"
        raise ValueError(msg)


@attrs.frozen(init=False)
class JobEnded:
    """A job has ended in one of these states: `JobEnded("dead", "stale", "failed")`.

    It looks at the jobs that the store keeps, so it sees those of all processes, and those that died while none ran. A
    message speaks of all that have ended since the last one. It has no end, so nothing is told of that. What ended
    before the alert was there for the first time is not told.

    Args:
        *states: Final states, by name or as `JobState`.

    Raises:
        ValueError: None is given, or one is not final or unknown.
    """

    states: tuple[JobState, ...] = attrs.field(converter=_states, validator=_final)

    def __init__(self, *states: JobState | str) -> None:
        self.__attrs_init__(states)

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """Whether some have ended since the last message."""
        found = [one for one in look.ended if one.state in self.states]
        if not found:
            return None
        last, kinds = found[0], Counter(one.state for one in found)
        return Finding(
            text=f"job {last.id} ({last.task}) is {last.state}{f': {last.error}' if last.error else ''}"
            if len(found) == 1
            else f"{_counted(kinds)}; the last is {last.id} ({last.task}){f': {last.error}' if last.error else ''}",
            since=found[-1].ended_at,
            lasts=False,
            count=len(found),
            fields={
                "job_id": last.id,
                "task": last.task,
                "state": last.state.value,
                "error": last.error,
                **{f"{state.value}_jobs": number for state, number in kinds.items()},
            },
            memory=last.ended_at,
        )


def _counted(kinds: Counter[JobState]) -> str:
    return ", ".join(
        f"{number}{' or more' * (number >= ENDED_SHOWN)} job{'s' * (number > 1)} {state}"
        for state, number in kinds.items()
    )


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"
