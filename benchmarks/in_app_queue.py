"""The queue that web applications write for themselves, as the yardstick for what a job may cost.

One worker takes jobs from an `asyncio.Queue`, measures each, keeps a moving average of the durations, writes a log
line before and after, and pauses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

logger = logging.getLogger(__name__)


@attrs.define(eq=False)
class InAppQueue:
    """A bounded queue with one worker.

    Args:
        capacity: Jobs that may wait.
        pause: Seconds after every job.
    """

    capacity: int
    pause: float
    average: float = 60.0
    processed: int = 0
    failed: int = 0
    jobs: asyncio.Queue[tuple[str, Callable[..., Awaitable[Any]], tuple[Any, ...], dict[str, Any]]] = attrs.field(
        init=False
    )

    def __attrs_post_init__(self) -> None:
        self.jobs = asyncio.Queue(maxsize=self.capacity)

    async def enqueue(self, job_id: str, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> int:
        """Raises asyncio.QueueFull; returns the 1-based position."""
        self.jobs.put_nowait((job_id, function, args, kwargs))
        position = self.jobs.qsize()
        logger.info("job %s is number %d in the queue", job_id, position)
        return position

    async def work(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            job_id, function, args, kwargs = await self.jobs.get()
            began = time.time()
            try:
                logger.info("job %s starts, %d wait", job_id, self.jobs.qsize())
                await function(*args, **kwargs)
                took = time.time() - began
                self.processed += 1
                self.average = 0.8 * self.average + 0.2 * took
                failures = 0
                logger.info("job %s took %.1f s", job_id, took)
            except Exception:
                self.failed += 1
                failures += 1
                logger.exception("job %s failed", job_id)
                if failures > 1:
                    await asyncio.sleep(min(15 * 2 ** (failures - 2), 300))
            finally:
                self.jobs.task_done()
            await asyncio.sleep(self.pause)
