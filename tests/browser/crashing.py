"""A process that runs jobs and never ends them: `python -m browser.crashing FILE ID...`. It says when all run."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from browser.served import AT_ONCE, Tasks, make_scheduler

LEASE = 2.0
"""Seconds after which its jobs are taken for lost."""


async def main(db: Path, job_ids: list[str]) -> None:
    scheduler, tasks = make_scheduler(db, lease=LEASE, **AT_ONCE), Tasks()
    tasks.register(scheduler)
    async with scheduler:
        for job_id in job_ids:
            await scheduler.options(job_id=job_id).enqueue(tasks.summarise, job_id)
        while (await scheduler.status()).running < len(job_ids):
            await anyio.sleep(0.02)
        sys.stdout.write("all run\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2:])
