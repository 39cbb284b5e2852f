"""What a job's function can know and say about itself."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from typing import Any

import anyio.from_thread
import anyio.lowlevel
import attrs

from pacer._job import JobRecord
from pacer._upstream._feedback import Feedback
from pacer._upstream._headers import read_headers
from pacer._upstream._reports import checked_cost, checked_limits
from pacer.protocols import Ledger, LimitReport

_current: ContextVar[CurrentJob] = ContextVar("pacer_current_job")


@attrs.define(eq=False)
class CurrentJob:
    """The job that is being run, for its own function. Get it with `current_job()`."""

    _record: JobRecord
    _on_progress: Callable[[JobRecord], None]
    _ledger: Ledger
    _loop: anyio.lowlevel.EventLoopToken
    _feedback: Feedback | None = attrs.field(init=False, default=None)
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
        self._on_loop(self._note, share, message)

    def report(
        self,
        *,
        headers: Any = None,
        limits: Iterable[LimitReport] = (),
        cost: Mapping[str, float] | None = None,
    ) -> None:
        """Say what the upstream said, and what the run really uses; the pacing policy hears of it when the run ends.

        May be called as often as you like, from threads too, whether the run then succeeds, fails or is throttled. Of
        each limit the latest report counts; costs add up. Once the run has ended it does nothing.

            answer = await client.chat.completions.create(...)
            current_job().report(cost={"requests": 1, "tokens": answer.usage.total_tokens})

        Headers need not be reported by hand: `pacer.feedback.report_response` is a hook for HTTP clients that does it.

        Args:
            headers: Of an answer: what `pacer.feedback.limits` and `retry_after` read. Odd ones are ignored. The wait
                that the latest ones ask for is that of a throttle or failure which names none itself.
            limits: What is known of limits otherwise.
            cost: What the run has used since the last report, by dimension.

        Raises:
            TypeError: `limits` has something else in it than LimitReport, or `cost` something else than numbers.
            ValueError: One of their numbers is negative, infinite or NaN.
        """
        fields = None if headers is None else read_headers(headers)
        self._on_loop(self._take, fields, checked_limits(limits, "report"), checked_cost(cost, "report"))

    def _on_loop(self, function: Callable[..., None], *args: Any) -> None:
        if self._over:  # and the event loop may be, too
            return
        if threading.get_ident() == self._thread:
            function(*args)
        else:
            # The token lets threads in that are not anyio's, such as those of asyncio.to_thread.
            anyio.from_thread.run_sync(function, *args, token=self._loop)

    def _take(
        self, headers: Mapping[str, tuple[str, ...]] | None, limits: tuple[LimitReport, ...], cost: dict[str, float]
    ) -> None:
        if self._over:
            return
        now = self._ledger.now()
        if self._feedback is None:
            self._feedback = Feedback(now if self._record.started_at is None else self._record.started_at)
        if headers is not None:
            self._feedback.hear(headers, now, self._ledger.utc(now).timestamp())
        self._feedback.note(limits, now)
        self._feedback.spend(cost)

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


def reporting_job() -> CurrentJob | None:
    """The current job, for hooks that are also called outside of jobs."""
    return _current.get(None)


def enter_job(job: CurrentJob) -> Token[CurrentJob]:
    """Make it the current job; `leave_job` takes the token."""
    return _current.set(job)


def leave_job(job: CurrentJob, token: Token[CurrentJob]) -> Feedback | None:
    """Its run has ended. Returns what was reported in it; None if nothing was."""
    _current.reset(token)
    job._over = True
    return job._feedback
