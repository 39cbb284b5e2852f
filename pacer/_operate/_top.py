"""`pacer top`: a queue, live."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Annotated, Any, Final

import anyio
import typer
from rich.console import Console
from rich.live import Live

from pacer import StoreUnavailableError
from pacer._operate._errors import exit_codes
from pacer._operate._options import AppOption, QueueOption, StoreUrlOption, WithinOption
from pacer._operate._screen import Look, line_of, look_at, screen_of
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import colours, is_terminal, say
from pacer.stores._from_url import redacted

_WITHOUT_TERMINAL: Final = 1000
_LEAVE: Final = (b"q", b"Q", b"\x04")  # the last is what Ctrl-D sends


def top(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, show it, and end.")] = False,
) -> None:
    """Watch a queue: what runs and how far it is, what is next and when, how many jobs start.

    q or Ctrl-C leaves. Where there is no terminal, it prints one line at each look.

    Exit codes: 0 left, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """
    with exit_codes("top"):
        target = Target.of(store, queue, app, within)
        console = Console(color_system="auto" if colours() else None, highlight=False)
        if once:
            look = visit(target, lambda guest: look_at(guest, _WITHOUT_TERMINAL))
            say(line_of(look)) if not console.is_terminal else console.print(screen_of(look, console))
            return
        watch = _on_screen if console.is_terminal and not console.is_dumb_terminal else _by_line
        with contextlib.suppress(KeyboardInterrupt):
            visit(target, lambda guest: _until_told(watch(guest, console, interval)), interrupted=0)


async def _until_told(watching: Awaitable[None]) -> None:
    """SIGTERM ends it as Ctrl-C does, so that the terminal is put back as it was."""

    async def leave(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    await _beside(watching, None if os.name == "nt" else leave)


async def _beside(
    watching: Awaitable[None], leave: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]] | None
) -> None:
    """Watch, and meanwhile do what may end it. What goes wrong is raised as it is, and not in a group."""
    trouble: Exception | None = None
    async with anyio.create_task_group() as group:
        if leave is not None:
            group.start_soon(leave, group.cancel_scope)
        try:
            await watching
        except Exception as error:
            trouble = error
        group.cancel_scope.cancel()
    if trouble is not None:
        raise trouble


async def _by_line(guest: Guest, _: Console, interval: float) -> None:
    while True:
        try:
            say(line_of(await look_at(guest, 1)))
        except StoreUnavailableError as error:
            typer.echo(f"pacer top: {redacted(str(error))}", err=True)
        await anyio.sleep(interval)


async def _on_screen(guest: Guest, console: Console, interval: float) -> None:
    first = await look_at(guest, console.height)
    with _keys(), Live(screen_of(first, console), console=console, screen=True, auto_refresh=False) as live:
        await _beside(_shown(guest, console, live, first, interval), _leave_by_key)


async def _shown(guest: Guest, console: Console, live: Live, look: Look, interval: float) -> None:
    while True:
        look, trouble = await _next_look(guest, console, look)
        live.update(screen_of(look, console, trouble), refresh=True)
        await anyio.sleep(interval)


async def _next_look(guest: Guest, console: Console, before: Look) -> tuple[Look, str]:
    """What there is to see now; or what was seen before, and why there is nothing new."""
    try:
        return await look_at(guest, console.height), ""
    except StoreUnavailableError as error:
        return before, redacted(str(error))


async def _leave_by_key(scope: anyio.CancelScope) -> None:
    if not is_terminal(sys.stdin) or os.name == "nt":  # Ctrl-C leaves, too
        return
    while True:
        await anyio.wait_readable(sys.stdin.fileno())
        if os.read(sys.stdin.fileno(), 1) in (*_LEAVE, b""):
            scope.cancel()
            return


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Have keys at once and unseen, as long as it lasts."""
    if not is_terminal(sys.stdin) or os.name == "nt":
        yield
        return
    import termios  # noqa: PLC0415 - not everywhere
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
