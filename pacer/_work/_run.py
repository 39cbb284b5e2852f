"""A process that works on a queue until it is told to stop, or until there is nothing left to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import anyio
import attrs

from pacer import PacerError, Scheduler, StoreUnavailableError
from pacer._command_error import CommandError
from pacer._work._errors import CANNOT_START, STORE_AWAY
from pacer._work._stop import Stop
from pacer._work._tally import Tally
from pacer.stores._from_url import described

# Less than the 30 s after which Kubernetes kills, with some to spare for handing back.
GRACE: Final = 20.0
_STORE_RETRY: Final = 1.0
_MOST_NAMES: Final = 10


@attrs.frozen(kw_only=True)
class Options:
    """What `pacer worker` was asked for; None leaves it to the scheduler."""

    concurrency: int | None = None
    stop_timeout: float | None = None
    drain: bool = False
    takeover: bool = False


def run_worker(scheduler: Scheduler, options: Options, say: Callable[[str], None]) -> int:
    """Work with the scheduler, on the main thread. Returns the exit code.

    Raises:
        CommandError: The store cannot be used.
    """
    tally = Tally()
    asked = options.concurrency or scheduler.worker_concurrency or scheduler.concurrency
    scheduler.worker_concurrency = asked
    if options.stop_timeout is not None:
        scheduler.stop_timeout = options.stop_timeout
    elif not scheduler.stop_timeout:
        scheduler.stop_timeout = GRACE
    scheduler.takeover = scheduler.takeover or options.takeover
    scheduler.observers = (*scheduler.observers, tally)

    async def main() -> int:
        stop = Stop(scheduler.stop_timeout)
        stop.listen()
        await _work(scheduler, stop, options, say)
        stop.ended(in_order=tally.in_order)
        say(f"{stop.reason} after {tally}")
        return stop.code

    try:
        return anyio.run(main, backend="asyncio")
    except StoreUnavailableError as error:
        raise CommandError(str(error), STORE_AWAY) from error
    except PacerError as error:
        raise CommandError(str(error), CANNOT_START) from error


async def _work(scheduler: Scheduler, stop: Stop, options: Options, say: Callable[[str], None]) -> None:
    with stop.everything:
        async with scheduler:
            say(_introduction(scheduler, options))
            with stop.work:
                await (_drained(scheduler) if options.drain else anyio.sleep_forever())
            if stop.received:
                say(f"{stop.reason}: {_farewell(scheduler)}")


async def _drained(scheduler: Scheduler) -> None:
    """Whatever the store is doing."""
    while True:
        try:
            await scheduler.drain()
        except StoreUnavailableError:
            await anyio.sleep(_STORE_RETRY)
        else:
            return


def _introduction(scheduler: Scheduler, options: Options) -> str:
    here, everywhere = scheduler.worker_concurrency or 0, scheduler.concurrency
    jobs = "1 job at once" if min(here, everywhere) == 1 else f"up to {min(here, everywhere)} jobs at once"
    if options.concurrency is not None and here > everywhere:
        jobs += f" (not {here}: the queue runs {everywhere} over all processes, see Scheduler(concurrency=))"
    elif here < everywhere:
        jobs += f" of {everywhere} over all processes"
    return (
        f"queue {scheduler.name!r} in {described(scheduler.store)}, {jobs}, "
        f"{scheduler.stop_timeout:g} s to end at a stop; tasks: {_listed(sorted(scheduler._registry.names))}"
    )


def _farewell(scheduler: Scheduler) -> str:
    running = len(scheduler._running.worker.runner.running)
    if not running:
        return "no job runs here"
    jobs = "1 job has" if running == 1 else f"{running} jobs have"
    return f"{jobs} {scheduler.stop_timeout:g} s to end; a second signal hands them back at once"


def _listed(names: Iterable[str]) -> str:
    first, more = list(names)[:_MOST_NAMES], list(names)[_MOST_NAMES:]
    return ", ".join(first) + (f" and {len(more)} more" if more else "")


def set_up_log(level: str | None) -> None:
    """Lines on stderr, unless the application has set up logging of its own. Level "info" if nobody says another."""
    logger = logging.getLogger("pacer")
    if not logger.hasHandlers():
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if level is not None or logger.level == logging.NOTSET:
        logger.setLevel((level or "info").upper())
