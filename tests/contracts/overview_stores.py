"""Stores that show people something else than there is, or forget what these have changed."""

from __future__ import annotations

import attrs

from pacer import JobState


async def lists_by_number(ledger, listing):
    listed = await ledger.listed(listing)
    return attrs.evolve(listed, jobs=sorted(listed.jobs, key=lambda one: one[1].seq))


async def lists_the_first_page_again(ledger, listing):
    return await ledger.listed(attrs.evolve(listing, after=None))


async def reruns_with_old_failures(ledger, job_ids):
    before = {job_id: (await ledger.job(job_id)).failures for job_id in job_ids}
    rerun = await ledger.rerun(job_ids)
    for job in rerun.jobs:
        job.failures = before[job.id]
    return rerun


async def reruns_failures_only(ledger, job_ids):
    jobs = [await ledger.job(job_id) for job_id in job_ids]
    return await ledger.rerun([job.id for job in jobs if job.state is JobState.FAILED])


async def reruns_in_silence(ledger, job_ids):
    return attrs.evolve(await ledger.rerun(job_ids), refused={})


async def reruns_beyond_capacity(ledger, job_ids):
    rerun = await ledger.rerun(job_ids)
    if rerun.full is None:
        return rerun
    await ledger.set_numbers({"queue.capacity": 1000})
    return await ledger.rerun([one for one in job_ids if one not in {job.id for job in rerun.jobs}])


async def keeps_its_pace(ledger, numbers):
    await ledger.set_numbers(numbers)
    kept = {path: value for path, value in ledger._data.state.numbers.items() if not path.startswith("pacing.")}
    ledger._data.state = attrs.evolve(ledger._data.state, numbers=kept)


async def counts_no_waits(ledger, since):
    return [(*minute[:2], 0.0, 0.0, *minute[4:]) for minute in await ledger.history(since)]


async def ticks_for_all(ledger, name, was, at, records):
    return await ledger.tick(name, ledger._data.state.ticks.get(name), at, records)


async def sees_only_itself(ledger):
    return [one for one in await ledger.workers() if one.name == ledger._worker]


async def loses_headers(ledger, tasks, limit):
    claimed = await ledger.claim(tasks, limit)
    for job in claimed.jobs:
        job.headers = None
    return claimed


OVERVIEW = {
    "check_waiting_jobs_are_listed": {"listed": lists_by_number},
    "check_ended_jobs_are_listed": {"listed": lists_the_first_page_again},
    "check_rerun": {"rerun": reruns_with_old_failures},
    "check_rerun_of_every_end": {"rerun": reruns_failures_only},
    "check_rerun_refused": {"rerun": reruns_in_silence},
    "check_rerun_of_many": {"rerun": reruns_beyond_capacity},
    "check_numbers": {"set_numbers": keeps_its_pace},
    "check_minutes": {"history": counts_no_waits},
    "check_tick": {"tick": ticks_for_all},
    "check_workers_are_seen": {"workers": sees_only_itself},
    "check_guests": {"guest": lambda guest: False},
    "check_headers": {"claim": loses_headers},
}
