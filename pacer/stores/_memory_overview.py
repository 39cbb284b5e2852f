"""What people see of a queue in memory: its jobs page by page, and what happened when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from pacer._job import BatchProgress, JobRecord, JobState
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, Mark, WorkerSeen, without_data
from pacer.stores._memory_queue import QueueData

Entry = tuple[Mark, JobRecord]


def listed(data: QueueData, listing: Listing, now: float) -> Listed:
    """Some of the jobs in one state; as copies, so that they stay as they are."""
    fitting = (entry for entry in _in_order(data, listing, now) if listing.fits(entry[1]))
    found = [entry for entry, _ in zip(fitting, range(listing.limit + 1), strict=False)]
    page = [(mark, without_data(record)) for mark, record in found[: listing.limit]]
    return Listed(page, page[-1][0] if len(found) > listing.limit else None)


def _in_order(data: QueueData, listing: Listing, now: float) -> Iterable[Entry]:
    """From where the page before has ended."""
    after = listing.after
    if listing.state is JobState.QUEUED:
        entries = _waiting(data, now)
    elif listing.state is JobState.RUNNING:
        entries = _marked(sorted(data.running.values(), key=lambda one: (one.started_at or 0.0, one.seq)))
    else:
        ended = [record for record in data.finished.values() if record.state is listing.state]
        ended.sort(key=lambda one: (one.ended_at or 0.0, one.seq), reverse=True)
        entries = _marked(ended)
        return (
            entries if after is None else (one for one in entries if _place(one) < (after.shelf, after.at, after.seq))
        )
    return entries if after is None else (one for one in entries if _place(one) > (after.shelf, after.at, after.seq))


def _place(entry: Entry) -> tuple[int, float, int]:
    mark = entry[0]
    return mark.shelf, mark.at, mark.seq


def _marked(records: Iterable[JobRecord]) -> Iterator[Entry]:
    for record in records:
        at = record.started_at if record.ended_at is None else record.ended_at
        yield Mark(0, at or 0.0, record.seq), record


def _waiting(data: QueueData, now: float) -> Iterator[Entry]:
    """Ready jobs in order, and then delayed ones."""
    ready = ((Mark(0, one.sort_key, one.seq), one) for one in data.waiting.ready(now))
    return chain(ready, ((Mark(1, one.ready_at, one.seq), one) for one in data.waiting.delayed()))


def tally(data: QueueData, most: int) -> Mapping[JobState, int]:
    """How many ended jobs there are in each state."""
    counts = Counter(record.state for record in data.finished.values())
    return {state: min(count, most) for state, count in counts.items()}


def history(data: QueueData, since: int) -> Sequence[Tally]:
    """What happened in the minutes from this number on."""
    minutes = [*data.minutes, *data.state.past, *([data.state.minute] if data.state.minute else [])]
    return [minute for minute in minutes if minute[0] >= since]


def batch(data: QueueData, batch_id: str) -> BatchProgress | None:
    """How many jobs of the batch are in which state."""
    records = data.batches.get(batch_id)
    if records is None:
        return None
    counts = Counter(record.state for record in records)
    return BatchProgress(batch_id=batch_id, total=len(records), counts=counts)


def workers(data: QueueData, now: float) -> Sequence[WorkerSeen]:
    """Those who have the queue open."""
    return [WorkerSeen(name, one.until - now, one.tasks, one.slots) for name, one in data.workers.items()]
