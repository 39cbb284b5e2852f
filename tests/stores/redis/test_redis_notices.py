"""Workers hear of what others have written, and know when they may have missed something."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from backends import backend, came, commit, job
from servers import RedisServer, free_port

from pacer.stores._redis._keys import Keys
from pacer.stores._redis._notices import RedisNotices

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


class Listener:
    """What was heard, in order: notices, and whether they come."""

    def __init__(self, url: str, prefix: str) -> None:
        self.heard: list[str | bool] = []
        self._something = asyncio.Event()
        notices = RedisNotices(url, Keys(prefix, "default").channel, 5.0)
        self.task = asyncio.ensure_future(notices.run(self._hear, self._hear))

    def _hear(self, what: str | bool) -> None:
        self.heard.append(what)
        self._something.set()

    async def wait_for(self, count: int) -> list[str | bool]:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self._something.clear()
                await self._something.wait()
        return self.heard

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def test_a_notice_is_heard_by_those_who_listen_to_its_queue(redis, redis_prefix):
    listener, elsewhere = Listener(redis.url, redis_prefix), Listener(redis.url, f"{redis_prefix}-other")
    assert await listener.wait_for(1) == [True]
    assert await elsewhere.wait_for(1) == [True]
    worker = backend(redis.url, redis_prefix)
    for seq, notice in enumerate(["first \u2713\nline", None, "second"], 1):
        assert commit(worker, came(job(seq)), notice=notice)
    assert await listener.wait_for(3) == [True, "first \u2713\nline", "second"]
    assert elsewhere.heard == [True]
    worker.close()
    await listener.stop()
    await elsewhere.stop()
    assert listener.heard[-1] is False


async def test_whoever_loses_the_connection_says_so_and_connects_again():
    with RedisServer() as server:
        listener = Listener(server.url, "pacer")
        await listener.wait_for(1)
        await asyncio.to_thread(server.kill)
        assert await listener.wait_for(2) == [True, False]
        await asyncio.to_thread(server.start)
        assert await listener.wait_for(3) == [True, False, True]
        worker = await asyncio.to_thread(backend, server.url, "pacer")
        assert commit(worker, came(job(1)), notice="after it")
        assert await listener.wait_for(4) == [True, False, True, "after it"]
        worker.close()
        await listener.stop()


async def test_a_server_that_is_not_there_yet_is_waited_for():
    server = RedisServer()
    server.port = free_port()
    listener = Listener(server.url, "pacer")
    with server:
        assert await listener.wait_for(1) == [True]
        await listener.stop()


async def test_listening_ends_whenever_it_is_cancelled(redis, redis_prefix):
    """The driver loses a cancellation that comes while it connects."""
    for microseconds in range(0, 6000, 75):
        listener = Listener(redis.url, redis_prefix)
        await asyncio.sleep(microseconds / 1e6)
        async with asyncio.timeout(10):
            await listener.stop()
        assert listener.heard in ([], [True, False])
