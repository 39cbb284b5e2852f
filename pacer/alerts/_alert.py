"""Who is told of what, and how often at most."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from pacer._job import JobState
from pacer._validation import not_negative, part, positive, seconds
from pacer.alerts._look import Condition
from pacer.pacing import MinInterval
from pacer.protocols import PacingPolicy


@attrs.frozen(kw_only=True)
class AlertMessage:
    """What the callable of an alert is told.

    Attributes:
        alert: The alert's name.
        queue: The queue's name.
        firing: True: something is wrong. False: it is over.
        text: What is wrong, or that it is over, for people, in one line.
        since: When it began.
        at: When the message was made.
        count: How often it has happened since the last message, as far as this process knows: jobs that were refused or
            have ended, or else how often it began. What pacing has kept from being told is in it.
        fields: What `text` says, for machines: numbers, text and None by name; empty when it is over. Seconds have
            names that end in `_seconds`.
    """

    alert: str
    queue: str
    firing: bool
    text: str
    since: datetime
    at: datetime
    count: int
    fields: Mapping[str, str | float | None]

    def to_json(self) -> dict[str, Any]:
        """As plain data for a webhook; times in ISO 8601."""
        data = attrs.asdict(self, recurse=False)
        return data | {"since": self.since.isoformat(), "at": self.at.isoformat(), "fields": dict(self.fields)}


_FINAL = frozenset(state for state in JobState if state.final)


def _callable(instance: Alert, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        msg = f"Alert: call must be a function of one argument, the message; got {value!r}"
        raise TypeError(msg)


@attrs.frozen(eq=False)
class Alert:
    """When something is wrong with the queue, call a function: `Alert(OldestWaiting(600), tell_slack)`.

    Trouble that lasts is one message when it is found and one when it is over. Give all processes of a queue the same
    alerts: whichever notices first sends the message, the others know that it has been sent, also after a restart. A
    process that is killed while it sends loses this message.

    Args:
        when: What is wrong: `QueueFull()`, `HeldFor(300)`, `PausedFor(3600)`, `OldestWaiting(600)`, `JobEnded("dead")`,
            or a `Condition` of your own.
        call: Called with an `AlertMessage`. A coroutine function is awaited; any other runs in a thread. If it raises
            or takes too long, it is called again every 30 seconds, 5 times in all.
        pacing: How often people are told at most, as one of pacer's pacing policies; `MinInterval(3600)` by default.
            `MinInterval(900) & OpeningHours("07:00", "22:00")` tells nobody at night. Trouble that is over is told
            whatever this says.
        name: By which processes and restarts know it again; what `when` looks like by default.
        resolved: Whether it is told that it is over; True by default.
        remind: Whether trouble that lasts is told again as often as `pacing` allows; by default (False) it is not.
        over_after: Seconds for which it must be gone to be over; 60 by default.
        timeout: Seconds that `call` may take; 10 by default.
        check_every: Seconds between two looks at the queue, 1 or more; 10 by default. Of several alerts the smallest
            counts.
    """

    when: Condition = attrs.field(validator=part(Condition, "OldestWaiting(600)"))
    call: Callable[[AlertMessage], object] = attrs.field(validator=_callable)
    pacing: PacingPolicy[Any] = attrs.field(
        factory=lambda: MinInterval(3600), validator=part(PacingPolicy, "MinInterval(3600)"), kw_only=True
    )
    name: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(150)], kw_only=True)
    resolved: bool = attrs.field(default=True, kw_only=True)
    remind: bool = attrs.field(default=False, kw_only=True)
    over_after: float = attrs.field(default=60.0, converter=seconds, validator=not_negative, kw_only=True)
    timeout: float = attrs.field(default=10.0, converter=seconds, validator=positive, kw_only=True)
    check_every: float = attrs.field(default=10.0, converter=seconds, kw_only=True)

    @name.default
    def _name_of_condition(self) -> str:
        condition: Any = self.when
        if not attrs.has(type(condition)):
            # Where it is in memory is another place in each process.
            shows: Any = type(condition).__repr__
            return (type(condition).__name__ if shows is object.__repr__ else repr(condition))[:150]
        values = attrs.astuple(condition, recurse=False)
        shown = ", ".join(f"{one:g}" if isinstance(one, float) else _listed(one) for one in values)
        return f"{type(condition).__name__}({shown})"[:150]

    @when.validator
    def _check_states(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        states = getattr(value, "states", ())
        if not isinstance(states, Collection) or not set(states) <= _FINAL:
            msg = f"Alert: the states that {value!r} wants to see must be final ones of JobState, got {states!r}"
            raise TypeError(msg)

    @check_every.validator
    def _check_check_every(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not value >= 1:
            msg = f"Alert: check_every must be 1 s or more, got {value!r}"
            raise ValueError(msg)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def named_once(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """The alerts of a scheduler. Raises ValueError if two have one name, TypeError for something else."""
    known: dict[str, Alert] = {}
    for alert in alerts:
        if not isinstance(alert, Alert):
            msg = f"Scheduler: alerts must be a list of Alert(...), got {alert!r} in it"
            raise TypeError(msg)
        if alert.name in known:
            msg = f"Scheduler: two alerts have the name {alert.name!r}; give one of them another with name="
            raise ValueError(msg)
        known[alert.name] = alert
    return tuple(known.values())
