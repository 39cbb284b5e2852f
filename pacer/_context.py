"""What a job's function can know and say about itself."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token

import anyio.from_thread
import attrs

from pacer._job import JobRecord

_current: ContextVar[CurrentJob] = ContextVar("pacer_current_job")


@attrs.define(eq=False)
class CurrentJob:
    """The job that is being run, for its own function. Get it with `current_job()`."""

    _record: JobRecord
    _on_progress: Callable[[JobRecord], None]
    _thread: int = attrs.field(init=False, factory=threading.get_ident)
    _over: bool = attrs.field(init=False, default=False)

    @property
    def id(self) -> str:
        """The job's id."""
        return self._record.id

    @property
    def attempt(self) -> int:
        """The number of this run, from 1; runs that were throttled or interrupted by a crash do not count."""
        return self._record.attempt

    @property
    def key(self) -> str | None:
        """The job's lane."""
        return self._record.key

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the job is; may be called as often as you like, from threads too.

        Once the run has ended it does nothing: a thread that was given up says nothing of the next run.

        Args:
            fraction: Share done; clamped to 0 .. 1.
            message: For people: "page 3 of 7".

        Raises:
            ValueError: `fraction` is not a number.
        """
        if math.isnan(fraction):
            msg = "progress: fraction must be a number between 0 and 1, got nan"
            raise ValueError(msg)
        share = min(max(float(fraction), 0.0), 1.0)
        if threading.get_ident() == self._thread:
            self._note(share, message)
        else:
            anyio.from_thread.run_sync(self._note, share, message)

    def _note(self, share: float, message: str) -> None:
        if not self._over:
            self._record.progress, self._record.message = share, message
            self._on_progress(self._record)


def current_job() -> CurrentJob:
    """The job that the calling function is being run for.

    Raises:
        LookupError: Called outside a job's function.
    """
    try:
        return _current.get()
    except LookupError:
        msg = "current_job() works only inside a function that a pacer Scheduler is running"
        raise LookupError(msg) from None


def enter_job(job: CurrentJob) -> Token[CurrentJob]:
    """Make it the current job; `leave_job` takes the token."""
    return _current.set(job)


def leave_job(job: CurrentJob, token: Token[CurrentJob]) -> None:
    """Its run has ended."""
    _current.reset(token)
    job._over = True
