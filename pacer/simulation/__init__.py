"""Try parts on a workload before production: the same rules, in virtual time, without an event loop.

result = simulate(
    Scheduler(pacing=TokenBucket(rate=1), concurrency=4),
    Poisson(0.8, lasting=3600),
    Upstream(limits=FixedWindowLimit(60, per=60), latency=LogNormal(2.0)),
)
print(result.goodput, result.throttled_share, result.wait.p95)
"""

from pacer.simulation._arrivals import Arrival as Arrival
from pacer.simulation._arrivals import Workload as Workload
from pacer.simulation._client import Client as Client
from pacer.simulation._distributions import Constant as Constant
from pacer.simulation._distributions import Distribution as Distribution
from pacer.simulation._distributions import Exponential as Exponential
from pacer.simulation._distributions import FoldedNormal as FoldedNormal
from pacer.simulation._distributions import LogNormal as LogNormal
from pacer.simulation._distributions import Uniform as Uniform
from pacer.simulation._errors import SimulationError as SimulationError
from pacer.simulation._job_mix import JobMix as JobMix
from pacer.simulation._result import Happening as Happening
from pacer.simulation._result import Promises as Promises
from pacer.simulation._result import Result as Result
from pacer.simulation._result import Totals as Totals
from pacer.simulation._samples import Spread as Spread
from pacer.simulation._simulate import simulate as simulate
from pacer.simulation._timeline import Stretch as Stretch
from pacer.simulation._timeline import Timeline as Timeline
from pacer.simulation._upstream import Upstream as Upstream
from pacer.simulation._upstreams._changing_limit import ChangingLimit as ChangingLimit
from pacer.simulation._upstreams._cost_latency import CostLatency as CostLatency
from pacer.simulation._upstreams._fixed_window_limit import FixedWindowLimit as FixedWindowLimit
from pacer.simulation._upstreams._gcra_limit import GcraLimit as GcraLimit
from pacer.simulation._upstreams._latency import Latency as Latency
from pacer.simulation._upstreams._limit import Limit as Limit
from pacer.simulation._upstreams._loaded_latency import LoadedLatency as LoadedLatency
from pacer.simulation._upstreams._per_key_limit import PerKeyLimit as PerKeyLimit
from pacer.simulation._upstreams._sliding_window_limit import SlidingWindowLimit as SlidingWindowLimit
from pacer.simulation._upstreams._trouble import BrownOut as BrownOut
from pacer.simulation._upstreams._trouble import Outage as Outage
from pacer.simulation._upstreams._trouble import Trouble as Trouble
from pacer.simulation._workloads._backlog import Backlog as Backlog
from pacer.simulation._workloads._bursts import Bursts as Bursts
from pacer.simulation._workloads._closed_loop import ClosedLoop as ClosedLoop
from pacer.simulation._workloads._day_curve import DayCurve as DayCurve
from pacer.simulation._workloads._history import History as History
from pacer.simulation._workloads._poisson import Poisson as Poisson
from pacer.simulation._workloads._trace import Trace as Trace

__all__ = [
    "Arrival",
    "Backlog",
    "BrownOut",
    "Bursts",
    "ChangingLimit",
    "Client",
    "ClosedLoop",
    "Constant",
    "CostLatency",
    "DayCurve",
    "Distribution",
    "Exponential",
    "FixedWindowLimit",
    "FoldedNormal",
    "GcraLimit",
    "Happening",
    "History",
    "JobMix",
    "Latency",
    "Limit",
    "LoadedLatency",
    "LogNormal",
    "Outage",
    "PerKeyLimit",
    "Poisson",
    "Promises",
    "Result",
    "SimulationError",
    "SlidingWindowLimit",
    "Spread",
    "Stretch",
    "Timeline",
    "Totals",
    "Trace",
    "Trouble",
    "Uniform",
    "Upstream",
    "Workload",
    "simulate",
]
