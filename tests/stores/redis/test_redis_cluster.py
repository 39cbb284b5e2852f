"""All keys of a queue have one hash tag, so that a cluster keeps them together, and the node that has them is found."""

from __future__ import annotations

import anyio
import pytest
from backends import back, backend, came, client, commit, ended, ids, job
from redis.crc import key_slot
from servers import PASSWORD, RedisServer, free_port
from waiting import until

from pacer import BoundedQueue, JobState, Scheduler
from pacer.stores._redis._keys import MINUTES, Keys
from pacer.stores.redis import RedisStore

NAMES = ["default", "mails {urgent}", "}{", "", "ä ö", "a:b/c%20", "\ud800", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["pacer", "{a}", "ü:"])
def test_all_keys_of_a_queue_are_in_one_slot(name, prefix):
    keys = Keys(prefix, name)
    more = (*keys.unsuccessful, keys.key(MINUTES), keys.waiting('["{x}",null]'), keys.waiting("}"))
    slots = {key_slot(key) for key in (*keys.fixed, *more)}
    assert len(slots) == 1


def test_different_queues_have_different_keys():
    assert len({Keys(prefix, name).fixed for name in [*NAMES, "%", "a%20b", "a b"] for prefix in ("a", "a:b")}) == 22


def test_queues_with_odd_names_are_kept_apart(redis, redis_prefix):
    for name in NAMES:
        made = backend(redis.url, redis_prefix, queue=name)
        assert commit(made, came(job(1, id=f"in {len(name)} {name[:1]!r}")))
        assert len(made.oldest(5)) == 1
        made.close()


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, each with half of the slots."""
    # The port on which nodes speak to each other is by itself one of those that the system gives to clients.
    ports = [str(free_port()) for _ in range(2)]
    mine, theirs = ({"cluster-enabled": "yes", "masterauth": PASSWORD, "cluster-port": port} for port in ports)
    with RedisServer(mine) as one, RedisServer(theirs) as other, client(one.url) as first:
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        with client(other.url) as second:
            second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
            first.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, ports[1])
            for node in (first, second):
                until(lambda node=node: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO"))
        yield one, other


def test_the_node_that_has_a_queue_is_found_by_any_other(cluster):
    one, other = cluster
    names = ["a", "b", "c", "d"]
    assert {key_slot(Keys("pacer", name).fixed[0]) < 8192 for name in names} == {True, False}
    for name in names:
        mine, theirs = backend(one.url, "pacer", queue=name), backend(other.url, "pacer", "b", name)
        jobs = [job(1, task="x"), job(2, task="y", batch_id="b")]
        assert commit(mine, *map(came, jobs), notice="hello", workers={"a": (9.0, "[]")})
        assert ids(theirs.oldest(5)) == ["j1", "j2"]
        assert commit(theirs, ended(jobs[0]), ended(jobs[1], state=JobState.DEAD), minutes=[(7, 0, 0, 0, 0, 0, 0, 0)])
        assert (theirs.tally(5), ids(mine.ended("dead", None, 5))) == ({"succeeded": 1, "dead": 1}, ["j2"])
        assert commit(mine, back(jobs[1], JobState.DEAD))
        assert ids(theirs.waiting(None, 5)) == ["j2"]
        assert commit(theirs, ended(jobs[1], state=JobState.STALE))
        assert len(mine.minutes(0)) == 1
        assert (mine.prune(10.0, 5), mine.kinds(), mine.workers()) == (2, [], [("a", 9.0, "[]")])
        mine.close()
        theirs.close()


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_the_queues_of_all_nodes_are_found_from_any(cluster, redis_prefix):
    names = [f"queue {number}" for number in range(8)]
    for name in names:
        backend(cluster[0].url, redis_prefix, queue=name).close()
    assert len({key_slot(Keys(redis_prefix, name).fixed[0]) < 8192 for name in names}) == 2
    for node in cluster:
        assert [found.name for found in await RedisStore(node.url, prefix=redis_prefix).queues()] == names


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_workers_hear_of_each_other_across_nodes(cluster, redis_prefix):
    started = anyio.Event()

    async def work() -> None:
        started.set()

    def scheduler(node: RedisServer, slots: int | None) -> Scheduler:
        store = RedisStore(node.url, prefix=redis_prefix, poll=3600)
        made = Scheduler(queue=BoundedQueue(5), store=store, worker_concurrency=slots)
        made.task(name="work")(work)
        return made

    one, other = cluster
    async with scheduler(one, 0) as producer, scheduler(other, None):
        with anyio.fail_after(30):
            await producer.wait(await producer.enqueue(work))
    assert started.is_set()
