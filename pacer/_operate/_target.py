"""From what the command line says to a queue that is open for a guest."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import attrs

from pacer import Scheduler
from pacer._command_error import CommandError
from pacer._extras import ExtraMissingError
from pacer._operate._errors import INTERRUPTED, USAGE
from pacer._operate._recipe import Recipe
from pacer._operate._text import clean
from pacer._overview import QueueInfo
from pacer.protocols import Store
from pacer.stores._from_url import StoreUrl, described
from pacer.stores._parts import terms_of

T = TypeVar("T")

# Seconds after Ctrl-C for which the threads that ask a server may go on.
_GRACE: Final = 0.5
_WHICH = (
    "which store? Give --store sqlite:///jobs.db, --store postgresql://user@host/database or --store "
    "redis://host:6379/0, or set PACER_STORE"
)


@attrs.frozen(kw_only=True)
class Target:
    """Which queue is meant.

    Attributes:
        store: The store's URL.
        queue: The name; None for the only one.
        app: `module:scheduler`, which says both.
        within: PostgreSQL's schema, or Redis's prefix.
    """

    store: str | None = None
    queue: str | None = None
    app: str | None = None
    within: str | None = None

    @classmethod
    def of(cls, store: str | None, queue: str | None, app: str | None, within: str | None) -> Target:
        """As the command line says, or else the environment. With an application, that alone says it.

        Raises CommandError.
        """
        if app is None:
            return cls(
                store=store or os.environ.get("PACER_STORE") or None,
                queue=queue or os.environ.get("PACER_QUEUE") or None,
                within=within or os.environ.get("PACER_WITHIN") or None,
            )
        if store or queue or within:
            msg = "--app says which store and which queue: leave out --store, --queue and --within"
            raise CommandError(msg, USAGE)
        return cls(app=app)


@attrs.frozen(eq=False)
class Guest:
    """A queue, open for one that looks and steers.

    Attributes:
        scheduler: Runs as a guest.
        where: The store, for people.
        terms: With what it is run, as text, by name.
        unknown: Parts that could not be made of what the store says, and why not.
        differs: Where the application's parts are not those that the queue is run with: what it is run with, and what
            the application has.
    """

    scheduler: Scheduler
    where: str
    terms: Mapping[str, str]
    unknown: Mapping[str, str]
    differs: Mapping[str, tuple[str, str]]

    @property
    def uncertain(self) -> str:
        """Why nothing can be said that depends on the parts; empty if it can."""
        if self.unknown:
            return f"{'; '.join(self.unknown.values())}: give --app module:scheduler"
        if self.differs:
            theirs = "; ".join(f"{name} is {there} there, {here} in it" for name, (there, here) in self.differs.items())
            return f"the queue is run with other parts than --app has: {theirs}"
        return ""

    def need_parts(self, what: str) -> None:
        """Raises CommandError unless all parts are known."""
        if self.uncertain:
            msg = f"{what} needs the parts of the queue. {self.uncertain}"
            raise CommandError(msg)

    def now(self) -> datetime:
        """The store's time, for people."""
        return self.scheduler.utc(self.scheduler._running.worker.ledger.now())


def visit(target: Target, question: Callable[[Guest], Awaitable[T]], interrupted: int = INTERRUPTED) -> T:
    """What the question finds out about the queue. Raises CommandError and PacerError.

    Args:
        target: Which queue.
        question: Asked while it is open.
        interrupted: The exit code after Ctrl-C, if a server that does not answer keeps the process from ending.
    """

    async def main() -> T:
        async with guest_of(target) as guest:
            return await question(guest)

    return run(main, interrupted)


def run(main: Callable[[], Awaitable[T]], interrupted: int = INTERRUPTED) -> T:
    """Run it to its end. After Ctrl-C nobody waits for the answer of a server: a guest has nothing to put away."""

    async def until_interrupted() -> T:
        try:
            return await main()
        except anyio.get_cancelled_exc_class():
            leaving = threading.Timer(_GRACE, os._exit, (interrupted,))
            leaving.daemon = True
            leaving.start()
            raise

    return anyio.run(until_interrupted, backend="asyncio")


@asynccontextmanager
async def guest_of(target: Target) -> AsyncGenerator[Guest]:
    """Open the queue. Raises CommandError and PacerError."""
    scheduler, recipe = await (_of_application(target, target.app) if target.app else _of_store(target))
    terms = terms_of(scheduler._rules())
    differs = {
        name: (text, terms[name])
        for name, text in recipe.terms.items()
        if target.app and name in terms and text != terms[name]
    }
    async with scheduler:
        yield Guest(scheduler, described(scheduler.store), recipe.terms, {} if target.app else recipe.unknown, differs)


async def _of_application(target: Target, app: str) -> tuple[Scheduler, Recipe]:
    from pacer._work._load import find  # noqa: PLC0415 - seldom needed

    scheduler = find(app)
    scheduler.guest, scheduler.observers, scheduler.worker_concurrency = True, (), None
    for info in await scheduler.store.queues():
        if info.name == scheduler.name:
            return scheduler, Recipe(info.terms, {}, {})
    return scheduler, Recipe({}, {}, {})


async def _of_store(target: Target) -> tuple[Scheduler, Recipe]:
    store = store_of(target)
    infos = await store.queues()
    if not infos:
        raise CommandError(_empty(store))
    info = chosen(infos, target.queue, described(store))
    recipe = Recipe.read(info.terms)
    return Scheduler(store=store, name=info.name, guest=True, observers=(), **recipe.settings), recipe


def _empty(store: Any) -> str:
    path = getattr(store, "path", None)
    if path is not None and not Path(path).exists():
        return (
            f"there is no file {clean(path)}: a scheduler makes it when it starts. Is the path right? A relative one "
            "starts in the directory in which the command runs"
        )
    within = next((f" ({kind} {getattr(store, kind)!r})" for kind in ("schema", "prefix") if hasattr(store, kind)), "")
    question = "the right store, and the right --within" if within else "the right store"
    return f"{described(store)}{within} holds no queue yet: a scheduler makes one when it starts. Is it {question}?"


def store_of(target: Target) -> Store:
    """The store that the URL names. Raises CommandError."""
    if target.store is None:
        raise CommandError(_WHICH, USAGE)
    try:
        url = StoreUrl.parse(target.store)
        return url.store(**_settings(url, target.within))
    except ExtraMissingError as error:
        raise CommandError(str(error)) from None
    except ValueError as error:
        raise CommandError(f"{error}{_meant(target.store)}", USAGE) from None


def _meant(text: str) -> str:
    """The URL of what looks like the path of a file."""
    if ":" in text or not text.endswith((".db", ".sqlite", ".sqlite3")):
        return ""
    return f". Did you mean {clean(f'sqlite:///{text}')}?"


def _settings(url: StoreUrl, within: str | None) -> dict[str, Any]:
    if url.kind.name == "SQLite":
        if within is not None:
            msg = "--within (or PACER_WITHIN) is PostgreSQL's schema or the prefix of Redis's keys; SQLite has neither"
            raise ValueError(msg)
        return {"share": True}  # it opens no file that is not a store already
    if within is None:
        return {}
    return {"schema" if url.kind.name == "PostgreSQL" else "prefix": within}


def chosen(queues: Sequence[QueueInfo], name: str | None, where: str) -> QueueInfo:
    """The queue with this name, or the only one of those that there are. Raises CommandError."""
    names = [info.name for info in queues]
    if name is None and len(names) > 1:
        msg = f"{where} holds {len(names)} queues: give --queue and one of {', '.join(map(clean, names))}"
        raise CommandError(msg, USAGE)
    if name is not None and name not in names:
        msg = f"{where} holds no queue {name!r}; it holds {', '.join(map(repr, names))}"
        raise CommandError(msg, USAGE)
    return queues[0 if name is None else names.index(name)]
