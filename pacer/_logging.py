"""The observer that is on by default: one line an event through stdlib logging."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from typing import Any, get_args

import attrs

from pacer import events
from pacer.protocols import JobFacts

_LEVELS: Mapping[type[Any], int] = {
    events.AlertFailed: logging.ERROR,
    events.JobFailed: logging.ERROR,
    events.StoreFailed: logging.ERROR,
    events.JobRescheduled: logging.WARNING,
    events.JobThrottled: logging.WARNING,
    events.JobRecovered: logging.WARNING,
    events.JobDropped: logging.WARNING,
    events.JobExpired: logging.WARNING,
    events.OutcomeRefused: logging.WARNING,
    events.PartMisbehaved: logging.WARNING,
    events.QueueHeld: logging.WARNING,
    events.QueueRefused: logging.WARNING,
    events.QueueTakenOver: logging.WARNING,
    events.ResultDropped: logging.WARNING,
    events.StoreAtRisk: logging.WARNING,
    events.TicksMissed: logging.WARNING,
    events.JobProgressed: logging.DEBUG,
}

_UNSAID = ("at", "promised")
# Each run that raised is followed by one of these.
_FAILED = (events.JobFailed, events.JobRescheduled)
_ENDED = (*_FAILED, events.JobThrottled, events.JobCancelled, events.JobReleased, events.OutcomeRefused)


@attrs.frozen
class _Line:
    """How the events of one class are logged; worked out once, because it is done for every step of every job."""

    level: int
    text: str
    names: Sequence[str]
    values: Callable[[Any], Sequence[Any]]
    unsaid: int
    """So many of the fields come first, and are not part of the line."""

    @classmethod
    def of(cls, kind: type[attrs.AttrsInstance]) -> _Line:
        """`%.3f` for times, `%s` for the rest; `at` is left to the log's own time stamp, `promised` to programs."""
        fields = sorted(attrs.fields(kind), key=lambda one: one.name not in _UNSAID)
        shown = (
            f" {one.name}={'%.3f' if str(one.type) == 'float' else '%s'}" for one in fields if one.name not in _UNSAID
        )
        names = [one.name for one in fields]
        return cls(
            _LEVELS.get(kind, logging.INFO),
            "%s" + "".join(shown),
            [f"pacer_{name}" for name in ("event", *names)],
            attrgetter("__class__.__name__", *names),
            sum(name in _UNSAID for name in names),
        )


_LINES = {kind: _Line.of(kind) for kind in get_args(events.Event)}


@attrs.frozen
class LoggingObserver:
    """Logs each event as `JobStarted job_id=... task=... attempt=1`, with its fields in `extra` as `pacer_<field>`.

    Levels: ERROR for jobs that failed for good, WARNING for what holds or loses something, DEBUG for progress, INFO
    for the rest. An event carries no arguments and no results, so no line does; an error message is the job's own.

    Args:
        logger: Where to; the logger "pacer" by default.
        tracebacks: Whether failures come with the traceback of what the function raised, as `exc_info`; False by
            default. A formatter for text writes that as more lines, and the message of the error may have lines too:
            not where somebody else's text must not pass for a line of the log.
    """

    logger: logging.Logger = attrs.field(factory=lambda: logging.getLogger("pacer"))
    tracebacks: bool = attrs.field(default=False, kw_only=True)
    _raised: dict[str, Exception] = attrs.field(init=False, factory=dict, eq=False, repr=False)
    """By job, until its end is told."""

    def __call__(self, event: Any) -> None:
        """Log one event."""
        raised = self._raised.pop(event.job_id, None) if self._raised and isinstance(event, _ENDED) else None
        line = _LINES[type(event)]
        if self.logger.isEnabledFor(line.level):
            name, *values = line.values(event)
            extra = dict(zip(line.names, (name, *values), strict=True))
            shown = map(_printable, values[line.unsaid :])
            error = raised if isinstance(event, _FAILED) else None
            self.logger.log(line.level, line.text, name, *shown, extra=extra, exc_info=error)

    @property
    def running(self) -> Callable[[JobFacts, Mapping[str, str]], AbstractContextManager[None]] | None:
        """Keeps what a job's function raises for the line that tells of it; None without tracebacks."""
        return self._keeping if self.tracebacks else None

    @contextmanager
    def _keeping(self, job: JobFacts, _headers: Mapping[str, str]) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._raised[job.id] = error
            raise


def _printable(value: Any) -> Any:
    """Ids, reasons and messages may come from anywhere: no line break of theirs may look like a line of the log."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
