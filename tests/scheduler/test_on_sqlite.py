"""The scheduler on a SQLite file: the same timeline, and what only a durable store can show."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from test_reference_timeline import BY_HAND, MICROSECOND, Ran, Scripted, assert_same, oracle, play, reference, scripts

from pacer import (
    BoundedQueue,
    JobFailedError,
    JobRecord,
    JobStaleError,
    JobState,
    NotEncodableError,
    ResultUnavailableError,
    Retry,
    Scheduler,
    Throttled,
    UnsupportedBackendError,
    current_job,
    events,
)
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, Recorder, run_virtual


def virtual(path: Path, **settings: Any) -> HeldStore:
    """A store in virtual time; call it on the loop."""
    return HeldStore(SqliteStore(path, durability="process", clock=asyncio.get_running_loop().time, **settings))


async def play_on_sqlite(script: Sequence[Scripted]) -> tuple[list[Ran], float]:
    with tempfile.TemporaryDirectory() as directory:
        return await play(script, reference(virtual(Path(directory) / "jobs.db")))


@pytest.mark.parametrize("script", [script for script, _ in BY_HAND.values()], ids=BY_HAND.keys())
def test_on_sqlite_the_reference_parts_run_to_the_same_microsecond(script: list[Scripted]) -> None:
    assert_same(run_virtual(play_on_sqlite, script), oracle(script))


@settings(max_examples=10, deadline=None)
@given(script=scripts)
def test_on_sqlite_any_script_runs_to_the_same_microsecond(script: list[Scripted]) -> None:
    assert_same(run_virtual(play_on_sqlite, script), oracle(script))


def test_a_restart_in_the_middle_of_a_pause_goes_on_with_the_rest_of_it(tmp_path: Path) -> None:
    starts = []

    async def main() -> None:
        for _ in range(3):
            scheduler = Scheduler(pacing=FixedPause(10), store=virtual(tmp_path / "jobs.db"))

            @scheduler.task(name="work")
            async def work() -> None:
                starts.append(anyio.current_time())
                await anyio.sleep(1)

            async with scheduler:
                await scheduler.enqueue(work)
                await scheduler.drain()
            await anyio.sleep(3)

    run_virtual(main)
    assert starts == pytest.approx([0, 11, 22], abs=MICROSECOND)


def test_what_was_learned_and_a_hold_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async def once(error: bool) -> Scheduler:
            scheduler = Scheduler(backoff=ConstantBackoff(100), store=virtual(tmp_path / "jobs.db"))

            @scheduler.task(name="work")
            async def work(fails: bool) -> None:
                await anyio.sleep(5)
                if fails:
                    raise OSError

            async with scheduler:
                await scheduler.wait(await scheduler.enqueue(work, False))
                with pytest.raises(JobFailedError):
                    await scheduler.wait(await scheduler.enqueue(work, True))
            return scheduler

        scheduler = await once(True)
        async with scheduler:
            status = await scheduler.status()
            assert (status.succeeded, status.failed, status.failures_in_a_row) == (1, 1, 1)
            assert status.hold_seconds == pytest.approx(100, abs=MICROSECOND)
            assert status.average_duration == pytest.approx(60 * 0.8 + 1)

    run_virtual(main)


def test_an_argument_that_is_no_json_is_refused_by_name_and_nothing_is_enqueued(tmp_path: Path) -> None:
    async def main() -> None:
        scheduler = Scheduler(store=virtual(tmp_path / "jobs.db"))

        @scheduler.task
        async def work(document: object, *, options: object = None) -> None:
            pass

        async with scheduler:
            with pytest.raises(NotEncodableError, match=r"argument 1 of .*work is of type set"):
                await scheduler.enqueue(work, {1})
            with pytest.raises(NotEncodableError, match=r"argument 'options' of .*work\['when'\] is of type object"):
                await scheduler.enqueue(work, 1, options={"when": object()})
            assert (await scheduler.status()).pending == 0

    run_virtual(main)


def test_a_function_that_is_not_registered_may_be_given_anything(tmp_path: Path) -> None:
    async def work(thing: set[int]) -> int:
        return sum(thing)

    async def main() -> int:
        async with Scheduler(store=virtual(tmp_path / "jobs.db")) as scheduler:
            return await scheduler.wait(await scheduler.enqueue(work, {1, 2, 3}))

    assert run_virtual(main) == 6


def test_a_result_that_is_no_json_is_not_kept_but_the_job_has_succeeded(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = Recorder()
        scheduler = Scheduler(store=virtual(tmp_path / "jobs.db"), observers=(recorder,))

        @scheduler.task
        async def work() -> object:
            return object()

        async with scheduler:
            receipt = await scheduler.enqueue(work)
            with pytest.raises(ResultUnavailableError, match="is of type object"):
                await scheduler.wait(receipt)
            assert (await scheduler.job(receipt.job_id)).state is JobState.SUCCEEDED
        assert len(recorder.of(events.ResultDropped)) == 1

    run_virtual(main)


def test_the_life_of_a_job_on_disk(tmp_path: Path) -> None:
    """Retry, throttle, progress, cancellation: through the file and back."""

    async def main() -> None:
        scheduler = Scheduler(store=virtual(tmp_path / "jobs.db"))
        calls = []

        @scheduler.task
        async def work(name: str) -> dict[str, Any]:
            calls.append(name)
            current_job().progress(0.5, "half")
            await anyio.sleep(5)
            if calls.count("flaky") == 1:
                raise OSError
            if calls.count("busy") == 1:
                raise Throttled(7)
            return {"name": name, "attempt": current_job().attempt}

        async with scheduler:
            retry = Retry(attempts=2, backoff=ConstantBackoff(3))
            flaky = await scheduler.options(retry=retry).enqueue(work, "flaky")
            assert await scheduler.wait(flaky) == {"name": "flaky", "attempt": 2}
            busy = await scheduler.enqueue(work, "busy")
            assert await scheduler.wait(busy) == {"name": "busy", "attempt": 1}
            assert (await scheduler.job(busy.job_id)).throttles == 1
            running = await scheduler.enqueue(work, "running")
            await anyio.sleep(2)
            job = await scheduler.job(running.job_id)
            assert (job.state, job.progress, job.message) == (JobState.RUNNING, 0.5, "half")
            assert await scheduler.cancel(running.job_id)
            await scheduler.drain()
            assert (await scheduler.job(running.job_id)).state is JobState.CANCELLED

    run_virtual(main)


def test_a_worker_that_vanished_is_noticed_and_its_job_is_run_again(tmp_path: Path) -> None:
    """Another scheduler on the same file takes over once the lease has run out."""

    async def main() -> None:
        runs = []

        def make() -> tuple[Scheduler, Any]:
            store = virtual(tmp_path / "jobs.db", lease=30)
            scheduler = Scheduler(queue=BoundedQueue(5), store=store, observers=())

            @scheduler.task(name="work")
            async def work() -> str:
                runs.append(anyio.current_time())
                await anyio.sleep(10)
                return "done"

            return scheduler, work

        first, _ = make()
        second, _ = make()
        # The first worker is cut off from its store, as a stopped process would be.
        block = first.store.open("default", first._rules(), "crashed")
        crashed = await block.__aenter__()
        await crashed.add([JobRecord("job", "work", "[[],{}]"), JobRecord("local", "work", None, home="crashed")])
        await crashed.claim(frozenset({"work"}), 1)
        async with second:
            assert await second.wait("job") == "done"
            assert (await second.job("job")).recoveries == 1
            with pytest.raises(JobStaleError):
                await second.wait("local")
        assert 30 <= runs[0] <= 32
        await block.__aexit__(None, None, None)

    run_virtual(main)


def test_on_trio_the_store_says_at_once_that_it_needs_asyncio(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scheduler(store=SqliteStore(tmp_path / "jobs.db")):
            pass

    with pytest.raises(UnsupportedBackendError, match="asyncio"):
        run_virtual(main, backend="trio")
    assert not (tmp_path / "jobs.db").exists()
