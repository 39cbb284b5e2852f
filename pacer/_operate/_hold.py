"""`pacer end-hold`: what a backoff or the upstream holds back starts now."""

from __future__ import annotations

from typing import Any

from pacer._operate._errors import exit_codes
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption, YesOption
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, count_text, say, say_json, seconds_text


def end_hold(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """End a hold before its time: of a backoff, or one that the upstream asked for.

    For when you know that the upstream works again. Failures in a row are still counted: if the next job fails, too,
    the queue is held again, for longer. Pauses by hand and the pace stay as they are.

    Exit codes: 0 ended, or there was none, 1 refused, 2 wrong usage or not confirmed, 3 the store cannot be reached.
    """

    async def end(guest: Guest) -> tuple[str, dict[str, Any]]:
        scheduler, name = guest.scheduler, clean(guest.scheduler.name)
        status = await scheduler.status()
        reason, left = status.hold_reason, status.hold_seconds
        if left <= 0:
            return f"queue {name} is not held", _data(ended=False)
        told = f"{clean(reason) or 'nobody says why'}, {seconds_text(left)} left"
        make_sure(f"End the hold of queue {name} ({told}), for all workers?", yes=yes)
        if not await scheduler.end_hold():  # it was over while somebody thought about it
            return f"queue {name} is not held any more", _data(ended=False)
        waiting = count_text(status.pending, "job waits", "jobs wait")
        paused = "; it is paused by hand: pacer resume" if status.paused else ""
        return f"the hold of queue {name} is ended; {waiting}{paused}", _data(ended=True, reason=reason, seconds=left)

    with exit_codes("end-hold"):
        text, data = visit(Target.of(store, queue, app, within), end)
        if as_json:
            say_json(data)
        else:
            say(text)


def _data(*, ended: bool, reason: str | None = None, seconds: float | None = None) -> dict[str, Any]:
    return {"ended": ended, "reason": reason, "seconds_left": seconds}
