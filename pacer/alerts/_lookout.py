"""The task that looks at the queue now and then, and sends what there is to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.abc
import attrs

from pacer import events
from pacer._errors import TakenOverError
from pacer._job import JobRecord, JobState
from pacer._overview import Listing
from pacer._signals import Pulse
from pacer._views import make_status
from pacer._worker import Worker
from pacer.alerts._alert import Alert, AlertMessage
from pacer.alerts._look import ENDED_SHOWN, EndedJob, Finding, Look, duration
from pacer.alerts._sender import Sender
from pacer.alerts._watch import Tell, Times, Watch, name_of
from pacer.pacing._all_of import on_clock

# Between two looks, however much happens.
LEAST_PAUSE = 1.0
LONGEST_TEXT = 500
# After these, it does not wait for its time to look.
_TELLING = (
    events.JobFailed,
    events.JobRecovered,
    events.QueueHeld,
    events.QueuePaused,
    events.QueueRefused,
    events.QueueResumed,
    events.HoldEnded,
)


@attrs.define(eq=False)
class Lookout:
    """Looks at one queue for all alerts of one scheduler."""

    _queue: str
    _alerts: Sequence[Alert]
    _something: Pulse = attrs.field(init=False, factory=Pulse)
    _refused: int = attrs.field(init=False, default=0)
    _retry_after: float | None = attrs.field(init=False, default=None)

    def hear(self, event: Any) -> None:
        """An observer: what happens in this process."""
        if isinstance(event, _TELLING):
            if isinstance(event, events.QueueRefused):
                self._refused += event.jobs
                self._retry_after = event.retry_after
            self._something.fire()

    def start(self, task_group: anyio.abc.TaskGroup, worker: Worker) -> None:
        """From now on."""
        if self._alerts:
            task_group.start_soon(self._run, worker)

    async def _run(self, worker: Worker) -> None:
        """For ever. A store that fails is asked again at the next look."""
        epoch = worker.ledger.utc(0.0).timestamp()
        watches = [Watch(alert, on_clock(alert.pacing, epoch)) for alert in self._alerts]
        senders = {alert.name: Sender(alert, worker) for alert in self._alerts}

        def send(watch: Watch, message: AlertMessage) -> None:
            watch.sending = True
            task_group.start_soon(senders[watch.alert.name].send, watch, message)

        wait = max(LEAST_PAUSE, min(alert.check_every for alert in self._alerts))
        async with anyio.create_task_group() as task_group:
            while True:
                happens = self._something.next()
                try:
                    await self._look(worker, watches, send)
                except TakenOverError as error:  # those who took it over look from now on
                    worker.announce(events.QueueTakenOver(worker.ledger.now(), error.queue, str(error)))
                    return
                except Exception as error:
                    worker.troubles.store_failed("alerts", error)
                await anyio.sleep(LEAST_PAUSE)
                with anyio.move_on_after(wait - LEAST_PAUSE):
                    await happens.wait()

    async def _look(
        self, worker: Worker, watches: Sequence[Watch], send: Callable[[Watch, AlertMessage], None]
    ) -> None:
        """Send what there is for this process to send. Where the store fails for one alert, it may not for the next."""
        ledger = worker.ledger
        snapshot = await ledger.snapshot()
        look = Look(
            now=snapshot.now,
            status=make_status(self._queue, worker.rules, snapshot, worker.working, forecast=False),
            forecast=lambda: make_status(self._queue, worker.rules, snapshot, worker.working).estimate,
            refused=self._refused,
            retry_after=self._retry_after,
        )
        self._refused, self._retry_after = 0, None
        problem: Exception | None = None
        for watch in watches:
            try:
                await self._look_for(worker, watch, look, Times.of(watch.alert.name, snapshot.queue.ticks), send)
            except TakenOverError:
                raise
            except Exception as error:
                problem = error
            for fault in watch.guard.take_faults():
                worker.announce(events.PartMisbehaved(look.now, fault.part, fault.question, fault.problem))
        if problem is not None:
            raise problem

    async def _look_for(
        self, worker: Worker, watch: Watch, look: Look, times: Times, send: Callable[[Watch, AlertMessage], None]
    ) -> None:
        """The same for one alert."""
        own = attrs.evolve(look, ended=await self._ended(worker, watch, times, look.now))
        tell = watch.looked(own, times)
        if tell is not None and await _is_ours(worker, watch, own, tell):
            message = self._message(worker, watch, tell, look.now)
            if message.firing or watch.alert.resolved:
                send(watch, message)
            if own.ended:  # for the pace of the others
                await _is_first(worker, watch, "happened", times.happened, look.now)

    async def _ended(self, worker: Worker, watch: Watch, times: Times, now: float) -> list[EndedJob]:
        """The jobs that have ended since the last message, as far as the condition wants to see them."""
        states: Sequence[JobState] = getattr(watch.alert.when, "states", ())
        if not states:
            return []
        if times.seen is None:  # what ended before it was there is not told
            await worker.ledger.tick(name_of("seen", watch.alert.name), None, now, [])
            return []
        ended = []
        for state in states:
            listed = await worker.ledger.listed(Listing(state=JobState(state), limit=ENDED_SHOWN))
            for _, record in listed.jobs:
                if record.ended_at is None or record.ended_at <= times.seen:
                    break
                ended.append(_ended(record, record.ended_at))
        return sorted(ended, key=lambda one: one.ended_at, reverse=True)

    def _message(self, worker: Worker, watch: Watch, tell: Tell, now: float) -> AlertMessage:
        alert, trouble, began = watch.alert, watch.trouble, watch.times.began
        count = watch.sent(tell, now)
        utc = worker.ledger.utc
        if tell == "over" or trouble is None:
            lasted = now - (now if began is None else began)
            text = f"over: {alert.name}, which was told {duration(lasted)} ago{f'; {count} more since' * (count > 0)}"
            trouble = Finding(text=text, since=now - lasted)
        return AlertMessage(
            alert=alert.name,
            queue=self._queue,
            firing=tell == "firing",
            text=_one_line(f"queue {self._queue}: {trouble.text}"),
            since=utc(trouble.since),
            at=utc(now),
            count=count,
            fields=dict(trouble.fields),
        )


async def _is_ours(worker: Worker, watch: Watch, look: Look, tell: Tell) -> bool:
    """Whether this process is the one that tells: the first that changes the time that all know."""
    times, trouble = watch.times, watch.trouble
    if tell == "over":
        return await _is_first(worker, watch, "over", times.over, look.now)
    if trouble is None or trouble.lasts:
        return await _is_first(worker, watch, "began", times.began, look.now)
    if look.ended:
        return await _is_first(worker, watch, "seen", times.seen, look.ended[0].ended_at)
    return await _is_first(worker, watch, "happened", times.happened, look.now)


async def _is_first(worker: Worker, watch: Watch, which: str, was: float | None, at: float) -> bool:
    return await worker.ledger.tick(name_of(which, watch.alert.name), was, at, []) is not None


def _ended(record: JobRecord, at: float) -> EndedJob:
    return EndedJob(id=record.id, task=record.task, state=record.state, ended_at=at, error=record.error)


def _one_line(text: str) -> str:
    """Ids, names and errors may come from anywhere."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."
