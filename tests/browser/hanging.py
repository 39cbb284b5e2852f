"""A worker that hangs: `python -m browser.hanging FILE LEASE ID...`. It says when all these jobs run, and does no more.

Its event loop stands still, and not its threads: one that was stopped in the middle of a write would lock the file.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import anyio

from browser.served import AT_ONCE, Tasks, make_scheduler


async def main(db: Path, lease: float, job_ids: list[str]) -> None:
    scheduler, tasks = make_scheduler(db, lease=lease, **AT_ONCE), Tasks()
    tasks.register(scheduler)
    async with scheduler:
        for job_id in job_ids:
            await scheduler.options(job_id=job_id).enqueue(tasks.summarise, job_id)
        while (await scheduler.status()).running < len(job_ids):
            await anyio.sleep(0.02)
        sys.stdout.write("all run\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
