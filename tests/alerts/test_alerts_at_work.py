"""Alerts of a scheduler that runs: what is noticed, who is called, and that nothing that people write harms it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import attrs
import pytest
from every_store import MakeStore, on_every_store

from pacer import BoundedQueue, JobRecord, JobState, QueueFullError, Scheduler, StoreUnavailableError, events
from pacer.alerts import Alert, AlertMessage, HeldFor, JobEnded, OldestWaiting, PausedFor, QueueFull, _sender
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause, MinInterval, OpeningHours
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


class Told:
    """Remembers when it was called, and with what."""

    def __init__(self) -> None:
        self.messages: list[AlertMessage] = []
        self.at: list[float] = []

    async def __call__(self, message: AlertMessage) -> None:
        self.messages.append(message)
        self.at.append(anyio.current_time())

    @property
    def states(self) -> list[bool]:
        return [message.firing for message in self.messages]

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]


def shared(store: Store) -> Store:
    """One that several schedulers can have open at once."""
    return MemoryStore(lease=30) if isinstance(store, MemoryStore) else store


async def work() -> None:
    await anyio.sleep(1)


async def fail(job: str) -> None:
    msg = f"{job} is broken"
    raise ValueError(msg)


@on_every_store
async def test_a_job_that_waits_too_long_is_told_and_that_it_is_over(make: MakeStore) -> None:
    told = Told()
    async with Scheduler(store=make(), alerts=[Alert(OldestWaiting(600), told)]) as scheduler:
        await scheduler.pause()
        await scheduler.enqueue(work)
        await anyio.sleep(900)
        await scheduler.resume()
        await anyio.sleep(300)
    assert told.states == [True, False]
    first, last = told.messages
    assert first.text.startswith("queue default: a job has waited for 10 min: paused by hand; 1 job waits, 0 run")
    assert (first.at - first.since).total_seconds() <= 10.0
    assert last.text == "queue default: over: OldestWaiting(600), which was told 6 min ago"
    assert last.since == first.at


@on_every_store
async def test_a_job_that_is_to_start_later_is_not_waited_for(make: MakeStore) -> None:
    told = Told()
    async with Scheduler(store=make(), alerts=[Alert(OldestWaiting(60), told)]) as scheduler:
        await scheduler.options(delay=300).enqueue(work)
        await scheduler.drain()
    assert told.messages == []


@on_every_store
async def test_of_several_schedulers_on_a_queue_one_tells(make: MakeStore) -> None:
    store, told = shared(make()), Told()
    alerts = [Alert(PausedFor(30), told), Alert(JobEnded("failed"), told)]
    async with (
        Scheduler(store=store, concurrency=3, alerts=alerts) as one,
        Scheduler(store=store, concurrency=3, alerts=alerts),
        Scheduler(store=store, concurrency=3, alerts=alerts, worker_concurrency=0),
    ):
        await anyio.sleep(5)
        await one.enqueue(fail, "all")
        await anyio.sleep(100)
        await one.pause()
        await anyio.sleep(100)
        await one.resume()
        await anyio.sleep(100)
    assert [(message.alert, message.firing) for message in told.messages] == [
        ("JobEnded(failed)", True),
        ("PausedFor(30)", True),
        ("PausedFor(30)", False),
    ]


@on_every_store
async def test_a_restart_does_not_tell_again(make: MakeStore) -> None:
    told = Told()
    for _ in range(3):
        async with Scheduler(store=make(), alerts=[Alert(PausedFor(0), told)]) as scheduler:
            await scheduler.pause()
            await anyio.sleep(100)
    assert told.states == [True]


@on_every_store
async def test_jobs_that_failed_are_told_at_once_and_then_together(make: MakeStore) -> None:
    told = Told()
    queue, alerts = BoundedQueue(100), [Alert(JobEnded("failed"), told, pacing=MinInterval(400))]
    async with Scheduler(store=make(), queue=queue, alerts=alerts) as scheduler:
        await anyio.sleep(5)
        began = anyio.current_time()
        await scheduler.options(job_id="first").enqueue(fail, "first")
        await anyio.sleep(60)
        for number in range(40):
            await scheduler.options(job_id=f"j{number}").enqueue(fail, "another")
        await anyio.sleep(500)
    assert told.texts[0].endswith(": job first (test_alerts_at_work.fail) is failed: ValueError: first is broken")
    assert told.at[0] - began <= 2.0
    assert told.texts[1].split(": ")[1].startswith("40 jobs failed; the last is j39")
    assert [message.count for message in told.messages] == [1, 40]
    assert told.at[1] - told.at[0] == pytest.approx(400, abs=10)


async def test_whatever_is_in_an_error_the_text_is_one_line_that_is_not_too_long() -> None:
    told = Told()
    async with Scheduler(alerts=[Alert(JobEnded("failed"), told)]) as scheduler:
        await anyio.sleep(5)
        await scheduler.enqueue(fail, "\x1b[31m\u202e" + "very long " * 500)
        await anyio.sleep(5)
    (text,) = told.texts
    assert text.isprintable()
    assert len(text) == 500
    assert text.endswith("...")


@on_every_store
async def test_what_failed_before_the_alert_was_there_is_not_told_and_what_failed_between_runs_is(
    make: MakeStore,
) -> None:
    told = Told()

    async def run(alerts: list[Alert], job: str | None) -> None:
        async with Scheduler(store=make(), alerts=alerts) as scheduler:
            await anyio.sleep(5)
            if job is not None:
                await scheduler.options(job_id=job).enqueue(fail, job)
            await scheduler.drain()
            await anyio.sleep(60)

    alerts = [Alert(JobEnded("failed"), told, pacing=MinInterval(10))]
    await run([], "before")
    await run(alerts, None)
    await run([], "between")
    await run(alerts, None)
    assert [message.fields["job_id"] for message in told.messages] == ["between"]


@on_every_store
async def test_a_job_whose_worker_is_gone_for_good_is_told(make: MakeStore) -> None:
    store, told = shared(make()), Told()

    def scheduler() -> Scheduler:
        found = Scheduler(store=store, max_recoveries=0, alerts=[Alert(JobEnded("dead", "stale"), told)])
        found.task(work, name="work")
        return found

    async with scheduler():
        await anyio.sleep(5)
    await crash(store, "poison")
    async with scheduler() as after:
        await anyio.sleep(200)
        assert (await after.job("poison")).state is JobState.DEAD
    assert told.texts == ["queue default: job poison (work) is dead: interrupted by 1 crashes"]


async def crash(store: Store, job_id: str) -> None:
    """A worker claims a job and does not come back."""
    rules = Scheduler(max_recoveries=0)._rules()
    async with store.open("default", rules, "gone") as ledger:
        await ledger.add([JobRecord(job_id, "work", store.codec.encode_call("work", (), {}))])
        assert (await ledger.claim(frozenset({"work"}), 1)).jobs
        await ledger.recover(frozenset({"work"}))  # by which it says that it is there


async def test_refusals_are_told_and_counted() -> None:
    told = Told()
    alerts = [Alert(QueueFull(), told, pacing=MinInterval(600))]
    async with Scheduler(queue=BoundedQueue(2), pacing=FixedPause(50), alerts=alerts) as scheduler:
        for _ in range(500):
            with suppress(QueueFullError):
                await scheduler.enqueue(work)
            await anyio.sleep(1)
        await scheduler.drain()
        await anyio.sleep(100)
        succeeded = (await scheduler.status()).succeeded
    assert told.states == [True, False]
    assert sum(message.count for message in told.messages) == 500 - succeeded


async def test_who_does_not_want_to_know_that_it_is_over_is_not_told() -> None:
    told = Told()
    pacing = MinInterval(200)
    async with Scheduler(alerts=[Alert(PausedFor(0), told, pacing=pacing, resolved=False)]) as scheduler:
        for _ in range(2):
            await scheduler.pause()
            await anyio.sleep(100)
            await scheduler.resume()
            await anyio.sleep(200)
    assert told.states == [True, True]


async def test_an_upstream_that_is_down_is_one_message() -> None:
    told, upstream = Told(), {"up": False}

    async def call() -> None:
        if not upstream["up"]:
            raise ConnectionError("down")

    alerts = [Alert(HeldFor(120), told)]
    queue, backoff = BoundedQueue(1000), ConstantBackoff(60)
    async with Scheduler(queue=queue, backoff=backoff, alerts=alerts) as scheduler:
        for _ in range(200):
            await scheduler.enqueue(call)
        await anyio.sleep(1200)
        upstream["up"] = True
        await anyio.sleep(300)
    assert told.states == [True, False]
    assert "backoff of 60 s after" in told.texts[0]


async def test_pacing_can_be_a_calendar() -> None:
    """The night is quiet: it is told in the morning if it still lasts."""
    told = Told()
    async with Scheduler() as clock:
        now = clock.utc(0.0)
    opens = f"{(now.hour + 2) % 24:02}:00"
    closes = f"{(now.hour + 3) % 24:02}:00"
    pacing = MinInterval(60) & OpeningHours(opens, closes)
    async with Scheduler(alerts=[Alert(PausedFor(0), told, pacing=pacing)]) as scheduler:
        await scheduler.pause()
        await anyio.sleep(3 * 3600)
    assert [message.at.strftime("%H:%M") for message in told.messages] == [opens]


@on_every_store
async def test_who_took_the_queue_over_looks_from_then_on(make: MakeStore) -> None:
    store, before, after, recorder = shared(make()), Told(), Told(), Recorder()
    async with Scheduler(store=store, alerts=[Alert(PausedFor(5), before)], observers=[recorder]):
        await anyio.sleep(30)
        again = Scheduler(store=store, alerts=[Alert(PausedFor(5), after)], pacing=FixedPause(1), takeover=True)
        async with again as scheduler:
            await scheduler.pause()
            await anyio.sleep(100)
    assert (before.states, after.states) == ([], [True])
    assert 1 <= len(recorder.of(events.QueueTakenOver)) <= 2
    assert recorder.of(events.StoreFailed) == []


@attrs.define(eq=False)
class FailingLists:
    """A store that cannot list jobs."""

    store: MemoryStore = attrs.field(factory=MemoryStore)
    codec: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.codec = self.store.codec

    @asynccontextmanager
    async def open(self, *args: Any, **settings: Any) -> AsyncGenerator[Any]:
        async with self.store.open(*args, **settings) as ledger:
            yield _FailingLists(ledger)

    async def queues(self) -> Any:
        return await self.store.queues()


@attrs.define(eq=False)
class _FailingLists:
    ledger: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    async def listed(self, listing: Any) -> Any:
        msg = "the disk is full"
        raise StoreUnavailableError(msg)


async def test_what_the_store_does_not_say_for_one_alert_keeps_no_other_from_being_told() -> None:
    told, recorder = Told(), Recorder()
    alerts = [Alert(QueueFull(), told, name="first"), Alert(JobEnded("failed"), told), Alert(QueueFull(), told)]
    async with Scheduler(store=FailingLists(), observers=[recorder], alerts=alerts, queue=BoundedQueue(1)) as scheduler:
        await scheduler.pause()
        await anyio.sleep(30)  # at its first look no job has ended yet
        for _ in range(3):
            with suppress(QueueFullError):
                await scheduler.enqueue(work)
        await anyio.sleep(100)
    assert {message.alert: message.count for message in told.messages} == {"first": 2, "QueueFull()": 2}
    assert len(told.messages) == 2
    failed = recorder.of(events.StoreFailed)
    assert len(failed) >= 9
    assert failed[0].action == "alerts"


# -- functions that misbehave ----------------------------------------------------------------------------------------


async def paused_with(recorder: Recorder, *alerts: Alert, seconds: float = 200.0) -> None:
    async with Scheduler(observers=[recorder], alerts=alerts) as scheduler:
        await scheduler.pause()
        await anyio.sleep(seconds)


async def test_a_function_that_raises_is_called_again_and_given_up() -> None:
    calls, told, recorder = list[float](), Told(), Recorder()

    async def broken(message: AlertMessage) -> None:
        calls.append(anyio.current_time())
        msg = "no route to the pager"
        raise OSError(msg)

    await paused_with(recorder, Alert(PausedFor(0), broken, name="broken"), Alert(PausedFor(0), told, name="well"))
    assert [at - calls[0] for at in calls] == pytest.approx([0, 30, 60, 90, 120])
    failed = recorder.of(events.AlertFailed)
    assert [(event.alert, event.problem) for event in failed] == 5 * [("broken", "OSError: no route to the pager")]
    assert [event.retry_in for event in failed] == [30.0, 30.0, 30.0, 30.0, None]
    assert told.at == calls[:1], "the other alert had to wait"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example.com/services/T0/secret", "https://hooks.example.com..."),
        ("http://user:secret@127.0.0.1:8080/?token=secret", "http://127.0.0.1:8080..."),
        ("smtp://secret@mail", "smtp://mail..."),
    ],
)
async def test_the_address_of_a_webhook_is_told_to_nobody(url: str, shown: str) -> None:
    recorder = Recorder()

    async def broken(message: AlertMessage) -> None:
        msg = f"Client error '404 Not Found' for url '{url}', more at {url}"
        raise OSError(msg)

    await paused_with(recorder, Alert(PausedFor(0), broken), seconds=5)
    problem = recorder.of(events.AlertFailed)[0].problem
    assert problem == f"OSError: Client error '404 Not Found' for url '{shown}', more at {shown}"


async def test_a_function_that_fails_once_is_called_again() -> None:
    messages, recorder = list[AlertMessage](), Recorder()

    async def flaky(message: AlertMessage) -> None:
        messages.append(message)
        if len(messages) == 1:
            raise OSError

    await paused_with(recorder, Alert(PausedFor(0), flaky))
    assert messages[0] is messages[1]
    assert len(messages) == 2
    sent = recorder.of(events.AlertSent)
    assert [(event.alert, event.firing, event.text) for event in sent] == [("PausedFor(0)", True, messages[0].text)]


async def test_a_function_that_hangs_is_stopped_and_delays_nobody() -> None:
    told, recorder = Told(), Recorder()

    async def hang(message: AlertMessage) -> None:
        await anyio.sleep_forever()

    alerts = [Alert(PausedFor(0), hang, name="hang", timeout=7), Alert(PausedFor(0), told, name="well")]
    await paused_with(recorder, *alerts, seconds=60)
    failed = recorder.of(events.AlertFailed)
    assert [event.problem for event in failed] == 2 * ["did not return within 7 s"]
    assert failed[1].at - failed[0].at == pytest.approx(37)
    assert told.states == [True]


@pytest.mark.asyncio_only
async def test_a_function_that_cancels_itself_has_failed() -> None:
    recorder = Recorder()

    async def odd(message: AlertMessage) -> None:
        raise asyncio.CancelledError

    await paused_with(recorder, Alert(PausedFor(0), odd))
    assert len(recorder.of(events.AlertFailed)) == 5


async def test_a_stop_does_not_wait_for_a_message_that_is_on_its_way() -> None:
    recorder = Recorder()

    async def hang(message: AlertMessage) -> None:
        recorder(events.RateSet(0.0, None))
        await anyio.sleep_forever()

    began = anyio.current_time()
    await paused_with(recorder, Alert(PausedFor(0), hang), seconds=3)
    assert recorder.of(events.RateSet)
    assert anyio.current_time() - began == pytest.approx(3)
    assert recorder.names[-1] == "SchedulerStopped"


@pytest.mark.real_time
async def test_a_plain_function_runs_in_a_thread() -> None:
    threads, done = set[threading.Thread](), anyio.Event()
    loop = anyio.lowlevel.current_token()

    def tell(message: AlertMessage) -> None:
        threads.add(threading.current_thread())
        anyio.from_thread.run_sync(done.set, token=loop)

    async with Scheduler(alerts=[Alert(PausedFor(0), tell)]) as scheduler:
        await scheduler.pause()
        with anyio.fail_after(30):
            await done.wait()
    assert threading.current_thread() not in threads


@pytest.mark.real_time
async def test_a_plain_function_that_hangs_is_given_up_and_never_runs_twice_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_sender, "RETRY_IN", 0.01)
    release, calls, given_up, problems = threading.Event(), list[str](), anyio.Event(), list[str]()

    def hang(message: AlertMessage) -> None:
        calls.append(message.alert)
        release.wait()

    def observe(event: Any) -> None:
        if isinstance(event, events.AlertFailed):
            problems.append(event.problem)
            if event.retry_in is None:
                given_up.set()

    try:
        async with Scheduler(alerts=[Alert(PausedFor(0), hang, timeout=0.1)], observers=[observe]) as scheduler:
            await scheduler.pause()
            with anyio.fail_after(30):
                await given_up.wait()
    finally:
        release.set()
    assert calls == ["PausedFor(0)"]
    last = "TimeoutError: the call before this one has not returned yet"
    assert problems == ["did not return within 0.1 s", *[last] * 4]


@pytest.mark.real_time
async def test_a_lambda_around_a_coroutine_function_is_awaited() -> None:
    done = anyio.Event()

    async def tell(message: AlertMessage) -> None:
        done.set()

    async with Scheduler(alerts=[Alert(PausedFor(0), lambda message: tell(message))]) as scheduler:  # noqa: PLW0108
        await scheduler.pause()
        with anyio.fail_after(30):
            await done.wait()


async def test_a_condition_that_raises_is_reported() -> None:
    class Broken:
        def check(self, look: Any, before: Any) -> Any:
            msg = "no idea"
            raise LookupError(msg)

    told, recorder = Told(), Recorder()
    await paused_with(recorder, Alert(Broken(), told, name="broken"), Alert(PausedFor(0), told))
    assert recorder.of(events.PartMisbehaved)[0].problem == "LookupError: no idea"
    assert [message.alert for message in told.messages] == ["PausedFor(0)"]


def test_two_alerts_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two alerts have the name 'QueueFull\(\)'; give one of them another"):
        Scheduler(alerts=[Alert(QueueFull(), print), Alert(QueueFull(), print)])


def test_something_else_than_an_alert_is_refused() -> None:
    with pytest.raises(TypeError, match="alerts must be a list of Alert"):
        Scheduler(alerts=[print])  # type: ignore[list-item]
