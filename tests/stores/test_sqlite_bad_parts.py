"""Parts whose states or results a file cannot hold: the queue goes on without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import frozen

from pacer import Outcome, ResultUnavailableError, Scheduler, events
from pacer.codecs import JsonCodec
from pacer.pacing import Unpaced
from pacer.protocols import JobFacts
from pacer.stores.sqlite import SqliteStore
from pacer.testing import Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@frozen
class Remembering(Unpaced):
    """Remembers the jobs it has started in a set, which is not plain data."""

    def initial_state(self) -> Any:
        return []

    def started(self, state: Any, now: float, job: JobFacts, running: int) -> Any:
        return {*state, job.id}

    def ended(self, state: Any, now: float, job: JobFacts, outcome: Outcome, running: int) -> Any:
        return state


class Surrogates(JsonCodec):
    def encode_result(self, task: str, result: Any) -> str:
        return "\ud800"


async def work() -> str:
    return "done"


async def test_a_state_that_is_no_plain_data_is_reported_and_left_out(tmp_path: Path) -> None:
    recorder = Recorder()
    async with Scheduler(
        pacing=Remembering(), store=SqliteStore(tmp_path / "jobs.db"), observers=(recorder,)
    ) as scheduler:
        with anyio.fail_after(20):
            assert await scheduler.wait(await scheduler.enqueue(work)) == "done"
    faults = recorder.of(events.PartMisbehaved)
    assert ("Remembering", "state") in {(fault.part, fault.question) for fault in faults}
    assert not recorder.of(events.StoreFailed)


async def test_a_result_that_is_no_unicode_is_dropped(tmp_path: Path) -> None:
    recorder = Recorder()
    store = SqliteStore(tmp_path / "jobs.db", codec=Surrogates())
    async with Scheduler(store=store, observers=(recorder,)) as scheduler:
        scheduler.task(work)
        with anyio.fail_after(20), pytest.raises(ResultUnavailableError):
            await scheduler.wait(await scheduler.enqueue(work))
    assert not recorder.of(events.StoreFailed)
