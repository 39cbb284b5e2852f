"""`pacer doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import typer

from pacer._errors import OlderSchemaError, StoreError, StoreUnavailableError
from pacer._operate._doctor._finding import Finding, Severity, error
from pacer._operate._doctor._queue import examine_queue, facts_of, time_here
from pacer._operate._errors import REFUSED, STORE_AWAY, WARNINGS, exit_codes, unreachable_file
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption
from pacer._operate._target import Target, chosen, guest_of, run, store_of
from pacer._operate._text import clean, count_text, say, say_json, styled
from pacer.protocols import Store
from pacer.stores._from_url import described, redacted

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_ORDER = list(Severity)


def doctor(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the store, the clock, the workers, and what crashes and people have left behind. Changes nothing.

    Without --queue, all queues of the store. With --app, also whether its parts and functions fit what is there.

    Exit codes: 0 all is well (there may be notes), 1 errors were found or it was refused, 2 wrong usage, 3 the store
    cannot be reached, 4 warnings were found, and no errors.
    """
    with exit_codes("doctor"):
        target = Target.of(store, queue, app, within)
        where, queues, found, away = run(lambda: _examined(target))
        found.sort(key=lambda one: _ORDER.index(one.severity))
        if as_json:
            say_json({"store": where, "queues": queues, "findings": [one.data() for one in found]})
        else:
            _show(where, queues, found)
        raise typer.Exit(STORE_AWAY if away else _code(found))


def _code(found: Sequence[Finding]) -> int:
    severities = {one.severity for one in found}
    if Severity.ERROR in severities:
        return REFUSED
    return WARNINGS if Severity.WARNING in severities else 0


async def _examined(target: Target) -> tuple[str, list[str], list[Finding], bool]:
    """Where it looked, at which queues, what it found, and whether the store is away."""
    store = _store(target)
    where = described(store)
    found: list[Finding] = []
    try:
        found += await anyio.to_thread.run_sync(_examine_store, store, abandon_on_cancel=True)
        if any(one.severity is Severity.ERROR and one.code in _UNUSABLE for one in found):
            return where, [], found, False
        names = await _names(store, target, where)
        if not names:
            found.append(_no_queue(where))
        for name in names:
            found += await _examine(target, name)
    except StoreUnavailableError as problem:
        return where, [], [*found, _away(problem)], True
    except StoreError as problem:
        return where, [], [*found, _unusable(str(problem))], False
    except OSError as problem:
        if problem.filename is None:
            raise
        return where, [], [*found, _unusable(unreachable_file(problem))], False
    return where, names, found, False


_UNUSABLE = {"no-file", "not-ours", "damaged", "newer-schema", "unusable", "no-tables", "locked", "not-writable"}


def _no_queue(where: str) -> Finding:
    return error(
        "no-queue",
        f"{clean(where)} holds no queue",
        "no scheduler has ever run with this store",
        "check the address and --within, or start a scheduler",
    )


def _unusable(why: str) -> Finding:
    return error("unusable", redacted(why), "no scheduler can use this store", "do as it says")


def _away(problem: StoreError) -> Finding:
    return error(
        "unreachable",
        redacted(str(problem)),
        "no scheduler can use the store as long as that lasts",
        "check the address, the network, and whether the server runs",
    )


def _store(target: Target) -> Store:
    if target.app is None:
        return store_of(target)
    from pacer._work._load import find  # noqa: PLC0415 - seldom needed

    return find(target.app).store


def _examine_store(store: Any) -> Sequence[Finding]:
    """By its kind; nothing is known of stores that are not pacer's own. The drivers are imported only where needed."""
    match type(store).__name__:
        case "SqliteStore":
            from pacer._operate._doctor._sqlite import examine_file  # noqa: PLC0415

            return list(examine_file(Path(store.path)))
        case "PostgresStore":
            from pacer._operate._doctor._postgres import examine_postgres  # noqa: PLC0415

            return list(examine_postgres(store))
        case "RedisStore":
            from pacer._operate._doctor._redis import examine_redis  # noqa: PLC0415

            return list(examine_redis(store.url))
    return []


async def _names(store: Store, target: Target, where: str) -> list[str]:
    infos = await store.queues()
    if target.app is not None:
        from pacer._work._load import find  # noqa: PLC0415

        target = Target(queue=find(target.app).name)
    if target.queue is not None and infos:
        return [chosen(infos, target.queue, where).name]
    return [info.name for info in infos]


async def _examine(target: Target, name: str) -> list[Finding]:
    one = target if target.app else Target(store=target.store, queue=name, within=target.within)
    try:
        async with guest_of(one) as guest:
            return examine_queue(await facts_of(guest), time_here())
    except OlderSchemaError:
        return []  # which was said of the store
    except StoreUnavailableError:
        raise
    except StoreError as problem:
        return [error("unusable", redacted(str(problem)), "no scheduler can use this queue", "do as it says", name)]


def _show(where: str, queues: Sequence[str], found: Sequence[Finding]) -> None:
    looked = f"{clean(where)}, {count_text(len(queues), 'queue')}" + (
        f" ({', '.join(map(clean, queues))})" if queues else ""
    )
    if not found:
        say(f"{styled('all is well', bold=True, fg='green')}: {looked}")
        return
    say(looked)
    for one in found:
        say()
        queue = f" in queue {clean(one.queue)}" if one.queue and len(queues) > 1 else ""
        say(f"{styled(one.severity.value, bold=True, fg=_COLOURS[one.severity])}{queue}: {clean(one.what)}")
        say(f"  It means: {clean(one.means)}")
        say(f"  Do this:  {clean(one.do)}")
