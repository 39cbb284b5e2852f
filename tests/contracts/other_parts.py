"""Sabotages of memory stores whose workers come with other parts, by the check that has to catch them."""

from __future__ import annotations

import contextlib
import itertools

import attrs

from pacer import JobState


def with_a_setting_of_its_own():
    numbers = itertools.count(10)
    return lambda rules: attrs.evolve(rules, max_recoveries=next(numbers))


@contextlib.contextmanager
def in_charge(ledger):
    """As if nobody had taken the queue over."""
    parts, ledger._data.parts = ledger._data.parts, ledger._tenure.text
    try:
        yield
    finally:
        ledger._data.parts = parts


async def goes_on_claiming(ledger, tasks, limit):
    with in_charge(ledger):
        return await ledger.claim(tasks, limit)


async def teaches_others(ledger, held, outcome, retry):
    with in_charge(ledger):
        return await ledger.settle(held, outcome, retry)


async def leaves_its_jobs_to_wait(ledger, tasks):
    changed = await ledger.recover(tasks)
    if ledger._retired:
        for record in changed:
            record.state = JobState.QUEUED
            ledger._data.waiting.add(record, ledger.now())
        return []
    return changed


OTHER_PARTS = {
    "check_equal_parts_share": {"rules": with_a_setting_of_its_own()},
    "check_other_parts_are_refused": {"takeover": lambda takeover: True},
    "check_takeover": {"claim": goes_on_claiming},
    "check_takeover_and_learned_state": {"settle": teaches_others},
    "check_takeover_of_jobs_at_home": {"recover": leaves_its_jobs_to_wait},
}
