"""What a queue is doing right now, in one word and in one phrase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from pacer import Status
from pacer._operate._text import clean, count_text, seconds_text
from pacer.protocols import WorkerSeen

_WHEN_HELD: Final = "it ends by itself; pacer end-hold: now, if you know that the upstream works again"


@attrs.frozen
class State:
    """What a queue is doing.

    Attributes:
        name: One of "paused", "held", "unattended", "waiting", "working" and "idle".
        text: The same for people, with the reason.
        seconds: How much longer it lasts; None if no time can be named.
        good: Whether it is as it should be.
        advice: What a person may do about it; empty if there is nothing to do.
    """

    name: str
    text: str
    seconds: float | None = None
    good: bool = True
    advice: str = ""


def able(workers: Iterable[WorkerSeen]) -> list[WorkerSeen]:
    """Those who are there, run jobs, and have functions to run."""
    return [one for one in workers if one.alive_seconds > 0 and one.slots and one.tasks]


def state_of(status: Status, workers: Sequence[WorkerSeen], *, certain: bool, due_in: float = 0.0) -> State:
    """The first of these that is so.

    Args:
        status: Of the queue.
        workers: Those who have it open.
        certain: Whether its parts are known. If not, nothing is said of what they decide.
        due_in: Seconds until the first of the waiting jobs is due; 0 if one is.
    """
    running = f"; {count_text(status.running, 'job')} still running" if status.running else ""
    if status.paused:
        return State("paused", f"paused by hand{running}", good=False, advice="pacer resume: jobs start again")
    if status.hold_seconds > 0:
        reason, left = clean(status.hold_reason) or "nobody says why", seconds_text(status.hold_seconds)
        text = f"held: {reason}, {left} left{running}"
        return State("held", text, status.hold_seconds, good=False, advice=_WHEN_HELD)
    return _waiting(status, workers, certain=certain, due_in=due_in) if status.pending else _empty(status)


def _waiting(status: Status, workers: Sequence[WorkerSeen], *, certain: bool, due_in: float) -> State:
    if not able(workers):
        waiting = count_text(status.pending, "job waits", "jobs wait")
        text = f"no worker: {waiting}, and nobody is there to run them"
        return State("unattended", text, good=False, advice="pacer worker module:scheduler, or start the application")
    if due_in > 0 and not status.running:
        waiting = count_text(status.pending, "job waits", "jobs wait")
        return State("waiting", f"waiting: {waiting}, and none is due before {seconds_text(due_in)} are over", due_in)
    left = status.next_start_seconds
    if certain and status.waiting_for and (left is not None or not status.running):
        for_how_long = "" if left is None else f", {seconds_text(left)} left"
        return State("waiting", f"waiting: {clean(status.waiting_for)}{for_how_long}", left)
    return _empty(status) if status.running else State("waiting", f"waiting: {count_text(status.pending, 'job')}")


def _empty(status: Status) -> State:
    if status.running:
        return State("working", f"working: {count_text(status.running, 'job runs', 'jobs run')}")
    return State("idle", "idle: no job waits and none runs")
