"""Jobs that come in without a call of this process: their enqueuers have committed, and a worker has taken them in."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pacer import events
from pacer.protocols import Addition

if TYPE_CHECKING:
    from pacer._worker import Worker


def announce_arrivals(worker: Worker) -> None:
    """Tell of the jobs that this worker has taken in, before it runs any of them."""
    arrived = getattr(worker.ledger, "arrived", None)
    for addition in () if arrived is None else arrived():
        _announce(worker, addition)


def _announce(worker: Worker, addition: Addition) -> None:
    now, records = addition.snapshot.now, [added.record for added in addition.jobs]
    for added in addition.jobs:
        worker.announce(events.JobEnqueued(now, added.record.id, added.record.task, added.position or 0))
    for batch_id, size in Counter(record.batch_id for record in records if record.batch_id is not None).items():
        worker.announce(events.BatchEnqueued(now, batch_id, size))
    for dropped in addition.dropped:
        worker.announce(events.JobDropped(now, dropped.id, dropped.task))
        worker.forget(dropped)
    if any(record.expires_at is not None for record in records):
        worker.expires()
