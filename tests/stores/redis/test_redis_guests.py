"""Which queues a server holds; and those who look at one and steer it, and are not one of its workers."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest
from backends import backend, client
from servers import PASSWORD

from pacer import BoundedQueue, JobState, Scheduler
from pacer._errors import StoreError, StoreUnavailableError, UnknownQueueError, UnsupportedBackendError
from pacer.pacing import FixedPause, Unpaced
from pacer.stores.redis import RedisStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

NAMES = ["", "%", "a%20b", "default", "mails {urgent}", "x" * 200, "}{", "ä ö"]


def content(url: str, prefix: str) -> Mapping[bytes, bytes]:
    """All that is kept with this prefix."""
    with client(url) as server:
        return {key: server.dump(key) for key in server.keys(f"{prefix}*")}


@pytest.mark.parametrize("prefix", ["plain", "{a}*", "ü:[b]?"])
async def test_the_queues_of_a_prefix_are_found_whatever_their_names(redis, redis_prefix, prefix):
    store = RedisStore(redis.url, prefix=f"{redis_prefix}{prefix}")
    assert await store.queues() == []
    for name in NAMES:
        backend(redis.url, store.prefix, queue=name).close()
    backend(redis.url, f"{store.prefix}:more").close()
    backend(redis.url, store.prefix.replace("*", "X")).close() if "*" in prefix else None
    with client(redis.url) as server:
        stem = next(key for key in server.keys(f"{redis_prefix}*") if key.endswith(b":{default}:head")).decode()
        server.hset(stem.replace("{default}", "{of somebody else}"), "colour", "blue")
        server.hset(stem.replace("{default}", "{other}{b}"), "layout", "1")
        server.hset(stem.replace("{default}", "{no parts}"), "layout", "1")
    assert [found.name for found in await store.queues()] == NAMES


async def test_queues_are_found_among_many_keys_of_others_with_what_they_run_with(redis, redis_prefix):
    store = RedisStore(redis.url, prefix=redis_prefix)
    with client(redis.url) as server, server.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"{redis_prefix}-other:{number}", "x", px=60_000)
        pipe.execute()
    async with Scheduler(queue=BoundedQueue(5), pacing=FixedPause(10), store=store):
        (found,) = await store.queues()
    assert (found.name, found.terms["pacing"], found.terms["queue"]) == (
        "default",
        "FixedPause(seconds=10)",
        "BoundedQueue(capacity=5)",
    )
    before = content(redis.url, f"{redis_prefix}:")
    assert [found.name for found in await store.queues()] == ["default"], "nobody has to have it open"
    assert content(redis.url, f"{redis_prefix}:") == before


async def test_a_server_that_cannot_be_asked_for_queues_says_why(redis, redis_prefix):
    with pytest.raises(StoreError, match="refused the user name or password") as caught:
        await RedisStore(redis.url.replace(PASSWORD, "guessed")).queues()
    assert not isinstance(caught.value, StoreUnavailableError)
    with pytest.raises(StoreUnavailableError, match="Check that the server runs"):
        await RedisStore("redis://127.0.0.1:1/0").queues()


async def test_a_user_with_the_least_rights_can_ask_for_queues(redis, redis_prefix):
    with client(redis.url) as server:
        server.execute_command(
            *("ACL", "SETUSER", redis_prefix, "on", ">secret", f"~{redis_prefix}:*", f"&{redis_prefix}:*"),
            *("+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "+time", "-@dangerous"),
        )
    backend(redis.url, redis_prefix).close()
    store = RedisStore(redis.url.replace(f":{PASSWORD}@", f"{redis_prefix}:secret@"), prefix=redis_prefix)
    assert [found.name for found in await store.queues()] == ["default"]


def test_asking_for_queues_needs_asyncio(redis):
    with pytest.raises(UnsupportedBackendError, match="MemoryStore"):
        anyio.run(RedisStore(redis.url).queues, backend="trio")


async def test_a_guest_makes_nothing_and_leaves_nothing(redis, redis_prefix):
    store = RedisStore(redis.url, prefix=redis_prefix)

    def guest(name: str = "default") -> Scheduler:
        return Scheduler(name=name, queue=BoundedQueue(5), store=store, guest=True)

    with pytest.raises(UnknownQueueError, match="holds none"):
        async with guest():
            raise AssertionError("it came in")
    assert content(redis.url, redis_prefix) == {}
    async with Scheduler(queue=BoundedQueue(7), store=store):
        pass
    before = content(redis.url, redis_prefix)
    async with guest() as looking:
        assert (await looking.status()).pending == 0
        assert await looking.tally() == {}
        assert list((await looking.jobs(JobState.DEAD)).jobs) == []
        assert await looking.workers() == []
        assert len(await looking.history()) == 60
    with pytest.raises(UnknownQueueError, match="'nobody'; it holds 'default'"):
        async with guest("nobody"):
            raise AssertionError("it came in")
    assert content(redis.url, redis_prefix) == before


async def test_workers_hear_of_what_a_guest_does(redis, redis_prefix):
    """They would look again only in an hour."""
    store = RedisStore(redis.url, prefix=redis_prefix, poll=3600, lease=3600)
    ran, fails = anyio.Event(), [True]

    async def work() -> None:
        if fails:
            raise ValueError(fails.pop())
        ran.set()

    with anyio.fail_after(30):
        async with Scheduler(queue=BoundedQueue(5), pacing=Unpaced(), store=store) as scheduler:
            scheduler.task(name="work")(work)
            async with Scheduler(queue=BoundedQueue(5), pacing=Unpaced(), store=store, guest=True) as guest:
                await guest.pause()
                receipt = await scheduler.enqueue(work)
                while not (await scheduler.status()).paused:
                    await anyio.sleep(0.01)
                await guest.resume()
                while (await guest.job(receipt.job_id)).state is not JobState.FAILED:
                    await anyio.sleep(0.01)
                await guest.retry(receipt.job_id)
                await ran.wait()
                while (await guest.job(receipt.job_id)).state is not JobState.SUCCEEDED:
                    await anyio.sleep(0.01)
                assert [one.alive_seconds > 3000 for one in await guest.workers()] == [True], "the guest is none"
