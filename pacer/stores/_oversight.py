"""What people see of a queue in a database, how they steer it, and what they have done again.

Plain calls inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from pacer._errors import QueueFullError
from pacer._job import JobRecord, JobState
from pacer._minutes import Tally
from pacer._overview import LOOKED_AT, Listed, Listing, Mark, Rerun, WorkerSeen, without_data
from pacer._reruns import enqueued_again, not_rerunnable
from pacer.protocols import Addition
from pacer.stores._care import slots_in, tasks_in
from pacer.stores._queue import AT_ONCE, StoredQueue
from pacer.stores._rows import Row, decode
from pacer.stores._seams import Workers


@attrs.frozen(eq=False)
class Oversight:
    """The operations. As with `StoredQueue`, none of them commits, and each may be run again after a rollback."""

    _queue: StoredQueue
    _workers: Workers

    # -- see ---------------------------------------------------------------------------------------------------------

    def listed(self, listing: Listing) -> Listed:
        """Some of the jobs in one state; of many that do not fit, the others have to be asked for."""
        if listing.state is JobState.RUNNING:
            return self._running(listing)
        # One more than is asked for tells whether there are more.
        count = LOOKED_AT if listing.task is not None or listing.key is not None else listing.limit + 1
        table = self._queue.table
        if listing.state is JobState.QUEUED:
            rows = table.waiting(listing.after, count)
        else:
            rows = table.ended(listing.state, listing.after, count)
        return _page(listing, self._marked(rows), all_seen=len(rows) < count)

    def _running(self, listing: Listing) -> Listed:
        running = sorted(self._queue.view.running.values(), key=lambda one: (one.started_at or 0.0, one.seq))
        entries = [(Mark(0, one.started_at or 0.0, one.seq), one) for one in running]
        after = listing.after
        if after is not None:
            entries = [entry for entry in entries if (entry[0].at, entry[0].seq) > (after.at, after.seq)]
        page = _page(listing, entries, all_seen=True)
        return attrs.evolve(page, jobs=[(mark, without_data(record)) for mark, record in page.jobs])

    def _marked(self, rows: Iterable[Row]) -> list[tuple[Mark, JobRecord]]:
        now, entries = self._queue.view.now, []
        for record in map(decode, rows):
            if record.ended_at is not None:
                mark = Mark(0, record.ended_at, record.seq)
            elif record.ready_at > now:
                mark = Mark(1, record.ready_at, record.seq)
            else:
                mark = Mark(0, record.sort_key, record.seq)
            entries.append((mark, record))
        return entries

    def tally(self, most: int) -> Mapping[JobState, int]:
        """How many jobs that have ended are kept in each state."""
        return self._queue.table.tally(most)

    def history(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on."""
        state = self._queue.view.state
        known = {int(minute[0]): minute for minute in self._queue.table.minutes(since)}
        known.update({int(minute[0]): minute for minute in (*state.past, state.minute) if minute})
        return [known[number] for number in sorted(known) if number >= since]

    def workers(self) -> Sequence[WorkerSeen]:
        """Those who have the queue open."""
        now = self._queue.view.now
        said = self._workers.all()
        return [WorkerSeen(name, until - now, tasks_in(text), slots_in(text)) for name, until, text in said]

    # -- steer -------------------------------------------------------------------------------------------------------

    def set_paused(self, paused: bool) -> None:
        """Effective for all workers at once."""
        self._queue.view.state = attrs.evolve(self._queue.view.state, paused=paused)
        self._queue.view.steered()

    def end_hold(self) -> bool:
        """Effective for all workers at once."""
        view = self._queue.view
        was, view.state = view.state, self._queue.rules.end_hold(view.state, view.now)
        if view.state is was:
            return False
        view.steered()
        return True

    def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        """Effective for all workers at once."""
        self._queue.view.check_in_charge()
        self._queue.view.state = self._queue.rules.set_numbers(self._queue.view.state, numbers)
        self._queue.view.steered()

    def set_rate(self, rate: float | None) -> None:
        """Effective for all workers at once."""
        self._queue.view.check_in_charge()
        self._queue.view.state = self._queue.rules.set_rate(self._queue.view.state, self._queue.view.now, rate)
        self._queue.view.steered()

    # -- again -------------------------------------------------------------------------------------------------------

    def rerun(self, job_ids: Sequence[str]) -> Rerun:
        """Jobs that ended without success wait again, one after the other, as long as there is room."""
        queue = self._queue
        queue.view.check_in_charge()
        jobs, dropped, refused = list[JobRecord](), list[JobRecord](), dict[str, str]()
        for job_id in job_ids:
            record = queue.table.find(job_id)
            refusal = not_rerunnable(record, None if record is None else self._unique_taken(record))
            if refusal or record is None:
                refused[job_id] = refusal
                continue
            try:
                room = queue.rules.admit([record], queue.view.waiting, queue.view.passing_snapshot, queue.view.place_of)
            except QueueFullError as full:
                return Rerun(jobs, refused, dropped, full)
            # More are asked for where the queue has become smaller.
            room = min(room, 1 + max(0, AT_ONCE - len(dropped)))
            dropped += queue.drop(room) if room else []
            jobs.append(self._come_back(record))
        return Rerun(jobs, refused, dropped)

    def _unique_taken(self, record: JobRecord) -> str | None:
        """The job that has its unique key now."""
        if record.unique is None:
            return None
        other = self._queue.table.same(attrs.evolve(record, id=""))
        return None if other is None or other.id == record.id else other.id

    def _come_back(self, ended: JobRecord) -> JobRecord:
        view, record = self._queue.view, ended.copy()
        enqueued_again(record, view.now)
        self._queue.table.readmit(record, view.next_arrival())
        view.roster += 1  # maybe nobody can run it any more
        view.added(record, record.ready_at)
        return record

    def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        """Add these for this time of a periodic schedule, unless somebody else has."""
        queue = self._queue
        queue.view.check_in_charge()
        if queue.view.state.ticks.get(name) != was:
            return None
        addition = queue.add(records) if records else Addition([], [], queue.view.snapshot())
        state = queue.view.state
        queue.view.state = attrs.evolve(state, ticks={**state.ticks, name: at})
        queue.view.dirty = True
        return addition


def put_away(queue: StoredQueue) -> None:
    """What happened in minutes that are over goes into a place of its own, to be read by people only."""
    view = queue.view
    if view.state.past:
        for minute in view.state.past:
            queue.table.note_minute(minute)
        view.state = attrs.evolve(view.state, past=())


def _page(listing: Listing, entries: Sequence[tuple[Mark, JobRecord]], *, all_seen: bool) -> Listed:
    """As many as are asked for of those that fit; and where to go on if there are more, or may be."""
    fitting = [entry for entry in entries if listing.fits(entry[1])]
    page = fitting[: listing.limit]
    if len(fitting) > listing.limit:
        return Listed(page, page[-1][0])
    return Listed(page, None if all_seen or not entries else entries[-1][0])
