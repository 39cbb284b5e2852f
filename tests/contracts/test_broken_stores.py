"""Each check of the store's contract catches a store that breaks its promise: one sabotage for every check."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import pytest
from late_stores import LATE
from other_parts import OTHER_PARTS
from overview_stores import OVERVIEW

from pacer import JobState, LeaseLostError, QueueFullError, Rules
from pacer.protocols import Beat, Settled
from pacer.queues import Fifo
from pacer.stores import MemoryStore
from pacer.testing import STORE_CHECKS, check_store, run_virtual


@attrs.define(eq=False)
class BrokenStore:
    """A memory store with some methods of its ledgers, or its rules, replaced."""

    store: MemoryStore
    sabotage: dict

    @property
    def codec(self):
        return self.store.codec

    async def queues(self):
        return self.sabotage.get("queues", lambda found: found)(await self.store.queues())

    @asynccontextmanager
    async def open(self, queue, rules, worker, *, takeover=False, guest=False):
        change_rules = self.sabotage.get("rules", lambda rules: rules)
        queue = self.sabotage.get("queue", lambda queue: queue)(queue)
        guest = self.sabotage.get("guest", lambda guest: guest)(guest)
        takeover = self.sabotage.get("takeover", lambda takeover: takeover)(takeover)
        async with self.store.open(queue, change_rules(rules), worker, takeover=takeover, guest=guest) as ledger:
            self.sabotage.get("open", lambda ledger: None)(ledger)
            yield BrokenLedger(ledger, self.sabotage)


@attrs.define(eq=False)
class BrokenLedger:
    _ledger: object
    _sabotage: dict

    def __getattr__(self, name):
        if name in self._sabotage:
            return lambda *args: self._sabotage[name](self._ledger, *args)
        return getattr(self._ledger, name)


def all_records(ledger):
    return list(ledger._data.jobs.values())


# -- how to break things ---------------------------------------------------------------------------------------------


async def counts_from_zero(ledger, records):
    addition = await ledger.add(records)
    return attrs.evolve(addition, jobs=[attrs.evolve(one, position=(one.position or 1) - 1) for one in addition.jobs])


async def admits_one_by_one(ledger, records):
    for record in records:
        addition = await ledger.add([record])
    return addition


def with_more_room(rules):
    return attrs.evolve(rules, queue=attrs.evolve(rules.queue, capacity=rules.queue.capacity + 5))


async def counts_running_jobs(ledger, records):
    snapshot = await ledger.snapshot()
    if snapshot.waiting + len(snapshot.running) >= ledger.rules.queue.capacity:
        raise QueueFullError(ledger.rules.queue.capacity, 1.0)
    return await ledger.add(records)


async def takes_duplicates(ledger, records):
    for record in records:
        record.id = f"{record.id}-{ledger._data.seq}" if record.id in ledger._data.jobs else record.id
    return await ledger.add(records)


async def forgets_unique_keys(ledger, records):
    for record in records:
        record.unique = None
    return await ledger.add(records)


def first_come_first_served(rules):
    return attrs.evolve(rules, queue=attrs.evolve(rules.queue, order=Fifo()))


async def forgets_delays(ledger, records):
    for record in records:
        record.delay = 0.0
    return await ledger.add(records)


async def drops_silently(ledger, records):
    return attrs.evolve(await ledger.add(records), dropped=[])


async def loses_cost(ledger, tasks, limit):
    claimed = await ledger.claim(tasks, limit)
    for job in claimed.jobs:
        job.cost = {}
    return claimed


async def claims_everything(ledger, tasks, limit):
    return await ledger.claim(tasks | {record.task for record in all_records(ledger)}, limit)


def with_own_concurrency(rules):
    return attrs.evolve(rules, concurrency=1000)


async def ignores_the_limit(ledger, tasks, limit):
    return await ledger.claim(tasks, 100)


async def has_a_pace_of_its_own(ledger, tasks, limit):
    if ledger._worker == "b":
        ledger._data.state = attrs.evolve(ledger._data.state, pacing=None)
    return await ledger.claim(tasks, limit)


class NoLanes(Rules):
    def next_start(self, state, now, job, running):
        return attrs.evolve(super().next_start(state, now, job, running), lane=False)


def without_lanes(rules):
    return NoLanes(**{field.name: getattr(rules, field.name) for field in attrs.fields(Rules) if field.init})


async def hands_out_twice(ledger, tasks, limit):
    claimed = await ledger.claim(tasks, limit)
    return attrs.evolve(claimed, jobs=list(ledger._data.running.values()))


async def loses_results(ledger, held, outcome, retry):
    return await ledger.settle(held, attrs.evolve(outcome, result=None), retry)


async def settles_twice(ledger, held, outcome, retry):
    try:
        return await ledger.settle(held, outcome, retry)
    except LeaseLostError:
        return Settled(held, 0.0, ledger._data.state)


async def loses_errors(ledger, held, outcome, retry):
    return await ledger.settle(held, attrs.evolve(outcome, error=""), retry)


async def never_retries(ledger, held, outcome, retry):
    return await ledger.settle(held, outcome, None)


async def throttled_to_the_back(ledger, held, outcome, retry):
    settled = await ledger.settle(held, outcome, retry)
    if settled.record.state is JobState.QUEUED:
        ledger._data.waiting.remove(held)
        ledger._data.seq += 1
        held.seq = ledger._data.seq
        ledger._data.waiting.add(held, ledger.now())
    return settled


async def sees_nothing_running(ledger):
    return attrs.evolve(await ledger.snapshot(), running=())


async def beats_in_vain(ledger, held):
    return Beat(frozenset(), frozenset())


async def recoveries_cost_attempts(ledger, tasks):
    changed = await ledger.recover(tasks)
    for record in changed:
        record.failures += 1
    return changed


async def settles_for_anybody(ledger, held, outcome, retry):
    record = ledger._data.running.get(held.id, held)
    record.worker = ledger._worker
    return await ledger.settle(record, outcome, retry)


async def never_gives_up(ledger, tasks):
    changed = await ledger.recover(tasks)
    for record in changed:
        record.recoveries = 0
    return changed


def with_reruns(rules):
    return attrs.evolve(rules, on_crash="rerun")


async def knows_every_function(ledger, tasks):
    return await ledger.recover(tasks | {record.task for record in all_records(ledger)})


async def makes_itself_at_home(ledger, tasks):
    for record in all_records(ledger):
        record.home = None if record.home is None else "b"
    return await ledger.recover(tasks)


async def releases_cost_attempts(ledger, held):
    await ledger.release(held)
    for record in held:
        record.failures += 1


async def forgets_cancellations(ledger, held):
    for record in held:
        record.cancel_requested = False
    await ledger.release(held)


def forgets_what_it_learned(ledger):
    ledger._data.state = ledger.rules.initial()


async def learns_nonsense(ledger, held, outcome, retry):
    duration = ledger.now() - held.started_at
    settled = await ledger.settle(held, outcome, retry)
    ledger._data.state = attrs.evolve(ledger._data.state, estimator={**ledger._data.state.estimator, "mean": duration})
    return settled


async def asks_waiting_jobs(ledger, job_id):
    record = await ledger.job(job_id)
    record.cancel_requested = True
    return record.state


async def tells_nobody(ledger, held):
    return attrs.evolve(await ledger.beat(held), cancel=frozenset())


async def cancels_the_past(ledger, job_id):
    found = await ledger.cancel(job_id)
    if found is not None:
        record = await ledger.job(job_id)
        record.state = JobState.CANCELLED
    return found


async def holds_on(ledger):
    return ledger._data.state.hold_until > ledger.now()


async def goes_on(ledger, paused):
    pass


async def keeps_its_rate(ledger, rate):
    pass


async def counts_unfinished_jobs_only(ledger, batch_id):
    found = await ledger.batch(batch_id)
    if found is None:
        return None
    return attrs.evolve(found, counts={state: n for state, n in found.counts.items() if not state.final})


async def keeps_progress_to_itself(ledger, held):
    for record in held:
        record.progress = None
    return await ledger.beat(held)


def forgets_the_order(ledger):
    ledger._data.state = attrs.evolve(ledger._data.state, order=ledger.rules.initial().order)


SABOTAGE = {
    "check_order_has_one_state": {"open": forgets_the_order},
    **LATE,
    **OTHER_PARTS,
    **OVERVIEW,
    "check_clock": {"now": lambda ledger: 0.0},
    "check_positions": {"add": counts_from_zero},
    "check_all_or_nothing": {"add": admits_one_by_one},
    "check_capacity_is_shared": {"rules": with_more_room},
    "check_capacity_counts_waiting_jobs": {"add": counts_running_jobs},
    "check_same_id_is_one_job": {"add": takes_duplicates},
    "check_unique_key_is_one_job": {"add": forgets_unique_keys},
    "check_order": {"rules": first_come_first_served},
    "check_delay": {"add": forgets_delays},
    "check_drop_oldest": {"add": drops_silently},
    "check_jobs_are_kept_as_given": {"claim": loses_cost},
    "check_queues_are_separate": {"queue": lambda name: "the only one"},
    "check_claims_only_what_it_can_run": {"claim": claims_everything},
    "check_concurrency_is_shared": {"rules": with_own_concurrency},
    "check_limit_of_a_claim": {"claim": ignores_the_limit},
    "check_one_pace": {"claim": has_a_pace_of_its_own},
    "check_one_pause": {"claim": has_a_pace_of_its_own},
    "check_blocked_keys_block_nobody_else": {"rules": without_lanes},
    "check_each_job_is_claimed_once": {"claim": hands_out_twice},
    "check_success": {"settle": loses_results},
    "check_settled_once": {"settle": settles_twice},
    "check_failure": {"settle": loses_errors},
    "check_retry": {"settle": never_retries},
    "check_throttle": {"settle": throttled_to_the_back},
    "check_snapshot": {"snapshot": sees_nothing_running},
    "check_lease_is_kept": {"beat": beats_in_vain},
    "check_crash_is_rerun": {"recover": recoveries_cost_attempts},
    "check_fencing": {"settle": settles_for_anybody},
    "check_crash_loop_ends": {"recover": never_gives_up},
    "check_crash_is_stale": {"rules": with_reruns},
    "check_unknown_functions_are_stale": {"recover": knows_every_function},
    "check_homeless_jobs_are_stale": {"recover": makes_itself_at_home},
    "check_release": {"release": releases_cost_attempts},
    "check_release_of_a_cancelled_job": {"release": forgets_cancellations},
    "check_restart": {"open": forgets_what_it_learned},
    "check_clock_goes_back": {"settle": learns_nonsense},
    "check_cancel_waiting": {"cancel": asks_waiting_jobs},
    "check_cancel_running": {"beat": tells_nobody},
    "check_cancel_too_late": {"cancel": cancels_the_past},
    "check_pause": {"set_paused": goes_on},
    "check_hold_ends": {"end_hold": holds_on},
    "check_rate": {"set_rate": keeps_its_rate},
    "check_batches": {"batch": counts_unfinished_jobs_only},
    "check_progress": {"beat": keeps_progress_to_itself},
}


def broken(sabotage):
    return lambda clock, lease: BrokenStore(MemoryStore(clock=clock, lease=lease), sabotage)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
def test_the_check_catches_a_store_that_breaks_its_promise(check):
    with pytest.raises(AssertionError):
        run_virtual(check, broken(SABOTAGE[check.__name__]))


def test_no_sabotage_no_error():
    """The harness itself breaks nothing."""
    run_virtual(check_store, broken({}))


def test_the_whole_suite_says_which_check_failed():
    with pytest.raises(AssertionError) as caught:
        run_virtual(check_store, broken(SABOTAGE["check_retry"]))
    assert "check_retry: A failed job with attempts left" in caught.value.__notes__[0]


def test_two_stores_that_share_a_file_by_mistake_are_caught():
    """The factory's promise: a new store each time."""
    shared = []

    def factory(clock, lease):
        shared.append(MemoryStore(clock=clock, lease=lease))
        return shared[0]

    with pytest.raises(AssertionError):
        run_virtual(check_store, factory)
