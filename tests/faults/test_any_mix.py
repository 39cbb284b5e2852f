"""Operations and faults in any order: hypothesis makes them up."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import attrs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pool import Pool, Process, pool
from pool_worker import Log, Plan, make_scheduler
from proxy import Proxy
from servers import PostgresServer, Server

from pacer import Scheduler, StoreUnavailableError

_places = itertools.count()


@attrs.define(eq=False)
class World:
    """All that a step can do something to."""

    server: Server
    proxy: Proxy
    workers: Pool
    stopped: list[Process] = attrs.field(init=False, factory=list)

    # -- faults -------------------------------------------------------------------------------------------------------

    def start_worker(self, number: int) -> None:
        """Every other one is on the far side of the proxy."""
        address = self.workers.plan.by_way_of(self.proxy.port) if number % 2 else self.workers.plan.address
        if len(self.workers.alive) < 4:
            self.workers.start(address=address, moody=True)

    def kill_worker(self, number: int) -> None:
        victim = self.workers.alive[number % len(self.workers.alive)]
        if victim in self.stopped:
            self.stopped.remove(victim)
        self.workers.kill(victim)
        self.start_worker(number)

    def stop_worker(self, number: int) -> None:
        awake = [one for one in self.workers.alive if one not in self.stopped]
        if awake:
            sleeper = awake[number % len(awake)]
            self.workers.stop(sleeper)
            self.stopped.append(sleeper)

    def wake_worker(self, number: int) -> None:
        if self.stopped:
            self.workers.wake(self.stopped.pop(number % len(self.stopped)))

    def kill_server(self, number: int) -> None:
        if self.server.running:
            self.server.kill()

    def start_server(self, number: int) -> None:
        if not self.server.running:
            self.server.start()

    def cut(self, number: int) -> None:
        self.proxy.cut()

    def stall(self, number: int) -> None:
        self.proxy.stall(requests=number % 3 != 0, answers=number % 3 != 1)

    def flow(self, number: int) -> None:
        self.proxy.flow()

    def refuse(self, number: int) -> None:
        self.proxy.refuse()
        self.proxy.cut()

    def accept(self, number: int) -> None:
        self.proxy.accept()

    # -- operations ---------------------------------------------------------------------------------------------------

    def pause(self, number: int) -> None:
        self._as_operator(Scheduler.pause)

    def resume(self, number: int) -> None:
        self._as_operator(Scheduler.resume)

    def cancel(self, number: int) -> None:
        """A job that was acknowledged lately."""
        known = self.workers.seen("acknowledged")
        if known:
            job = known[-1 - number % min(20, len(known))].job
            Log(self.workers.plan.log, "operator").write("cancelled", job)
            self._as_operator(lambda scheduler: scheduler.cancel(job))

    def _as_operator(self, do: Callable[[Scheduler], Any]) -> None:
        async def operate() -> None:
            scheduler, _ = make_scheduler(attrs.evolve(self.workers.plan, name="operator"), worker_concurrency=0)
            async with scheduler:
                await do(scheduler)

        if self.server.running:
            with suppress(StoreUnavailableError):
                anyio.run(operate)

    def heal(self) -> None:
        """Everything works again, and everybody goes on."""
        self.start_server(0)
        self.proxy.flow()
        self.proxy.accept()
        while self.stopped:
            self.wake_worker(0)
        self.resume(0)


STEPS = st.tuples(
    st.sampled_from(
        [
            World.start_worker,
            World.kill_worker,
            World.stop_worker,
            World.wake_worker,
            World.kill_server,
            World.start_server,
            World.cut,
            World.stall,
            World.flow,
            World.refuse,
            World.accept,
            World.pause,
            World.resume,
            World.cancel,
        ]
    ),
    st.integers(0, 11),
)


# Shrinking would run for many minutes; the steps of a failure are shown as they are.
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
def test_the_guarantees_hold(kind: str, the_server: Server, steps: list[tuple[Callable[..., None], int]]) -> None:
    address = the_server.dsn if isinstance(the_server, PostgresServer) else the_server.url
    with tempfile.TemporaryDirectory() as name, Proxy(the_server.port) as proxy:
        place, log = f"mix-{os.getpid()}-{next(_places)}", f"{name}/log"
        plan = Plan(name="", log=log, store=kind, address=address, place=place)
        with pool(plan, Path(name)) as workers:
            world = World(the_server, proxy, workers)
            for number in range(3):
                world.start_worker(number)
            workers.wait_for("settled", 3)
            for step, number in steps:
                step(world, number)
                workers.linger(5 * number, seconds=0.3)
            world.heal()
            workers.now()
            for process in workers.alive:
                workers.wait_for("settled", who=process.name)
            assert workers.finish().violations() == []
