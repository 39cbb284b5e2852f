"""`pacer pause` and `pacer resume`."""

from __future__ import annotations

from pacer._operate._errors import exit_codes
from pacer._operate._options import (
    AlsoYesOption,
    AppOption,
    JsonOption,
    QueueOption,
    StoreUrlOption,
    WithinOption,
    YesOption,
)
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, count_text, say, say_json


def pause(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start no more jobs, in any process, until somebody resumes. Those that run go on.

    Exit codes: 0 paused, 1 refused, 2 wrong usage or not confirmed, 3 the store cannot be reached.
    """

    async def stop(guest: Guest) -> tuple[str, bool]:
        scheduler, name = guest.scheduler, clean(guest.scheduler.name)
        status = await scheduler.status()
        if status.paused:
            return f"queue {name} is paused already", False
        make_sure(f"Pause the queue {name}, in all processes?", yes=yes)
        await scheduler.pause()
        running = f"; {count_text(status.running, 'job')} still running" if status.running else ""
        return f"queue {name} is paused{running}", True

    with exit_codes("pause"):
        text, changed = visit(Target.of(store, queue, app, within), stop)
        _tell(text, paused=True, changed=changed, as_json=as_json)


def resume(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    yes: AlsoYesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start jobs again.

    Exit codes: 0 resumed, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """

    async def go_on(guest: Guest) -> tuple[str, bool]:
        scheduler, name = guest.scheduler, clean(guest.scheduler.name)
        status = await scheduler.status()
        await scheduler.resume()
        if not status.paused:
            return f"queue {name} was not paused", False
        return f"queue {name} goes on; {count_text(status.pending, 'job waits', 'jobs wait')}", True

    with exit_codes("resume"):
        text, changed = visit(Target.of(store, queue, app, within), go_on)
        _tell(text, paused=False, changed=changed, as_json=as_json)


def _tell(text: str, *, paused: bool, changed: bool, as_json: bool) -> None:
    if as_json:
        say_json({"paused": paused, "changed": changed})
    else:
        say(text)
