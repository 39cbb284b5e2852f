"""The observer that is on by default: one line an event through stdlib logging."""

from __future__ import annotations

import logging
from typing import Any

import attrs

from pacer import events

_LEVELS = {
    events.JobFailed: logging.ERROR,
    events.StoreFailed: logging.ERROR,
    events.JobRescheduled: logging.WARNING,
    events.JobThrottled: logging.WARNING,
    events.JobRecovered: logging.WARNING,
    events.JobDropped: logging.WARNING,
    events.OutcomeRefused: logging.WARNING,
    events.PartMisbehaved: logging.WARNING,
    events.QueueHeld: logging.WARNING,
    events.QueueRefused: logging.WARNING,
    events.ResultDropped: logging.WARNING,
    events.JobProgressed: logging.DEBUG,
}


@attrs.frozen
class LoggingObserver:
    """Logs each event as `JobStarted job_id=... task=... attempt=1`, with its fields in `extra` as `pacer_<field>`.

    Levels: ERROR for jobs that failed for good, WARNING for what holds or loses something, DEBUG for progress, INFO
    for the rest. An event carries no arguments and no results, so no line does; an error message is the job's own.

    Args:
        logger: Where to; the logger "pacer" by default.
    """

    logger: logging.Logger = attrs.field(factory=lambda: logging.getLogger("pacer"))

    def __call__(self, event: Any) -> None:
        """Log one event."""
        level = _LEVELS.get(type(event), logging.INFO)
        if not self.logger.isEnabledFor(level):
            return
        name, fields = type(event).__name__, attrs.asdict(event, recurse=False)
        text = " ".join(f"{field}={value}" for field, value in fields.items() if field != "at")
        extra = {f"pacer_{field}": value for field, value in fields.items()}
        self.logger.log(level, "%s %s", name, text, extra={"pacer_event": name, **extra})
