"""Virtual time itself."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import socket
import threading

import anyio
import anyio.to_thread
import pytest

from pacer import Scheduler
from pacer.events import JobSucceeded
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, ManualClock, Recorder, VirtualTimeError, VirtualTimeLoop, outside, run_virtual

BACKENDS = ["asyncio", "trio"]


def takes_real_time():
    """Some 20 ms of work that lets other threads run, which the virtual clock must not run ahead of."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000)


def run_on(loop_factory, async_fn):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(async_fn())


@pytest.mark.anyio
async def test_a_year_passes_at_once_and_exactly():
    before = anyio.current_time()
    await anyio.sleep(365 * 86400)
    assert anyio.current_time() - before == 365 * 86400


@pytest.mark.anyio
async def test_sleepers_wake_in_the_order_of_their_times():
    woken = []

    async def sleeper(seconds):
        await anyio.sleep(seconds)
        woken.append((seconds, anyio.current_time() - start))

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for seconds in (3.5, 0.25, 1000, 7):
            group.start_soon(sleeper, seconds)
    assert woken == [(0.25, 0.25), (3.5, 3.5), (7, 7), (1000, 1000)]


@pytest.mark.anyio
async def test_a_time_out_cuts_a_longer_sleep():
    start = anyio.current_time()
    with anyio.move_on_after(5) as scope:
        await anyio.sleep(60)
    assert scope.cancelled_caught
    assert anyio.current_time() - start == 5


@pytest.mark.anyio
async def test_the_clock_stands_still_while_a_thread_is_awaited_outside():
    start = anyio.current_time()
    answered = threading.Event()

    async def impatient():
        await anyio.sleep(1)
        assert answered.is_set(), "virtual time ran on while the thread was working"

    def work():
        takes_real_time()
        answered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(impatient)
        await anyio.sleep(0.5)
        with outside():
            await anyio.to_thread.run_sync(work)
        assert anyio.current_time() - start == 0.5
    assert anyio.current_time() - start == 1


@pytest.mark.anyio
async def test_two_holders_of_the_clock_each_hold_it_to_their_own_end():
    first, second = threading.Event(), threading.Event()
    ends = []

    async def hold(event):
        with outside():
            await anyio.to_thread.run_sync(event.wait)
        ends.append(anyio.current_time() - start)

    async def passer_by():
        await anyio.sleep(10)
        ends.append(anyio.current_time() - start)

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, first)
        group.start_soon(hold, second)
        group.start_soon(passer_by)
        await anyio.lowlevel.checkpoint()
        first.set()
        while not ends:
            await anyio.lowlevel.checkpoint()
        threading.Thread(target=lambda: (takes_real_time(), second.set())).start()
    assert ends == [0, 0, 10]


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_virtual_returns_the_result(backend):
    async def main(a, b):
        await anyio.sleep(b)
        return a, anyio.current_time() - start

    async def timed():
        nonlocal start
        start = anyio.current_time()
        return await main("x", 9.75)

    start = 0.0
    assert run_virtual(timed, backend=backend) == ("x", 9.75)
    assert run_virtual(main, "y", 0.0, backend=backend)[0] == "y"


def test_outside_does_nothing_in_real_time():
    async def main():
        with outside():
            await anyio.lowlevel.checkpoint()
        return "done"

    for backend in BACKENDS:
        assert anyio.run(main, backend=backend) == "done"


def test_a_manual_clock_goes_forward_when_told():
    clock = ManualClock(100.0)
    clock.advance(2.5)
    assert clock() == clock.now == 102.5
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="goes forward"):
            clock.advance(wrong)
    assert clock() == 102.5


# From here on the asyncio loop alone.


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_equal_timers_run_in_the_order_in_which_they_were_set():
    order = []
    loop = asyncio.get_running_loop()
    for number in range(100):
        loop.call_at(7.0, order.append, number)
    await asyncio.sleep(7)
    assert order == list(range(100))


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_timer_that_is_cancelled_at_its_own_moment_does_not_run():
    ran = []
    loop = asyncio.get_running_loop()
    loop.call_at(1.0, lambda: second.cancel())  # noqa: PLW0108 - there is no second yet
    second = loop.call_at(1.0, ran.append, "second")
    loop.call_at(1.0, ran.append, "third")
    await asyncio.sleep(2)
    assert ran == ["third"]


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_cancelled_timers_are_not_kept_until_their_time():
    loop = asyncio.get_running_loop()
    for _ in range(10_000):
        loop.call_later(1e6, print).cancel()
    assert len(loop._timers) < 200


@pytest.mark.parametrize("start", [0.0, 1.0, 1.7e9, 1e12])
def test_timers_fire_exactly_on_time_from_any_start(start):
    """At epoch size a float cannot hold the clock's resolution of 1 ns; a loop that adds it stands still for ever."""

    async def main():
        loop = asyncio.get_running_loop()
        for step in (1 / 3, 1e-3, 10.0, 1e5):
            at = loop.time() + step
            await asyncio.sleep(step)
            assert loop.time() == at
        return loop.time() - start

    assert run_on(functools.partial(VirtualTimeLoop, start=start), main) == pytest.approx(100010.334, rel=1e-6)


@pytest.mark.parametrize("offload", ["executor", "asyncio.to_thread", "anyio.to_thread"])
def test_threads_are_waited_for_without_being_told(offload):
    async def main():
        loop = asyncio.get_running_loop()

        async def run(function):
            if offload == "executor":
                return await loop.run_in_executor(None, function)
            if offload == "asyncio.to_thread":
                return await asyncio.to_thread(function)
            return await anyio.to_thread.run_sync(function)

        timed_out = loop.call_later(5, lambda: None)
        for turn in range(3):
            assert await run(lambda turn=turn: (takes_real_time(), turn)[1]) == turn
            assert loop.time() == 0
        assert not timed_out.cancelled()
        await asyncio.sleep(8)
        return loop.time()

    assert anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop}) == 8


def test_a_thousand_calls_in_threads_take_the_time_that_they_are_told_to():
    async def main():
        async def one(first):
            await anyio.sleep(first)
            for turn in range(20):
                assert await anyio.to_thread.run_sync(lambda turn=turn: turn) == turn
                await anyio.sleep(0.5)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, number % 7)
        return anyio.current_time()

    assert run_virtual(main) == 6 + 20 * 0.5


def test_a_deadlock_is_an_error_that_says_where_the_tasks_wait():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match=r"nothing can happen any more at virtual time 0.*locks\.py"):
        run_on(VirtualTimeLoop, main)


def test_a_timer_at_infinity_is_no_way_out():
    async def main():
        asyncio.get_running_loop().call_at(float("inf"), print)
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match="nothing can happen"):
        run_on(VirtualTimeLoop, main)


def test_a_busy_loop_at_one_instant_is_an_error():
    async def main():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(VirtualTimeError, match="spins: 1000 rounds at virtual time 0"):
        run_on(functools.partial(VirtualTimeLoop, max_steps=1000), main)


def test_a_loop_that_creeps_on_by_rounding_errors_spins_too():
    async def main():
        await asyncio.sleep(1)
        while True:
            await asyncio.sleep(1e-12)

    with pytest.raises(VirtualTimeError, match="spins"):
        run_on(functools.partial(VirtualTimeLoop, max_steps=1000), main)


def test_steps_that_take_time_are_not_counted_together():
    async def main():
        for _ in range(3000):
            await asyncio.sleep(0.001)
        return asyncio.get_running_loop().time()

    assert run_on(functools.partial(VirtualTimeLoop, max_steps=100), main) == pytest.approx(3)


def test_outside_work_that_waits_for_the_loop_is_an_error():
    async def main():
        with outside():
            await asyncio.sleep(1)

    with pytest.raises(VirtualTimeError, match=r"not answered for 0\.05 real seconds"):
        run_on(functools.partial(VirtualTimeLoop, patience=0.05), main)


def test_a_socket_without_timers_is_really_waited_for():
    async def main():
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            threading.Thread(target=lambda: (takes_real_time(), right.send(b"x"))).start()
            return await asyncio.get_running_loop().sock_recv(left, 1)

    assert run_on(VirtualTimeLoop, main) == b"x"


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_scheduler_on_a_held_sqlite_store_keeps_exact_time(tmp_path):
    """Three jobs of 60, 0 and 30 s with a pause of 10 s, through a database on a thread: not a microsecond is lost."""
    loop = asyncio.get_running_loop()
    store = HeldStore(SqliteStore(tmp_path / "jobs.db", clock=lambda: 1.7e9 + loop.time()))
    started, recorder = [], Recorder()

    async def work(seconds):
        started.append(loop.time())
        await asyncio.sleep(seconds)

    async with Scheduler(store=store, pacing=FixedPause(10), observers=(recorder,)) as scheduler:
        for seconds in (60, 0, 30):
            await scheduler.enqueue(work, seconds)
        assert await scheduler.drain()
        assert loop.time() == pytest.approx(110, abs=1e-6)
    assert started == pytest.approx([0, 70, 80], abs=1e-6)
    assert len(recorder.of(JobSucceeded)) == 3
    assert recorder.names[0] == "SchedulerStarted"


def test_a_closed_loop_takes_no_timers():
    loop = VirtualTimeLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, print)
