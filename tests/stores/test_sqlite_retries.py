"""A job's own retries are written with it, nested policies and all, and nothing else is ever built from a file."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import attrs
import pytest
from backoffs import ALL, SETTINGS, WRAPPERS, policies, wrap
from hypothesis import given
from hypothesis import strategies as st

import pacer.backoff
from pacer._errors import NotEncodableError
from pacer._job import Outcome, OutcomeKind, Retry
from pacer.backoff import (
    CircuitBreaker,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    LinearBackoff,
    NoBackoff,
    RetryBudget,
)
from pacer.stores._rows import decode_retry, encode_retry

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
FAILED = Outcome(OutcomeKind.FAILED, error="ValueError: no")
NESTED = HonourRetryAfter(
    GiveUpAfter(RetryBudget(EqualJitter(ExponentialBackoff(2, maximum=60)), share=0.1), attempts=9, seconds=3600)
)


@attrs.frozen
class MyBackoff:
    def delay(self, failure, random):
        return 1.0


class MyJitter(FullJitter):
    """A name of its own, though not a module of its own."""


# -- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.__name__)
def test_every_backoff_of_pacer_can_be_written_with_a_job(policy):
    backoff = wrap(policy, ConstantBackoff(7)) if policy in WRAPPERS else policy(**SETTINGS.get(policy, {}))
    assert decode_retry(encode_retry(Retry(3, backoff))) == Retry(3, backoff)


@given(policy=policies, attempts=st.integers(1, 100))
def test_whatever_is_wrapped_in_whatever_comes_back_as_it_was(policy, attempts):
    restored = decode_retry(encode_retry(Retry(attempts, policy)))
    assert restored == Retry(attempts, policy)
    assert repr(restored) == repr(Retry(attempts, policy))


def test_the_text_says_what_a_person_would_write():
    backoff = GiveUpAfter(FullJitter(LinearBackoff(5, maximum=60)), seconds=600)
    assert json.loads(encode_retry(Retry(3, backoff))) == {
        "attempts": 3,
        "backoff": {
            "GiveUpAfter": {
                "policy": {
                    "FullJitter": {
                        "policy": {"LinearBackoff": {"initial": 5.0, "step": 5.0, "maximum": 60.0, "after": 1}}
                    }
                },
                "attempts": None,
                "seconds": 600.0,
            }
        },
    }


async def test_a_jobs_own_retries_survive_a_restart(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1", retry=Retry(4, NESTED))])
    async with file.open("w2") as ledger:
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        assert job.retry == Retry(4, NESTED)


async def test_the_delay_before_and_the_first_failure_survive_a_restart(file, make_job):
    """So that decorrelated jitter walks on, and a limit in seconds counts on."""
    retry = Retry(9, GiveUpAfter(DecorrelatedJitter(10, maximum=1000), seconds=200))
    now, first, previous = file.clock(), None, 0.0
    async with file.open() as ledger:
        await ledger.add([make_job("j1", retry=retry)])
    for count in range(1, 10):
        async with file.open(f"w{count}") as ledger:
            (job,) = (await ledger.claim(TASKS, 1)).jobs
            assert (job.failures, job.retry_delay, job.first_failed_at) == (count - 1, previous, first)
            settled = (await ledger.settle(job, FAILED, job.retry)).record
        now = file.clock()
        first = now if first is None else first
        if settled.state.final:
            break
        delay = settled.ready_at - now
        assert 10 <= delay <= 3 * max(10, previous)
        assert settled.ready_at - first <= 200
        previous = settled.retry_delay
        assert previous == pytest.approx(delay)
        file.clock.now = settled.ready_at
    else:
        pytest.fail("nine delays of 10 s and more, and mostly much more, are beyond 200 s")


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "backoff",
    [MyBackoff(), FullJitter(MyBackoff()), GiveUpAfter(CircuitBreaker(MyBackoff()), attempts=3)],
    ids=["plain", "wrapped", "wrapped twice"],
)
async def test_other_backoffs_are_refused_with_a_way_out(file, make_job, backoff):
    async with file.open() as ledger:
        with pytest.raises(NotEncodableError, match=r"MyBackoff is not one of .*@scheduler\.task\(retry="):
            await ledger.add([make_job("j1", retry=Retry(3, backoff))])
        assert (await ledger.snapshot()).waiting == 0


def test_a_class_made_from_one_of_pacers_is_another_policy():
    with pytest.raises(NotEncodableError, match="MyJitter is not one of"):
        encode_retry(Retry(3, MyJitter(NoBackoff())))


def test_a_class_with_the_name_of_one_of_pacers_is_another_policy():
    impostor = attrs.make_class("NoBackoff", [], bases=(MyBackoff,), frozen=True)
    with pytest.raises(NotEncodableError, match="NoBackoff is not one of"):
        encode_retry(Retry(3, impostor()))


UNREADABLE = [
    "",
    "{}",
    "[]",
    "7",
    "null",
    '{"attempts": 3}',
    '{"attempts": 0, "backoff": {"NoBackoff": {}}}',
    '{"attempts": "3", "backoff": {"NoBackoff": {}}}',
    '{"attempts": 3, "backoff": null}',
    '{"attempts": 3, "backoff": 5}',
    '{"attempts": 3, "backoff": {}}',
    '{"attempts": 3, "backoff": [{"NoBackoff": {}}]}',
    '{"attempts": 3, "backoff": {"NoBackoff": []}}',
    '{"attempts": 3, "backoff": {"ConstantBackoff": 5}}',
    '{"attempts": 3, "backoff": {"ConstantBackoff": {"seconds": -5}}}',
    '{"attempts": 3, "backoff": {"FromTheFuture": {}}}',
    '{"attempts": 3, "backoff": {"NoBackoff": {"unknown": 1}}}',
    '{"attempts": 3, "backoff": {"NoBackoff": {}, "ConstantBackoff": {}}}',
    '{"attempts": 3, "backoff": {"FullJitter": {"policy": 5}}}',
    '{"attempts": 3, "backoff": {"FullJitter": {"policy": {"FromTheFuture": {}}}}}',
    '{"attempts": 3, "backoff": {"FullJitter": {"policy": {"os.system": {"command": "true"}}}}}',
    '{"attempts": 3, "backoff": {"GiveUpAfter": {"policy": {"NoBackoff": {}}}}}',
    '{"attempts": 3, "backoff": {"os.system": {"command": "true"}}}',
    '{"attempts": 3, "backoff": {"__builtins__": {}}}',
    '{"attempts": 3, "backoff": {"a_policy": {}}}',
    '{"attempts": 3, "backoff": ' + '{"FullJitter": {"policy": ' * 20_000 + "0" + "}}" * 20_000 + "}",
]


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:60])
def test_what_is_no_retry_is_none(text):
    assert decode_retry(text) is None


async def test_a_retry_that_cannot_be_read_is_none_and_the_job_runs(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job(f"j{number}", retry=Retry(3, NoBackoff())) for number in range(len(UNREADABLE))])
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        for number, text in enumerate(UNREADABLE):
            connection.execute("UPDATE pacer_jobs SET retry = ? WHERE id = ?", (text, f"j{number}"))
        connection.commit()
    async with file.open("w2") as ledger:
        jobs = (await ledger.claim(TASKS, 100)).jobs
        assert len(jobs) == len(UNREADABLE)
        assert {job.retry for job in jobs} == {None}


def test_names_that_are_not_public_are_not_built():
    """Only what `pacer.backoff` exports, whatever else its module holds."""
    hidden = set(vars(pacer.backoff)) - set(pacer.backoff.__all__)
    assert hidden
    for name in hidden:
        assert decode_retry(json.dumps({"attempts": 1, "backoff": {name: {}}})) is None
