import sqlite3

import anyio

from pacer import Scheduler
from pacer.stores.sqlite import SqliteStore, StatusMirror

scheduler = Scheduler(
    store=SqliteStore(
        "app.db",
        mirror=StatusMirror(
            table="jobs", id="id", status="status", updated_at="updated_at"
        ),
    )
)


@scheduler.task(name="analyse")
async def analyse(text: str) -> str:
    return text.upper()


def in_our_database(sql: str, *values: str) -> list[tuple[str, ...]]:
    db = sqlite3.connect("app.db")
    with db:
        rows = db.execute(sql, values).fetchall()
    db.close()
    return rows


async def submit(job_id: str, text: str) -> None:
    in_our_database("INSERT INTO jobs VALUES (?, 'new', datetime('now'), NULL)", job_id)
    await scheduler.options(job_id=job_id).enqueue(analyse, text)


async def main() -> None:
    in_our_database(
        "CREATE TABLE jobs (id PRIMARY KEY, status, created_at, updated_at)"
    )
    # Whatever ran here before has left a row:
    in_our_database("INSERT INTO jobs VALUES ('left-behind', 'queued', NULL, NULL)")
    async with scheduler:
        await submit("paper-1", "text")
        await scheduler.drain()
    print(in_our_database("SELECT id, status FROM jobs ORDER BY id"))


if __name__ == "__main__":
    anyio.run(main)
