"""`pacer demo`: both servers, the papers, and the display."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import attrs
from rich.console import Console

from pacer.demo._chat import ChatService
from pacer.demo._client import DemoClient, Progress, request_json
from pacer.demo._display import FAILED, display_on, seconds, waiting_time
from pacer.demo._samples import load_samples
from pacer.demo._servers import DemoError, serving
from pacer.demo.app import Settings, create_app
from pacer.demo.upstream import Limits, create_upstream

FAST = 100.0
LIMITS = Limits()
# The stand-in's account has other users, who have used up the minute just before these of our requests: whatever the
# speed of the machine, the demo meets a 429.
OTHERS_BEFORE = frozenset({3})


@attrs.frozen(kw_only=True)
class Options:
    """What `pacer demo` was asked for."""

    port: int
    upstream_port: int
    once: bool = False
    fast: bool = False
    db: Path | None = None


def run_demo(options: Options, console: Console, environment: Mapping[str, str] = os.environ) -> int:
    """Run the demo until it is done (`once`) or interrupted, on the main thread.

    Returns:
        The exit code: 1 if a paper failed, 130 if `once` was interrupted before all was done, else 0.

    Raises:
        DemoError: It cannot go on; the message says what to do.
    """
    if options.port == options.upstream_port != 0:
        msg = f"the application and the upstream cannot share port {options.port}; choose another one with --port"
        raise DemoError(msg)
    # The display says what matters.
    logging.getLogger("pacer").addHandler(logging.NullHandler())
    speed = FAST if options.fast else 1.0
    db = options.db or default_db(environment, options.fast)
    # The times of a real service cannot be divided, so a demo in a hurry does not call it.
    chat = ChatService.stand_in(options.upstream_port) if options.fast else ChatService.from_environment(environment)
    hint = f"look at {db}, or choose another file for the jobs with --db"
    with (
        _interrupted() as interrupted,
        _upstream(chat, options, speed) as (chat, upstream_port),
        serving(create_app(Settings(db, chat, speed, steerable=True)), options.port, "--port", hint) as url,
    ):
        if interrupted.is_set():
            return 130
        _announce(console, chat, url, db)
        client = DemoClient(int(url.rsplit(":", 1)[1]))
        _announce_papers(console, client)
        progress = _watch(client, console, speed, options.once, interrupted)
        _summarise(console, progress, upstream_port)
        if progress.count(*FAILED):
            return 1
        return 130 if options.once and not progress.drained else 0


def default_db(environment: Mapping[str, str], fast: bool) -> Path:
    """The same file at every start, so that a run that was broken off goes on: in the user's folder for state.

    Runs in a hurry have a file of their own: what the queue has learned there, durations above all, is not true here.
    """
    folder = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pacer"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}; choose a file for the jobs with --db"
        raise DemoError(msg) from error
    return folder / ("demo-fast.db" if fast else "demo.db")


@contextmanager
def _upstream(chat: ChatService, options: Options, speed: float) -> Iterator[tuple[ChatService, int | None]]:
    if not chat.local:
        yield chat, None
        return
    stand_in = create_upstream(LIMITS, speed=speed, key=chat.api_key, others_before=OTHERS_BEFORE)
    with serving(stand_in, options.upstream_port, "--upstream-port") as url:
        port = int(url.rsplit(":", 1)[1])
        yield ChatService.stand_in(port), port


def _announce(console: Console, chat: ChatService, url: str, db: Path) -> None:
    limits = f"{LIMITS.requests} requests and {LIMITS.tokens} tokens a minute, {LIMITS.burst} request a second"
    kind = f"stand-in; {limits}" if chat.local else f"model {chat.model}"
    lines = [
        f"queue     {url}/queue/",
        f"app       {url}/docs",
        f"status    {url}/api/queue/status",
        f"results   {url}/api/jobs",
        f"upstream  {chat.base_url}",
        f"          ({kind})",
        f"jobs      {db}",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _announce_papers(console: Console, client: DemoClient) -> None:
    samples = load_samples()
    accepted = client.feed(samples)
    if client.resumed:
        console.print("Going on with the papers of the last run, which was broken off.")
    if console.is_terminal:
        return
    for sample, one in zip(samples, accepted, strict=True):
        text = "accepted" if one["created"] else "known from the last run"
        if one["queue_position"]:
            text += f" at position {one['queue_position']}, starts in {waiting_time(one)}"
        console.print(f"{sample.number:<8} {text}", highlight=False, soft_wrap=True)


def _watch(client: DemoClient, console: Console, speed: float, once: bool, interrupted: threading.Event) -> Progress:
    """Show progress until all is done; without `once` until Ctrl-C."""
    with display_on(console, once) as display:
        progress = client.progress()
        while not (interrupted.is_set() or (once and progress.drained)):
            display.show(progress)
            interrupted.wait(0.05 if speed > 1 else 0.25)
            progress = client.progress()
        display.show(progress)
    return progress


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; a second Ctrl-C breaks off at once.

    A KeyboardInterrupt may come up where Python drops it, in a finalizer that happens to run, or where it leaves a
    thread behind, in the middle of starting one.
    """
    event = threading.Event()

    def remember(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {sign: signal.signal(sign, remember) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _summarise(console: Console, progress: Progress, upstream_port: int | None) -> None:
    console.print(
        f"{progress.count('succeeded')} of {len(progress.jobs)} papers analysed, 429s absorbed: {progress.absorbed}."
    )
    if upstream_port is not None:
        calls = request_json(upstream_port, "GET", "/calls")["calls"]
        gaps = [later["at"] - sooner["at"] for sooner, later in pairwise(calls)]
        if gaps:
            console.print(f"The upstream saw {len(calls)} calls, never two within {seconds(min(gaps))}.")
    if not progress.drained:
        console.print("The same command goes on with the others.")
