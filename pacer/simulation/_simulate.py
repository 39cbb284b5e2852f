"""The way in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

import attrs

from pacer import Scheduler
from pacer._validation import optional_seconds
from pacer.simulation._arrivals import Workload
from pacer.simulation._calm import Calm, calm
from pacer.simulation._client import Client
from pacer.simulation._fairness import fairness
from pacer.simulation._ledger import VirtualLedger
from pacer.simulation._promises import PromiseKeeper
from pacer.simulation._result import Result
from pacer.simulation._run import Run
from pacer.simulation._simulated_job import Source
from pacer.simulation._station import Station
from pacer.simulation._tally import Tally
from pacer.simulation._upstream import RunningUpstream, Upstream


def simulate(
    clients: Scheduler | Client | Sequence[Scheduler | Client],
    workload: Workload | None,
    upstream: Upstream,
    *,
    seed: int = 0,
    until: float | timedelta | None = None,
    start: datetime | None = None,
    keep: int = 0,
    estimates: int = 0,
) -> Result:
    """Run a workload through the parts of a scheduler, in front of a made-up upstream, in no time.

    It is the same code that decides in a real run: the rules with their policies, and the ledger of the memory store.
    Time goes from one thing that happens to the next. All that happens at one moment is taken in before the queues are
    asked who is next. Equal arguments give an equal result, on any machine.

    Args:
        clients: The scheduler whose parts are tried, or a `Client` that says more of it, or several of these in front
            of the one upstream.
        workload: The jobs. Several clients get them at random, by their shares. None if each client has its own.
        upstream: The service at the other end.
        seed: Of all chance in the run.
        until: Seconds after which the run ends; None (default): when all jobs have ended.
        start: The time of day at the beginning, aware, for policies that speak of the calendar; 1970-01-01 in UTC by
            default.
        keep: Keep the first things that happen, up to so many, in `Result.happenings`; 0 by default.
        estimates: Check the estimates of between one and two times so many jobs against their actual starts; 0
            (default) saves the time that this takes.

    Raises:
        ValueError: The workload is endless and `until` is not given, or there are no jobs to be had at all.
        SimulationError: The run does not come to an end.
    """
    several = [clients] if isinstance(clients, Scheduler | Client) else list(clients)
    all_clients = _named([one if isinstance(one, Client) else Client(one) for one in several])
    limit = optional_seconds(until)
    _check(all_clients, workload, limit)
    run = Run(
        seed=seed,
        upstream=RunningUpstream(upstream, _random(seed, "upstream")),
        until=math.inf if limit is None else limit,
        keep=keep,
        promises=PromiseKeeper(estimates) if estimates else None,
    )
    epoch = 0.0 if start is None else _epoch(start)
    run.stations += [_station(run, client, index, epoch) for index, client in enumerate(all_clients)]
    _begin(run, _sources(run, workload))
    run.go()
    return _result(run)


def _named(clients: Sequence[Client]) -> list[Client]:
    named = [
        client if client.name else attrs.evolve(client, name=f"client {number}")
        for number, client in enumerate(clients, start=1)
    ]
    names = [client.name for client in named]
    if len(set(names)) < len(names):
        msg = f"simulate: two clients have the same name: {', '.join(names)}"
        raise ValueError(msg)
    return named


def _check(clients: Sequence[Client], workload: Workload | None, until: float | None) -> None:
    if not clients:
        msg = "simulate: there must be at least one client"
        raise ValueError(msg)
    if until is not None and not until > 0:
        msg = f"simulate: until must be above 0, got {until!r}"
        raise ValueError(msg)
    sharing = [client for client in clients if client.workload is None]
    if sharing and workload is None:
        msg = f"simulate: {sharing[0].name} has no workload of its own, so the common one must not be None"
        raise ValueError(msg)
    if sharing and not sum(client.share for client in sharing) > 0:
        msg = "simulate: at least one client must have a share above 0 in the common workload"
        raise ValueError(msg)
    if workload is not None and not sharing:
        msg = "simulate: every client has a workload of its own, so nobody would get the common one; pass None"
        raise ValueError(msg)
    for one in [workload, *(client.workload for client in clients)]:
        if one is not None and one.endless and (until is None or math.isinf(until)):
            msg = f"simulate: {one!r} never ends; give it an end, or give until="
            raise ValueError(msg)


def _epoch(start: datetime) -> float:
    if start.tzinfo is None:
        msg = f"simulate: start must be aware (it has to have a time zone), got {start!r}"
        raise ValueError(msg)
    return start.timestamp()


def _random(seed: int, purpose: str) -> Random:
    """Independent dice for each purpose, so that another policy does not change the arrivals."""
    return Random(f"{seed}/{purpose}")  # noqa: S311 - simulated chance


def _station(run: Run, client: Client, index: int, epoch: float) -> Station:
    start = client.scheduler._start()
    dice = _random(run.seed, f"client {index}")
    rules = start.rules if run.promises is not None else attrs.evolve(start.rules, calibrated=False)
    if client.scheduler.seed is None:
        rules = attrs.evolve(rules, random=_random(run.seed, f"jitter {index}"))
    ledger = VirtualLedger.opened(rules, lambda: run.now, epoch)
    return Station(client, run, dice, start.slots, ledger)


def _begin(run: Run, sources: Sequence[Source]) -> None:
    if len(sources) == 1 and calm(run, run.stations[0], sources[0]):
        Calm(run, run.stations[0], sources[0]).go()
        return
    for source in sources:
        run.feed(source)


def _sources(run: Run, workload: Workload | None) -> list[Source]:
    sharing = [station for station in run.stations if station.client.workload is None]
    sources = []
    if workload is not None:
        sources.append(_source(workload, _random(run.seed, "workload"), _dealer(run, sharing)))
    for index, station in enumerate(run.stations):
        own = station.client.workload
        if own is not None:
            sources.append(_source(own, _random(run.seed, f"workload {index}"), _dealer(run, [station])))
    return sources


def _source(workload: Workload, random: Random, choose: Callable[[], Station]) -> Source:
    return Source(workload.arrivals(random), getattr(workload, "after", None), random, choose)


def _dealer(run: Run, stations: Sequence[Station]) -> Callable[[], Station]:
    if len(stations) == 1:
        return lambda: stations[0]
    dice = _random(run.seed, "shares")
    cumulative = list(accumulate(station.client.share for station in stations))
    return lambda: dice.choices(stations, cum_weights=cumulative)[0]


def _result(run: Run) -> Result:
    whole = Tally.of(station.tally for station in run.stations)
    figures = whole.figures()
    left = whole.unfinished
    end = run.until if left and run.until < math.inf else run.now if left else run.last_at
    lanes = run.lanes.values() if run.lanes else [station.tally.lane for station in run.stations]
    return Result(
        **figures,
        seed=run.seed,
        makespan=end,
        oracle_makespan=run.oracle.seconds,
        utilisation=_share(run.oracle.seconds, end if left else run.last_asked) if whole.succeeded else 0.0,
        fairness=fairness(lanes, end),
        clients={station.client.name: station.tally.totals() for station in run.stations},
        timeline=run.recording.timeline(run.upstream.recipe.rate, end),
        promises=None if run.promises is None else run.promises.promises(),
        happenings=tuple(run.happenings),
        stuck=_stuck(run),
        faults=_faults(run),
    )


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def _stuck(run: Run) -> str | None:
    """Why jobs still wait though nothing can happen any more."""
    if not run.idle:
        return None
    for station in run.stations:
        if station.ledger.waiting and station.next is not None:
            return f"{station.client.name}: {station.next.reason or 'no time can be named'}"
    return None


def _faults(run: Run) -> tuple[str, ...]:
    faults = [fault for station in run.stations for fault in station.ledger.rules.guard.take_faults()]
    return tuple(dict.fromkeys(f"{fault.part}.{fault.question}: {fault.problem}" for fault in faults))
