import hashlib

import anyio

from pacer import Scheduler, current_job

scheduler = Scheduler(concurrency=2)


# A plain function runs in a thread; at most `concurrency` of them run at once.
@scheduler.task
def fingerprint(text: str) -> str:
    current_job().progress(0.5)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


async def main() -> None:
    async with scheduler:
        texts = ["One fish", "Two fish"]
        receipts = [await scheduler.enqueue(fingerprint, text) for text in texts]
        print([await scheduler.wait(receipt) for receipt in receipts])


if __name__ == "__main__":
    anyio.run(main)
