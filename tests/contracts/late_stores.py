"""Sabotages of memory stores whose jobs do not expire as they should, by the check that has to catch them."""

from __future__ import annotations

import attrs

from pacer import JobState, QueueFullError
from pacer.protocols import Expired


def records(ledger, state):
    return [record for record in ledger._data.jobs.values() if record.state is state]


def expire_at(ledger, record, at):
    """Let a waiting job expire at another time."""
    waiting = ledger._data.waiting
    waiting.remove(record)
    waiting._expiries = [entry for entry in waiting._expiries if entry[2] is not record]
    record.expires_at = at
    waiting.add(record, ledger.now())


async def outstays_its_time(ledger, tasks, limit):
    for record in records(ledger, JobState.QUEUED):
        expire_at(ledger, record, None)
    return await ledger.claim(tasks, limit)


async def counts_the_expired(ledger):
    snapshot = await ledger.snapshot()
    return attrs.evolve(snapshot, waiting=snapshot.waiting + len(records(ledger, JobState.EXPIRED)))


async def keeps_the_slots_of_the_expired(ledger, jobs):
    await ledger.snapshot()
    taken = len(ledger._data.waiting) + len(records(ledger, JobState.EXPIRED))
    if taken + len(jobs) > ledger.rules.queue.capacity:
        raise QueueFullError(ledger.rules.queue.capacity, 1.0)
    return await ledger.add(jobs)


async def tells_again(ledger):
    return attrs.evolve(await ledger.expire(), jobs=records(ledger, JobState.EXPIRED))


async def lets_delays_run_out(ledger, jobs):
    for record in jobs:
        if record.expires is not None:
            record.expires = max(record.expires, record.delay + 1)
    return await ledger.add(jobs)


async def forgets_the_time_of_what_comes_back(ledger, held, outcome, retry):
    settled = await ledger.settle(held, outcome, retry)
    if settled.record.state is JobState.QUEUED:
        expire_at(ledger, held, None)
    return settled


async def waits_until_something_starts(ledger):
    return Expired([], None) if ledger._data.state.paused else await ledger.expire()


def counts_from_the_opening(ledger):
    for record in records(ledger, JobState.QUEUED):
        expire_at(ledger, record, ledger.now() + record.expires)


LATE = {
    "check_expired_jobs_never_start": {"claim": outstays_its_time},
    "check_expired_jobs_do_not_wait": {"snapshot": counts_the_expired},
    "check_expired_jobs_make_room": {"add": keeps_the_slots_of_the_expired},
    "check_expiry_is_told_once": {"expire": tells_again},
    "check_delayed_jobs_expire": {"add": lets_delays_run_out},
    "check_requeued_jobs_expire": {"settle": forgets_the_time_of_what_comes_back},
    "check_jobs_that_come_back_too_late_never_start": {"settle": forgets_the_time_of_what_comes_back},
    "check_expiry_of_a_paused_queue": {"expire": waits_until_something_starts},
    "check_expiry_across_a_restart": {"open": counts_from_the_opening},
}
