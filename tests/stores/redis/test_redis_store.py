"""The recipe: what it takes, and what it does not show."""

from __future__ import annotations

import anyio
import pytest
from servers import PASSWORD

from pacer import BoundedQueue, NotEncodableError, Scheduler
from pacer._errors import ResultUnavailableError, UnsupportedBackendError
from pacer.pacing import Unpaced
from pacer.stores.redis import RedisStore


def test_a_store_is_shown_without_its_password():
    store = RedisStore(f"rediss://user:{PASSWORD}@host:6380/2", prefix="mine")
    assert PASSWORD not in repr(store)
    assert "host:6380" in repr(store)
    assert store.url.count(PASSWORD) == 1


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (f"http://u:{PASSWORD}@host", ValueError),
        (f"redis://u:{PASSWORD}@host:port/0", ValueError),
        (f"redis://u:{PASSWORD}@host/0?socket_timeout=soon", ValueError),
        *((f"redis://u:{PASSWORD}{sign}{PASSWORD}@host:6379/0", ValueError) for sign in "/?#"),
        (f"redis://u:12/{PASSWORD}@host:6379/0", ValueError),
        (f"redis://:12?{PASSWORD}@host", ValueError),
        (b"redis://host", TypeError),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once_without_its_password(url, error):
    with pytest.raises(error, match="RedisStore: url") as caught:
        RedisStore(url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://u:a@b@host:6379/0", "unix:///run/me@home.sock", "redis://host?client_name=a@b"]
)
def test_an_at_where_it_may_be_is_no_part_of_a_password(url):
    assert RedisStore(url).url == url


@pytest.mark.parametrize(
    "settings", [{"prefix": ""}, {"lease": 0}, {"poll": 0}, {"max_payload": 0}, {"connect_timeout": 0}, {"ahead": -1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RedisStore("redis://localhost", **settings)


def test_redis_needs_asyncio(redis, redis_prefix):
    async def main() -> None:
        async with Scheduler(queue=BoundedQueue(5), store=RedisStore(redis.url, prefix=redis_prefix)):
            raise AssertionError("it was opened")

    with pytest.raises(UnsupportedBackendError, match="MemoryStore"):
        anyio.run(main, backend="trio")


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_options_of_the_driver_in_the_url_do_no_harm(redis, redis_prefix):
    options = "protocol=3&decode_responses=True&retry_on_timeout=True&health_check_interval=1&socket_timeout=3"
    store = RedisStore(f"{redis.url}?{options}", prefix=redis_prefix)
    done = anyio.Event()

    async def work() -> None:
        done.set()

    async with Scheduler(queue=BoundedQueue(5), store=store) as other:
        other.task(name="work")(work)
        async with Scheduler(queue=BoundedQueue(5), store=store, worker_concurrency=0) as scheduler:
            scheduler.task(name="work")(work)
            await scheduler.wait(await scheduler.enqueue(work))
    assert done.is_set()


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_large_arguments_and_results_are_refused(redis, redis_prefix):
    scheduler = Scheduler(
        queue=BoundedQueue(50), pacing=Unpaced(), store=RedisStore(redis.url, prefix=redis_prefix, max_payload=1000)
    )

    @scheduler.task
    async def times(text: str, number: int) -> str:
        return text * number

    async with scheduler:
        with pytest.raises(NotEncodableError, match="1000"):
            await scheduler.enqueue(times, "x" * 1000, 1)
        with pytest.raises(NotEncodableError, match="1000"):
            await scheduler.enqueue(times, "\u2713" * 400, 1)
        fine = await scheduler.enqueue(times, "\u2713" * 100, 2)
        assert await scheduler.wait(fine) == "\u2713" * 200
        large = await scheduler.enqueue(times, "x" * 100, 10)
        with pytest.raises(ResultUnavailableError):
            await scheduler.wait(large)
