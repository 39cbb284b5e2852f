"""`pacer doctor` finds what was planted in PostgreSQL and in Redis."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import pytest
from command_line import Place
from findings import examined, found
from queues import scheduler_on
from servers import PASSWORD, PostgresServer, RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@pytest.fixture
def on_postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("postgres")
    return Place("postgres", server.dsn, request.getfixturevalue("postgres_schema"), tmp_path)


async def test_what_is_wrong_in_postgresql_is_found(on_postgres: Place) -> None:
    import psycopg
    from psycopg import sql

    from pacer._operate._doctor._postgres import examine_postgres

    place, schema = on_postgres, sql.Identifier(str(on_postgres.within))
    assert await examined(place, code=1) == {"no-tables": "error"}
    async with scheduler_on(place):
        pass
    with psycopg.connect(place.url, autocommit=True) as admin:
        unsafe = f"{place.url}?options=-csynchronous_commit%3Doff"
        assert await examined(place, "--store", unsafe, code=4) == {"not-durable": "warning"}
        with psycopg.connect(place.url, application_name="a dump") as holder:
            holder.execute(sql.SQL("UPDATE {}.pacer_workers SET tasks = tasks").format(schema))
            store = place.store()
            with anyio.fail_after(60):
                while {"old-transaction", "idle-in-transaction"} - {one.code for one in _all(store, examine_postgres)}:
                    await anyio.sleep(0.2)
            done = await place.pacer("doctor", "--json")
            assert (done.code, found(done)) == (1, {"idle-in-transaction": "error"})
            assert f"process {holder.info.backend_pid} (a dump) is idle in transaction" in done.out
            holder.rollback()
        for statement in (
            "DROP INDEX {}.pacer_jobs_due",
            "ALTER TABLE {}.pacer_jobs SET (autovacuum_enabled = off)",
        ):
            admin.execute(sql.SQL(statement).format(schema))
        assert await examined(place, code=1) == {"missing-index": "error", "no-autovacuum": "warning"}
        admin.execute(sql.SQL("DELETE FROM {}.pacer_migrations WHERE version > 1").format(schema))
        assert (await examined(place, code=1))["older-schema"] == "warning"
        admin.execute(sql.SQL("DROP TABLE {}.pacer_workers").format(schema))
        assert await examined(place, code=1) == {"damaged": "error"}


def _all(store, examine):
    return list(examine(store, open_for=0.5))


async def test_what_is_wrong_in_redis_is_found(tmp_path: Path) -> None:
    import redis

    with RedisServer(settings={"appendonly": "no", "maxmemory": "16mb", "maxmemory-policy": "allkeys-lru"}) as server:
        place = Place("redis", server.url, None, tmp_path)
        expected = {"eviction": "error", "no-queue": "error", "no-aof": "warning"}
        assert await examined(place, code=1) == expected
        with redis.Redis.from_url(server.url) as client:
            for number in range(5000):
                client.set(f"other:{number}", "x" * 4000)
            findings = await examined(place, code=1)
            assert {"evicted", "memory-full", "eviction", "no-aof"} <= set(findings)
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            assert (await examined(place, code=1))["replica"] == "error"
            client.execute_command("REPLICAOF", "NO", "ONE")
            client.execute_command("ACL", "SETUSER", "guest", "on", ">guests-only", "~*", "&*", "+@all", "-config")
            guest = server.url.replace(f":{PASSWORD}@", "guest:guests-only@")
            assert (await examined(place, "--store", guest, code=1))["settings-hidden"] == "note"
            (server.directory / "dump.rdb").mkdir()
            client.bgsave()
            with anyio.fail_after(60):
                while client.info("persistence")["rdb_last_bgsave_status"] != "err":
                    await anyio.sleep(0.05)
            assert (await examined(place, code=1))["rdb-failing"] == "error"


async def test_an_append_only_file_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    import redis

    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        place = Place("redis", server.url, None, tmp_path)
        async with scheduler_on(place):
            pass
        assert await examined(place, code=0) == {}
        folder = server.directory / "appendonlydir"
        shutil.rmtree(folder)
        folder.write_text("in its way")
        with pytest.raises(redis.ResponseError):
            client.bgrewriteaof()
        assert await examined(place, code=1) == {"aof-failing": "error"}
        done = await place.pacer("doctor", "--json", "--store", f"{server.url[:-1]}77")
        assert (done.code, found(done)) == (1, {"unusable": "error"})


async def test_a_server_that_nobody_vacuums_that_is_full_or_that_follows_another_is_found(tmp_path: Path) -> None:
    import psycopg

    with PostgresServer({"max_connections": "12", "autovacuum": "off"}) as server:
        place = Place("postgres", server.dsn, "pacer", tmp_path)
        async with scheduler_on(place):
            pass
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute(
                "INSERT INTO pacer.pacer_workers (queue, worker, commit) SELECT 99, g, 1 "
                "FROM generate_series(1, 25000) g"
            )
            admin.execute("DELETE FROM pacer.pacer_workers WHERE queue = 99")
            expected = {"no-autovacuum": "warning", "bloat": "warning"}
            with anyio.fail_after(60):  # the server counts now and then
                while found(await place.pacer("doctor", "--json")) != expected:
                    await anyio.sleep(0.2)
            admin.execute("VACUUM pacer.pacer_workers")
            others = [psycopg.connect(server.dsn) for _ in range(10)]
            done = await place.pacer("doctor", "--json")
            assert found(done)["connections"] == "warning"
            assert "of 12 connections are in use" in done.out
            for other in others:
                other.close()
        server.stop()
        (server.directory / "data" / "standby.signal").touch()
        server.start()
        assert (await examined(place, code=1))["replica"] == "error"
