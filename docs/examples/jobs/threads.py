import hashlib

import anyio

from pacer import Scheduler, current_job

scheduler = Scheduler(concurrency=2)


@scheduler.task
def fingerprint(text: str) -> str:  # a plain function: it runs in a thread, at most `concurrency` at once
    current_job().progress(0.5)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


async def main() -> None:
    async with scheduler:
        receipts = [await scheduler.enqueue(fingerprint, text) for text in ("One fish", "Two fish")]
        print([await scheduler.wait(receipt) for receipt in receipts])


if __name__ == "__main__":
    anyio.run(main)
