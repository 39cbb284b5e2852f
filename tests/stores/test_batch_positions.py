"""Positions in the answer to a batch in which some jobs exist already."""

from __future__ import annotations

import pytest

from pacer import BoundedQueue, JobRecord, Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.stores import MemoryStore

pytestmark = pytest.mark.anyio


async def test_jobs_of_a_batch_come_in_one_after_the_other() -> None:
    rules = Rules(BoundedQueue(5), Unpaced(), NoBackoff(), MovingAverage())
    async with MemoryStore().open("q", rules, "worker") as ledger:
        await ledger.add([JobRecord("delayed", "work", delay=5.0)])
        batch = [JobRecord("delayed", "work"), JobRecord("new", "work"), JobRecord("delayed", "work")]
        addition = await ledger.add(batch)
        assert [(added.record.id, added.position, added.created) for added in addition.jobs] == [
            ("delayed", 1, False),
            ("new", 1, True),
            ("delayed", 2, False),
        ]


async def test_a_job_that_stands_for_another_takes_no_unique_key_from_those_behind_it() -> None:
    rules = Rules(BoundedQueue(5), Unpaced(), NoBackoff(), MovingAverage())
    async with MemoryStore().open("q", rules, "worker") as ledger:
        batch = [
            JobRecord("one", "work", unique="x"),
            JobRecord("one", "work", unique="y"),
            JobRecord("two", "work", unique="y"),
        ]
        addition = await ledger.add(batch)
        assert [added.created for added in addition.jobs] == [True, False, True]
