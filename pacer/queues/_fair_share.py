"""Each key gets its share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

import attrs
from typing_extensions import TypedDict

from pacer._validation import positive, whole
from pacer.protocols import JobFacts

# One absurd cost must not make all others too small to count beside it.
_LARGEST = 1e9


class Shares(TypedDict):
    """The virtual time, and for each lane that is ahead of it the finish tag of its last job."""

    virtual: float
    finish: dict[str, float]


def _copy(weights: Mapping[str | None, float] | None) -> dict[str | None, float]:
    if not isinstance(weights, Mapping | None):
        msg = f'FairShare: weights must be a mapping such as {{"tenant-1": 2}}, got {weights!r}'
        raise TypeError(msg)
    return dict(weights or {})


def _weights(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str | None, float]) -> None:
    for key, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not (isinstance(key, str | None) and number and math.isfinite(weight) and weight > 0):
            msg = f"FairShare: {attribute.name} must map keys of jobs to finite numbers above 0, got {value!r}"
            raise ValueError(msg)


@attrs.frozen
class FairShare:
    """The keys share the queue in proportion to their weights, however many jobs each of them brings.

    Start-time fair queueing (Goyal, Vin, Cheng 1996). A job is tagged when it comes in, and the smallest start tag is
    next; with the job's `cost`, the `weight` of its key, and F the finish tag of the job of that key before it:

        start tag S = max(V, F),  finish tag F = S + cost / weight
        when a job starts:  V = max(V, S)

    While two keys have jobs waiting, what they have started in any stretch of time, each in units of its weight,
    differs by at most `cost_max / weight` of the one plus that of the other. A key that comes to a busy queue waits for
    at most one job of each other key; a key that was idle has saved nothing up. Nothing ever waits for a share that is
    not used. Jobs without a key are one lane of their own, as if None were a key.

    When more than `keys` keys are ahead of V, V goes on to the smallest finish tag. That key is forgotten without loss,
    because it would begin there anyway, and whoever comes then begins there too: later by the cost of one job at most,
    by which the bounds above grow, while fewer than `keys` keys have jobs waiting; later by more if there are more.

    A tag is given once. A job that is cancelled, dropped or expires has taken its place all the same: its key goes on
    behind it. One that is put back (throttled, to be retried) keeps its tag and is not charged again. Jobs that could
    not start when it was their turn, because they were delayed or their lane was held back, make up for it as soon as
    they can, before the others.

    Not for making some users more urgent than others: that is `Priority`. Not for keys that anybody can make up, since
    each of them gets a share. Not for capping what a key may use: an idle queue gives all of it to whoever comes.

    State: V, and F for each key that is ahead of it: about 30 bytes and the key, `keys` times at most.

    Args:
        weights: By key, above 0; 1 for keys that are not in it. `None` stands for jobs without a key.
        dimension: What is shared: the name under which jobs say what they cost, `"requests"` by default; None shares
            running time, by the duration that the estimator expects. A cost of 0 is free.
        default: Cost of a job that does not name the dimension, above 0; 1 by default.
        keys: The most keys that are remembered, 1 or more; 1000 by default. Let it be more than have jobs waiting.
    """

    weights: Mapping[str | None, float] = attrs.field(default=None, converter=_copy, validator=_weights, hash=False)
    dimension: str | None = attrs.field(
        default="requests", validator=attrs.validators.instance_of((str, NoneType)), kw_only=True
    )
    default: float = attrs.field(default=1.0, validator=positive, kw_only=True)
    keys: int = attrs.field(default=1000, validator=whole(1), kw_only=True)

    def initial_state(self) -> Shares:
        """Nobody is ahead."""
        return {"virtual": 0.0, "finish": {}}

    def place(self, state: Shares, job: JobFacts, expected: Callable[[], float]) -> tuple[float, Shares]:
        """Behind the last job of its key, and not before what has started."""
        lane = _lane(job.key)
        start = max(state["virtual"], state["finish"].get(lane, 0.0))
        finish = start + self._size(job, expected)
        if finish <= state["virtual"]:
            return start, state
        ahead = {**state["finish"], lane: finish}
        if len(ahead) > self.keys:
            return start, _caught_up(ahead, min(ahead.values()))
        return start, {"virtual": state["virtual"], "finish": ahead}

    def started(self, state: Shares, job: JobFacts, sort_key: float) -> Shares:
        """The virtual time goes on; lanes that it has caught up with are forgotten."""
        finish = state["finish"]
        # A job that another order has placed may have any key.
        if sort_key <= state["virtual"] or sort_key > finish.get(_lane(job.key), -math.inf):
            return state
        return _caught_up(finish, sort_key)

    def _size(self, job: JobFacts, expected: Callable[[], float]) -> float:
        cost = expected() if self.dimension is None else job.cost.get(self.dimension, self.default)
        return min(cost / self.weights.get(job.key, 1.0), _LARGEST)


def _caught_up(finish: Mapping[str, float], virtual: float) -> Shares:
    """The virtual time is this much now; lanes that are not ahead of it are forgotten."""
    return {"virtual": virtual, "finish": {lane: tag for lane, tag in finish.items() if tag > virtual}}


def _lane(key: str | None) -> str:
    """The names of an object in JSON are text, and None is not the key `""`."""
    return "" if key is None else f":{key}"
