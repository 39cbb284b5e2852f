"""The rules: what becomes of a job whose worker is gone."""

from __future__ import annotations

import pytest

from pacer import BoundedQueue, JobRecord, JobState, Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced


def make_rules(**parts):
    return Rules(BoundedQueue(3), Unpaced(), NoBackoff(), MovingAverage(), **parts)


@pytest.mark.parametrize(
    ("on_crash", "state", "recoveries", "runnable", "expected"),
    [
        ("rerun", JobState.RUNNING, 0, True, JobState.QUEUED),
        ("rerun", JobState.RUNNING, 2, True, JobState.QUEUED),
        ("rerun", JobState.RUNNING, 3, True, JobState.DEAD),
        ("rerun", JobState.RUNNING, 0, False, JobState.STALE),
        ("rerun", JobState.QUEUED, 9, True, JobState.QUEUED),
        ("rerun", JobState.QUEUED, 0, False, JobState.STALE),
        ("stale", JobState.RUNNING, 0, True, JobState.STALE),
        ("stale", JobState.QUEUED, 0, True, JobState.QUEUED),
        ("stale", JobState.QUEUED, 0, False, JobState.STALE),
    ],
)
def test_what_becomes_of_a_job_whose_worker_is_gone(on_crash, state, recoveries, runnable, expected):
    rules = make_rules(on_crash=on_crash, max_recoveries=3)
    job = JobRecord("j", "t", state=state, recoveries=recoveries, failures=1, throttles=2, ready_at=4.0, started_at=0.0)
    fate = rules.recover(job, runnable)
    assert (fate.state, fate.failures, fate.throttles, fate.ready_at) == (expected, 1, 2, 4)
    if expected is not state:
        assert fate.error


def test_the_defaults_are_the_documented_ones():
    rules = make_rules()
    assert (rules.concurrency, rules.max_throttles, rules.max_recoveries, rules.on_crash) == (1, 50, 3, "rerun")
