"""Jobs full of secrets, and a process that is killed while it runs one: `python secretive.py <kind> <where> <name>`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import attrs

from pacer import BoundedQueue, Scheduler, Throttled
from pacer.backoff import ConstantBackoff
from pacer.protocols import Store
from pacer.stores.postgres import PostgresStore
from pacer.stores.redis import RedisStore
from pacer.stores.sqlite import SqliteStore

ARGUMENT = "an-argument-4711"
RESULT = "a-result-4711"
HEADER = "a-header-4711"


class Opaque:
    """What no codec can write, and what would tell a secret if it were shown."""

    def __repr__(self) -> str:
        return f"Opaque({ARGUMENT})"


class Giver:
    """An observer that gives something along with each job."""

    def headers(self) -> Mapping[str, str]:
        return {"x-secret": HEADER}

    def __call__(self, event: Any) -> None:
        """It is told, and tells nobody."""


async def work(*secrets: str, **more: str) -> str:
    return RESULT


async def fail(*secrets: str) -> str:
    raise OSError("no route")


async def hang(*secrets: str) -> str:
    sys.stdout.write("hanging\n")
    sys.stdout.flush()
    await anyio.sleep_forever()
    return RESULT


def opaque(*secrets: str) -> Any:
    return Opaque()


@attrs.define(eq=False)
class Throttling:
    """Is throttled once."""

    __name__ = "throttled"
    done: bool = False

    async def __call__(self, *secrets: str) -> str:
        if not self.done:
            self.done = True
            raise Throttled(0.01, reason="tokens")
        return RESULT


def made(store: Store | None, observers: Sequence[Any], **parts: Any) -> Scheduler:
    """A scheduler that knows all of these functions."""
    chosen = {"queue": BoundedQueue(20), "backoff": ConstantBackoff(0.01), **parts}
    scheduler = Scheduler(observers=observers, **chosen, **({} if store is None else {"store": store}))
    for function in (work, fail, hang, opaque):
        scheduler.task(name=function.__name__)(function)
    return scheduler


def store_of(kind: str, where: str, name: str, lease: float = 1.5) -> Store | None:
    """None for the store in memory."""
    match kind:
        case "sqlite":
            return SqliteStore(where, lease=lease)
        case "postgres":
            return PostgresStore(where, schema=name, lease=lease, timeout=lease / 3)
        case "redis":
            return RedisStore(where, prefix=name, lease=lease)
    return None


async def main(kind: str, where: str, name: str) -> None:
    async with made(store_of(kind, where, name), [Giver()]) as scheduler:
        await scheduler.options(job_id="crashed").enqueue(hang, ARGUMENT)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
