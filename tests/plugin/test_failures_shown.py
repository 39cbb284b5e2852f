"""What a failed test shows of the queue, in projects of users."""

from __future__ import annotations

APP = """
import anyio
from pacer import BoundedQueue, Scheduler
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

scheduler = Scheduler(queue=BoundedQueue(50), pacing=FixedPause(10), store=SqliteStore("jobs.db"))

@scheduler.task
async def analyse(text):
    await anyio.sleep(20)
    if text == "bad":
        raise LookupError("no such model")
"""


def test_a_failed_assertion_shows_what_the_queue_did_with_the_rehearsal_in_the_test(project):
    project.write(
        app=APP,
        test_it="""
import pytest
from app import analyse, scheduler
from pacer.testing import rehearse

@pytest.mark.virtual_time
async def test_it():
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "good")
            await scheduler.enqueue(analyse, "better")
            report = await rehearsal.drain()
            assert report.starts == [0, 10]
""",
    )
    ran = project.run()
    assert ran.counts == {"failed": 1}
    assert "assert [0.0, 30.0] == [0, 10]" in ran.out
    assert "What the queue 'default' did:" in ran.out
    assert "30 s  analyse('better') starts: attempt 1, waited 30 s" in ran.out
    assert not (project.path / "jobs.db").exists()


def test_and_with_the_rehearsal_in_a_fixture(project):
    project.write(
        app=APP,
        test_it="""
import pytest
from app import analyse, scheduler
from pacer.testing import rehearse

@pytest.fixture
async def rehearsal():
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            yield rehearsal

@pytest.mark.virtual_time
async def test_it(rehearsal):
    await scheduler.enqueue(analyse, "good")
    await rehearsal.drain()
    rehearsal.assert_enqueued(analyse, args=("better",))

@pytest.mark.virtual_time
async def test_that_passes(rehearsal):
    rehearsal.assert_not_enqueued()
""",
    )
    ran = project.run()
    assert ran.counts == {"failed": 1, "passed": 1}
    assert (
        "E       AssertionError: expected a job of app.analyse with args=('better',) to be enqueued; none was."
        in ran.out
    )
    assert "E         app.analyse('good')    <- the arguments are ('good')" in ran.out
    assert ran.out.count("What the queue 'default' did") == 1
    assert "20 s  analyse('good') succeeds after 20 s" in ran.out


def test_a_job_that_fails_is_shown_where_it_failed(project):
    project.write(
        app=APP,
        test_it="""
import pytest
from app import analyse, scheduler
from pacer.testing import rehearse

@pytest.mark.virtual_time("asyncio", "trio")
async def test_it():
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "bad")
            await rehearsal.drain()
""",
    )
    ran = project.run()
    assert ran.counts == {"failed": 2}
    assert '>           raise LookupError("no such model")\nE           LookupError: no such model' in ran.out
    assert "analyse('bad') failed, 20 s after the start" in ran.out
    assert "app.py:13: LookupError" in ran.out
