from pacer import BoundedQueue, Scheduler
from pacer.pacing import FixedPause, SlidingWindow, TokenBucket, Unpaced
from pacer.simulation import Bursts, FixedWindowLimit, LogNormal, Upstream, simulate

# 60 requests in each minute, answered in 2 seconds on average; a 429 names no time.
upstream = Upstream(FixedWindowLimit(60, per=60), LogNormal(2.0), retry_after=False)
# 100 jobs within ten seconds, every two minutes, for an hour.
workload = Bursts(100, every=120, within=10, lasting=3600)


def main() -> None:
    for pacing in (
        Unpaced(),
        FixedPause(1),
        TokenBucket(60, per=60),
        SlidingWindow(60, per=60),
    ):
        concurrency = 1 if pacing == FixedPause(1) else 10
        scheduler = Scheduler(
            queue=BoundedQueue(500), pacing=pacing, concurrency=concurrency
        )
        result = simulate(scheduler, workload, upstream)
        print(pacing)
        print(f"  {result.succeeded} done, {result.refused} found the queue full")
        print(f"  {result.throttled_share:.1%} of the requests were refused")
        print(f"  waits: p50 {result.wait.p50:.0f} s, p95 {result.wait.p95:.0f} s")


if __name__ == "__main__":
    main()
