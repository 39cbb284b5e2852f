"""One alert's decisions: is it to be told, that it began or that it is over? Time and state come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from pacer._guard import Guard
from pacer._job import ONE_REQUEST, Outcome, OutcomeKind
from pacer._snapshot import Facts
from pacer.alerts._alert import Alert
from pacer.alerts._look import Finding, Look
from pacer.protocols import PacingPolicy

Tell = Literal["firing", "over"]

# A pacing policy that gives no usable answer lets one message out in this time.
FALLBACK_INTERVAL = 3600.0
_SENT = Outcome(OutcomeKind.SUCCEEDED)


@attrs.frozen
class Times:
    """What all processes know of one alert, as times on the store's clock that the queue keeps; None for never.

    Attributes:
        began: When people were told last that something lasting is wrong.
        over: When they were told last that it is over.
        happened: When they were told last of something that has no end.
        seen: When the last of the jobs ended that they have been told of.
    """

    began: float | None = None
    over: float | None = None
    happened: float | None = None
    seen: float | None = None

    @classmethod
    def of(cls, alert: str, ticks: Mapping[str, float]) -> Times:
        """Out of those that the queue keeps."""
        return cls(*(ticks.get(name_of(field.name, alert)) for field in attrs.fields(cls)))

    @property
    def told(self) -> float | None:
        """When they were told last that something is wrong."""
        return max((at for at in (self.began, self.happened) if at is not None), default=None)

    @property
    def open(self) -> bool:
        """Whether the last that they have heard is that something is wrong."""
        return self.began is not None and (self.over is None or self.over < self.began)


def name_of(time: str, alert: str) -> str:
    """Under which name the queue keeps this time of the alert."""
    return f"alert:{alert}:{time}"


@attrs.define(eq=False)
class Watch:
    """What one process knows of one alert.

    Attributes:
        sending: A message is on its way; the next one waits for that.
        times: What all processes know of it.
        trouble: The last finding that fired, until it is over.
    """

    alert: Alert
    pacing: PacingPolicy[Any]
    guard: Guard = attrs.field(factory=Guard)
    sending: bool = attrs.field(init=False, default=False)
    times: Times = attrs.field(init=False, factory=Times)
    trouble: Finding | None = attrs.field(init=False, default=None)
    _state: Any = attrs.field(init=False)
    _charged_at: float | None = attrs.field(init=False, default=None)
    _before: Finding | None = attrs.field(init=False, default=None)
    _calm_since: float | None = attrs.field(init=False, default=None)
    _missed: int = attrs.field(init=False, default=0)
    """How often it has happened, was over, and was not told."""
    _counted: int = attrs.field(init=False, default=0)
    """How much of the count of the trouble has been told."""

    def __attrs_post_init__(self) -> None:
        self._state = self.pacing.initial_state()

    # -- decisions -----------------------------------------------------------------------------------------------------

    def looked(self, look: Look, times: Times) -> Tell | None:
        """What is to be told now, after a look at the queue; None: nothing."""
        self._hear_of_others(look.now, times)
        found = self._check(look)
        if found is None:
            return self._when_calm(look.now)
        self._calm_since = None
        if not found.firing:
            return None
        self._take(found)
        due = not (found.lasts and self.times.open) or self.alert.remind
        return "firing" if due and not self.sending and self._may(look.now) else None

    def _hear_of_others(self, now: float, times: Times) -> None:
        if times.told is not None and times.told != self._charged_at:
            # At a start as long ago as it was; later now, because a pace does not go back in time.
            self._charge(min(times.told, now) if self._charged_at is None else now)
            self._charged_at = times.told
            self._forget_counts()
        self.times = times

    def _check(self, look: Look) -> Finding | None:
        condition, before = self.alert.when, self._before
        try:
            found = condition.check(look, before)
        except Exception as error:
            self.guard.note(condition, "check", error)
            return before
        if found is not None and not isinstance(found, Finding):
            self.guard.note(condition, "check", f"answered {found!r}")
            return before
        self._before = found
        return found

    def _take(self, found: Finding) -> None:
        trouble = self.trouble
        if trouble is None:
            self._counted = int(found.lasts and self.times.open)  # that it began has been told
        elif found.lasts and found.count < trouble.count:  # it was gone for a moment
            self._missed += trouble.count - self._counted
            self._counted = 0
        self.trouble = found

    def _when_calm(self, now: float) -> Tell | None:
        if self.trouble is not None and not self.trouble.lasts:
            self.trouble = None  # others have told of it
        if self.trouble is None and not self.times.open:
            return None
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since < self.alert.over_after:
            return None
        if self.times.open:
            return None if self.sending else "over"
        if self.trouble is not None:
            self._missed += self.trouble.count - self._counted
        self.trouble, self._counted = None, 0
        return None

    def _may(self, now: float) -> bool:
        try:
            when = self.guard.when(self.pacing, self.pacing.earliest(self._state, now, self._as_job(now), 0))
        except Exception as error:
            self.guard.no_when(self.pacing, error)
            when = None
        if when is None:
            return self._charged_at is None or now - self._charged_at >= FALLBACK_INTERVAL
        return when.at <= now

    # -- what came of them ---------------------------------------------------------------------------------------------

    def sent(self, tell: Tell, now: float) -> int:
        """This process tells, and no other does. Returns how often it has happened since the last message."""
        self._calm_since = None
        count = self._missed - self._counted + (0 if self.trouble is None else self.trouble.count)
        if tell == "over":
            self.trouble, self.times = None, attrs.evolve(self.times, over=now)
        else:
            self._charge(now)
            self._charged_at = now
        self._forget_counts()
        return max(0, count)

    def _forget_counts(self) -> None:
        self._missed = 0
        self._counted = self.trouble.count if self.trouble is not None and self.trouble.lasts else 0

    def _charge(self, now: float) -> None:
        pacing, job = self.pacing, self._as_job(now)
        job.started_at = now
        self._state = self.guard.state(pacing, "started", self._state, lambda: pacing.started(self._state, now, job, 0))
        self._state = self.guard.state(
            pacing, "ended", self._state, lambda: pacing.ended(self._state, now, job, _SENT, 0)
        )

    def _as_job(self, now: float) -> Facts:
        return Facts(self.alert.name, "alert", None, 0, ONE_REQUEST, now, now, None)
