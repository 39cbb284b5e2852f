"""A SQLite file: whether it can be used, is whole, and lies where it should."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from pacer._errors import CorruptStoreError, NewerSchemaError, NotOurStoreError, StoreError
from pacer._operate._doctor._finding import Finding, error, note, warning
from pacer._operate._text import count_text, seconds_text
from pacer.stores._sqlite_errors import store_error
from pacer.stores._sqlite_schema import MIGRATIONS, VERSION, check_version, inspect

# Where locks do not hold between hosts, or memory is not shared between them, as WAL mode needs it.
_REMOTE: Final = re.compile(
    r"9p|afs|beegfs|cifs|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|smb2|smb3|smbfs|virtiofs|ceph"
    r"|fuse\.(ceph|glusterfs|grpcfuse|osxfs|rclone|s3fs|sshfs)"
)
_PATIENCE: Final = 2.0
_LOOK_FOR: Final = 10.0
_LITTLE_ROOM: Final = 200 * 2**20
_NO_ROOM: Final = 20 * 2**20
_LONG_LOG: Final = 64 * 2**20
_STAGED_FOR: Final = 60.0


def examine_file(path: Path) -> Iterator[Finding]:
    """All that is wrong with it; after what makes it unusable, nothing more."""
    if not path.exists():
        yield error(
            "no-file",
            f"there is no file {path}",
            "no scheduler has ever run with this path, or it ran in another directory",
            "check the path: a relative one starts in the directory in which the command runs",
        )
        return
    yield from _place(path)
    try:
        inspect(path, may_share=True, mirror=None, busy_timeout=_PATIENCE)
    except StoreError as problem:
        yield _unusable(problem)
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", isolation_level=None, uri=True)) as connection:
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(_PATIENCE * 1000)}")
            yield from _content(connection, path)
        except sqlite3.Error as problem:
            yield _unusable(store_error(problem, path, "looking at the file"))


def _unusable(problem: StoreError) -> Finding:
    codes = {NotOurStoreError: "not-ours", CorruptStoreError: "damaged", NewerSchemaError: "newer-schema"}
    code = codes.get(type(problem), "unusable")
    return error(code, str(problem), "no scheduler can use this file", "do as it says; schedulers say the same")


# -- where it is -----------------------------------------------------------------------------------------------------


def _place(path: Path) -> Iterator[Finding]:
    kind = file_system(path.resolve(), _mounts())
    if _REMOTE.fullmatch(kind):
        yield error(
            "network-file-system",
            f"{path} is on a file system of the kind {kind}",
            "SQLite's locks and shared memory do not work across hosts there: the file will be damaged",
            "move it to a local disk, or use PostgreSQL or Redis for several hosts",
        )
    usage = shutil.disk_usage(path.parent)
    finding = room(usage.free, path)
    if finding is not None:
        yield finding
    yield from _owners(path)
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > _LONG_LOG:
        yield warning(
            "long-log",
            f"{log.name} has grown to {log.stat().st_size // 2**20} MB",
            "some process reads the file for a long time, so that the log cannot be put into it; reading gets slower",
            "end that process, for example a backup or a shell in which a SELECT is open",
        )


def _mounts() -> str:
    table = Path("/proc/mounts")
    return table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""


def file_system(path: Path, mounts: str) -> str:
    """The kind of file system that a path is on, by a table as in /proc/mounts; empty if that does not say."""
    found, longest = "", -1
    for line in mounts.splitlines():
        _, place, kind, *_ = [*line.split(" "), "", ""]
        where = place.replace("\\040", " ")
        if path.is_relative_to(where) and len(where) >= longest:
            found, longest = kind, len(where)
    return found


def room(free: int, path: Path) -> Finding | None:
    """What to say of so many free bytes where the file is."""
    if free >= _LITTLE_ROOM:
        return None
    make = error if free < _NO_ROOM else warning
    return make(
        "disk-full",
        f"{free // 2**20} MB are left on the disk of {path}",
        "when it is full, no job can be enqueued, started or settled",
        "make room; keep_finished_for of the store says how long ended jobs are kept",
    )


def _owners(path: Path) -> Iterator[Finding]:
    family = [one for suffix in ("", "-wal", "-shm") if (one := path.with_name(f"{path.name}{suffix}")).exists()]
    yield from owned({one.name: one.stat().st_uid for one in family})
    if path.stat().st_mode & 0o002:
        yield warning(
            "writable-by-all",
            f"everybody on this machine can write {path}",
            "they can change jobs and their arguments",
            f"chmod o-w {path}",
        )


def owned(files: Mapping[str, int]) -> Iterator[Finding]:
    """What to say of the database and what SQLite keeps beside it, by the users to whom they belong."""
    if len(set(files.values())) > 1:
        listed = ", ".join(f"{name} of user {user}" for name, user in files.items())
        yield error(
            "mixed-owners",
            f"the files belong to different users: {listed}",
            "a scheduler of one of them cannot write what belongs to the other",
            "stop all processes, then give all of them to the user as whom schedulers run (chown)",
        )


# -- what is in it ---------------------------------------------------------------------------------------------------


def _content(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "pacer_schema" not in tables:
        yield error(
            "no-tables",
            f"{path} holds none of pacer's tables",
            "no scheduler has ever run with this path",
            "check the path, or start a scheduler",
        )
        return
    version = check_version(connection, path)
    if version < VERSION:
        yield warning(
            "older-schema",
            f"the tables are of version {version}; this pacer's are of version {VERSION}",
            "the queues cannot be looked at before they are of this version",
            "start a scheduler of this version, or run: pacer migrate",
        )
    yield from _writing(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        yield warning(
            "not-wal",
            f"the journal mode is {mode!r}",
            "readers and writers keep each other waiting until a scheduler opens it, which sets it to WAL",
            "leave the mode alone in other programs that use the file",
        )
    yield from _whole(connection, path)
    yield from _indexes(connection, version)
    if "pacer_stage" in tables:
        yield from _staged(connection)


def _writing(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            yield error(
                "locked",
                f"another process has been writing to {path} for {seconds_text(_PATIENCE)} or more",
                "no job can be enqueued, started or settled meanwhile",
                "find out who has the file open (fuser, lsof) and holds a transaction; end that transaction",
            )
        else:
            yield error(
                "not-writable",
                f"{path} cannot be written ({problem})",
                "no job can be enqueued, started or settled by this user",
                "check the owner and permissions of the file and of its directory",
            )


def _whole(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    end = time.monotonic() + _LOOK_FOR
    connection.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        yield note(
            "not-looked-through",
            f"{path} is too large to be looked through in {seconds_text(_LOOK_FOR)}",
            "the part that was looked at is whole",
            'when there is time: sqlite3 FILE "PRAGMA quick_check"',
        )
        return
    finally:
        connection.set_progress_handler(None, 0)
    if answer != "ok":
        yield error(
            "damaged",
            f"{path} is damaged: {answer}",
            "jobs may be lost, and it will get worse",
            "stop all processes and restore it from a backup",
        )


def _indexes(connection: sqlite3.Connection, version: int) -> Iterator[Finding]:
    query = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'pacer_%'"
    with closing(sqlite3.connect(":memory:")) as fresh:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                fresh.execute(statement)
        wanted = {name for (name,) in fresh.execute(query)}
    yield from missing_indexes(wanted - {name for (name,) in connection.execute(query)})


def missing_indexes(missing: set[str]) -> Iterator[Finding]:
    """What to say of them, if there are any."""
    if missing:
        yield error(
            "missing-index",
            f"indexes are missing: {', '.join(sorted(missing))}",
            "the more jobs there are, the longer each step takes; unique keys may be taken twice",
            "restore the store from a backup, or make them again as pacer's schema has them",
        )


def _staged(connection: sqlite3.Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT q.name, count(*), ? + q.clock_offset - min(s.came_at) FROM pacer_stage s "
        "JOIN pacer_queues q ON q.id = s.queue GROUP BY q.id",
        (time.time(),),
    ).fetchall()
    for name, count, age in rows:
        yield from left_on_stage(name, count, age)


def left_on_stage(queue: str, count: int, age: float) -> Iterator[Finding]:
    """What to say of jobs that were enqueued in transactions of applications, if they have been there for long."""
    if age > _STAGED_FOR:
        yield error(
            "staged",
            f"{count_text(count, 'job')} of an application's transactions not taken into the queue, "
            f"one for {seconds_text(age)}",
            "the application has committed them, and nobody works on this queue",
            "start a scheduler or a worker of this queue",
            queue,
        )
