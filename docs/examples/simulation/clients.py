from pacer import BoundedQueue, Retry, Scheduler
from pacer.backoff import ExponentialBackoff, FullJitter
from pacer.pacing import AdaptiveRate
from pacer.simulation import (
    Bursts,
    Client,
    GcraLimit,
    JobMix,
    LogNormal,
    Outage,
    Upstream,
    simulate,
)

scheduler = Scheduler(
    queue=BoundedQueue(2000),
    pacing=AdaptiveRate(1),
    backoff=FullJitter(ExponentialBackoff(5, maximum=60)),
    concurrency=20,
)
retry = Retry(5, FullJitter(ExponentialBackoff(2)))
# Requests and tokens a minute together, and a minute in which it is away.
upstream = Upstream(
    [GcraLimit(600, per=60), GcraLimit(600_000, per=60, of="tokens")],
    LogNormal(1.0),
    Outage(600, 60),
)
mix = JobMix(cost={"requests": 1, "tokens": LogNormal(800)})
workload = Bursts(1000, every=300, lasting=1500, mix=mix)


def main() -> None:
    clients = [Client(scheduler, name=name, retry=retry) for name in ("one", "two")]
    result = simulate(clients, workload, upstream, seed=1)
    print(f"{result.succeeded} of {result.arrived} done in {result.makespan:.0f} s")
    print(f"{result.throttled} refused, {result.errors} met the outage")
    print(f"{result.utilisation:.0%} of what an oracle would have made of it")
    for name, totals in result.clients.items():
        print(f"{name}: {totals.succeeded} done, p95 of waits {totals.wait.p95:.0f} s")
    after = result.timeline.between(660, 720)
    print(f"the minute after the outage: {after.goodput:.1f} a second")


if __name__ == "__main__":
    main()
