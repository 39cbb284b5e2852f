"""Which of the jobs ahead a forecast knows: not a thousand of them where it looks at a few, and not none at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, QueueFullError
from pacer._forecast import forecast_start
from pacer.pacing import MinInterval, PerKey
from pacer.stores._lazily import Lazily
from pacer.stores._rows import FactsOnDemand, facts_of
from pacer.stores._sqlite_view import QueueView

ROWS = [(f"j{index}", "work", *[None] * 14, 0.0, 0.0, None) for index in range(20)]
NAMES = [row[0] for row in ROWS]
bounds = st.one_of(st.none(), st.integers(-25, 25))
slices = st.builds(slice, bounds, bounds, st.sampled_from([None, 1, 2, -1]))


def on_demand(read=None):
    reads = [] if read is None else read
    return FactsOnDemand(lambda count: [reads.append(count), ROWS[:count]][1], len(ROWS))


@given(st.lists(st.one_of(slices, st.integers(-20, 19)), max_size=5))
def test_what_is_asked_for_is_what_a_list_would_give(questions):
    known = on_demand()
    for question in questions:
        found = known[question]
        names = found.id if isinstance(question, int) else [one.id for one in found]
        assert names == NAMES[question]
    assert [one.id for one in known] == [one.id for one in Lazily(ROWS, facts_of)] == NAMES


@pytest.mark.parametrize("question", [20, -21])
def test_beyond_its_end_there_is_nothing(question):
    with pytest.raises(IndexError):
        on_demand()[question]


def test_no_more_is_read_than_somebody_looks_at():
    reads = []
    known = on_demand(reads)
    assert len(known) == 20
    assert not known[:0]
    assert reads == []
    assert len(known[:3]) == 3
    assert known[2].id == "j2"
    assert reads == [3]
    assert [one.id for one in known[4:7]] == ["j4", "j5", "j6"]
    assert reads == [3, 7]


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_a_refusal_reads_one_job_of_thousands(file, rules, make_job, monkeypatch):
    read, reads = QueueView._first_ready, []
    monkeypatch.setattr(QueueView, "_first_ready", lambda self, count: [reads.append(count), read(self, count)][1])
    async with file.open(rules=rules(queue=BoundedQueue(3000))) as ledger:
        await ledger.add([make_job(f"j{index}") for index in range(3000)])
        reads.clear()
        with pytest.raises(QueueFullError) as refused:
            await ledger.add([make_job("one more")])
        assert refused.value.retry_after > 0
        with pytest.raises(QueueFullError):
            await ledger.add([make_job(f"more {index}") for index in range(5)])
        assert sum(reads) <= 5


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_a_receipt_knows_jobs_that_another_worker_has_brought_meanwhile(file, rules, make_job):
    """Else they would be taken to be like the new one, and to stand before it in its lane."""
    rules = rules(pacing=PerKey(MinInterval(3600)))
    async with file.open("w1", rules=rules) as one, file.open("w2", rules=rules) as other:
        await other.add([make_job(f"j{index}", key=f"tenant {index}") for index in range(5)])
        new = make_job("new", key="mine")
        addition = await one.add([new])
        assert addition.jobs[0].position == 6
        assert forecast_start(rules, addition.snapshot, new, 6).seconds == 0
