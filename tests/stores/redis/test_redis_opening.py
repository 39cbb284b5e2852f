"""Whether a server can be used is seen before anything is written, and said with what to do about it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from backends import backend, came, client, commit, ended, ids, job, started
from servers import PASSWORD, RedisServer, free_port

from pacer._errors import (
    CorruptStoreError,
    NewerSchemaError,
    NotOurStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreUnavailableError,
)
from pacer.stores._redis._backend import RedisBackend
from pacer.stores._redis._keys import Keys
from pacer.stores._redis._layout import check_version
from pacer.stores._redis._wire import Wire
from pacer.stores._server._backend import Place

SAFE = {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_what_is_not_ours_is_left_alone(redis, redis_prefix):
    with client(redis.url) as server:
        server.set(f"{redis_prefix}:{{default}}:head", "mine")
        with pytest.raises(NotOurStoreError, match="Give another prefix"):
            backend(redis.url, redis_prefix)
        server.delete(f"{redis_prefix}:{{default}}:head")
        server.hset(f"{redis_prefix}:{{default}}:head", "colour", "blue")
        with pytest.raises(NotOurStoreError, match="Give another prefix"):
            backend(redis.url, redis_prefix)
        assert server.hgetall(f"{redis_prefix}:{{default}}:head") == {b"colour": b"blue"}


def test_a_key_of_the_wrong_kind_is_found_before_it_does_harm(redis, redis_prefix, worker):
    with client(redis.url) as server:
        server.set(f"{redis_prefix}:{{default}}:ready", "mine")
    with pytest.raises(CorruptStoreError, match=r"other kinds \(ready\)"):
        backend(redis.url, redis_prefix)


def test_a_newer_layout_is_left_alone(redis, redis_prefix, worker):
    with client(redis.url) as server:
        server.hset(f"{redis_prefix}:{{default}}:head", "layout", "3")
        with pytest.raises(NewerSchemaError, match="layout 3, this one knows 2"):
            backend(redis.url, redis_prefix)
        server.hset(f"{redis_prefix}:{{default}}:head", "layout", "two")
        with pytest.raises(CorruptStoreError, match="no version"):
            backend(redis.url, redis_prefix)


def test_missing_jobs_are_reported(redis, redis_prefix, worker):
    assert commit(worker, came(job(1)))
    with client(redis.url) as server:
        server.delete(f"{redis_prefix}:{{default}}:jobs")
    with pytest.raises(CorruptStoreError, match="jobs of this queue are missing"):
        worker.load(None, lock=False)


def test_a_server_that_is_not_there_is_named_without_its_password():
    url = f"redis://user:{PASSWORD}@127.0.0.1:{free_port()}/3?password={PASSWORD}"
    with pytest.raises(StoreUnavailableError, match=r"redis://127\.0\.0\.1:\d+/3: connecting failed") as caught:
        backend(url, "pacer")
    assert PASSWORD not in str(caught.value)


def test_a_wrong_password_is_no_outage(redis):
    with pytest.raises(StoreError, match="refused the user name or password") as caught:
        backend(redis.url.replace(PASSWORD, "guessed"), "pacer")
    assert not isinstance(caught.value, StoreUnavailableError)
    with pytest.raises(StoreError, match="asks for a password"):
        backend(redis.url.replace(f":{PASSWORD}@", ""), "pacer")


def test_a_user_with_the_least_rights_can_work(redis, redis_prefix):
    with client(redis.url) as server:
        server.execute_command(
            *("ACL", "SETUSER", redis_prefix, "on", ">secret", f"~{redis_prefix}:*", f"&{redis_prefix}:*"),
            *("+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "+time", "-@dangerous"),
        )
    made = backend(redis.url.replace(f":{PASSWORD}@", f"{redis_prefix}:secret@"), redis_prefix)
    assert commit(made, came(job(1)), notice="hello")
    assert [risk for risk in made.risks if "does not let this user ask" in risk] == list(made.risks) != []
    made.close()
    with pytest.raises(StoreError, match="may not do this"):
        backend(redis.url.replace(f":{PASSWORD}@", f"{redis_prefix}:secret@"), "elsewhere")


def test_a_server_that_is_too_old_is_refused():
    for version in ("", "6.2.0", "7.0.15", "10.0", "unstable"):
        check_version(version, "redis://host")
    for version in ("2.8.19", "5.0.7", "6.0.16"):
        with pytest.raises(StoreError, match=rf"redis://host is Redis {version}, and pacer needs 6\.2"):
            check_version(version, "redis://host")


def test_a_server_as_it_should_be_has_no_risks(worker):
    assert worker.risks == ()


@pytest.mark.parametrize(
    ("settings", "risks"),
    [
        ({"appendonly": "no", "maxmemory-policy": "allkeys-lru"}, ["maxmemory-policy allkeys-lru", "appendonly no"]),
        ({"appendfsync": "no"}, ["appendfsync no"]),
    ],
)
def test_what_may_be_lost_is_said(settings, risks):
    with RedisServer(settings) as server:
        made = backend(server.url, "pacer")
        assert len(made.risks) == len(risks)
        for said, expected in zip(made.risks, risks, strict=True):
            assert expected in said
            assert PASSWORD not in said
        made.close()


def test_a_replica_is_refused(redis):
    settings = {"replicaof": f"127.0.0.1 {redis.port}", "masterauth": PASSWORD}
    with RedisServer(settings) as replica, pytest.raises(ReadOnlyStoreError, match="Give the URL of the primary"):
        backend(replica.url, "pacer")


def test_a_primary_that_becomes_a_replica_is_an_outage(redis):
    with RedisServer() as server:
        made = backend(server.url, "pacer")
        with client(server.url) as admin:
            admin.replicaof("127.0.0.1", redis.port)
        with pytest.raises(StoreUnavailableError, match="is a replica"):
            commit(made, came(job(1)))
        with client(server.url) as admin:
            admin.replicaof("NO", "ONE")
        assert commit(made, came(job(1)))
        made.close()


def test_a_server_whose_memory_is_full_takes_no_new_jobs_but_lets_running_ones_end():
    with RedisServer({"maxmemory": "16mb"}) as server:
        made = backend(server.url, "pacer")
        first = job(1)
        assert commit(made, came(first))
        assert commit(made, started(first))
        with client(server.url) as admin:
            admin.config_set("maxmemory", 1024 * 100)
        with pytest.raises(StoreUnavailableError, match="memory is full"):
            commit(made, came(job(2)))
        assert made.find(["j2"], []) == []
        assert commit(made, ended(first, Place.RUNNING, result="1"))
        assert made.prune(10.0, 10) == 1
        assert made.load(None, lock=True).head.version == 3
        made.close()


def test_a_commit_that_finds_no_memory_does_not_keep_others_waiting():
    with RedisServer({"maxmemory": "16mb"}) as server, client(server.url) as admin:
        made = backend(server.url, "pacer")
        made.load(None, lock=True)
        admin.config_set("maxmemory", 1024 * 100)
        with pytest.raises(StoreUnavailableError, match="memory is full"):
            commit(made, came(job(1)))
        made.unlock()
        assert not admin.exists("pacer:{default}:lock")
        made.close()


def test_a_connection_that_was_cut_while_it_was_idle_is_made_anew(redis, worker, monkeypatch):
    assert commit(worker, came(job(1)))
    with client(redis.url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    assert ids(worker.oldest(5)) == ["j1"], "a read is done again"
    head = worker.load(None, lock=False).head
    with client(redis.url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    worker.wire._used_at = time.monotonic() - 10.0  # it has been idle for so long
    assert commit(worker, came(job(2)))
    assert head.version == 1


def test_a_server_that_does_not_answer_is_an_outage(redis_prefix):
    with RedisServer() as server:
        made = RedisBackend(Wire(f"{server.url}?socket_timeout=0.2", 5.0), Keys(redis_prefix, "default"), "a")
        made.connect()
        with client(server.url) as admin:
            admin.execute_command("CLIENT", "PAUSE", 30_000, "ALL")
        with pytest.raises(StoreUnavailableError, match="did not answer in time"):
            made.load(None, lock=False)
        made.close()


def test_a_server_that_was_killed_and_started_again_goes_on(redis_prefix):
    with RedisServer({"appendfsync": "always"}) as server:
        made = backend(server.url, redis_prefix)
        assert commit(made, came(job(1)))
        server.kill()
        with pytest.raises(StoreUnavailableError, match="Check that the server runs"):
            made.load(None, lock=False)
        server.start()
        assert ids(made.oldest(5)) == ["j1"]
        assert commit(made, came(job(2)))
        made.close()


WITHOUT_HIREDIS = """
import sys

sys.modules["hiredis"] = None

import anyio

from pacer.stores._redis._notices import RedisNotices
from pacer.stores._redis._wire import Wire


async def main():
    heard = anyio.Event()
    notices = RedisNotices(sys.argv[1], "channel", 30.0)
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(notices.run, print, lambda there: there and heard.set())
        with anyio.fail_after(60):
            await heard.wait()
        task_group.cancel_scope.cancel()


print(Wire(sys.argv[1], 30.0).ask("PING"))
anyio.run(main, backend="asyncio")
"""


def test_the_driver_does_without_its_fast_parser(redis):
    command = [sys.executable, "-c", WITHOUT_HIREDIS, redis.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "PONG" in done.stdout
