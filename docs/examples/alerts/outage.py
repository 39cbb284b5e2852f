import anyio

from pacer import Scheduler
from pacer.alerts import Alert, AlertMessage, HeldFor, OldestWaiting
from pacer.backoff import ExponentialBackoff
from pacer.pacing import MinInterval

upstream = {"up": True}


async def ask() -> None:
    if not upstream["up"]:
        raise ConnectionError("nobody there")


async def tell(message: AlertMessage) -> None:
    print("ALERT" if message.firing else "OVER ", message.text)


async def main() -> None:
    alerts = [
        Alert(HeldFor(120), tell),
        Alert(OldestWaiting(600), tell, pacing=MinInterval(1800), resolved=False),
    ]
    async with Scheduler(
        backoff=ExponentialBackoff(16, maximum=200), alerts=alerts
    ) as scheduler:
        await anyio.sleep(3)
        upstream["up"] = False
        for _ in range(20):
            await scheduler.enqueue(ask)
        await anyio.sleep(1200)
        upstream["up"] = True
        await anyio.sleep(600)


if __name__ == "__main__":
    anyio.run(main)
