"""The answer to enqueueing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Generic

import attrs
from typing_extensions import TypeVar

from pacer._forecast import forecast_end, forecast_start
from pacer._job import Estimate, JobState
from pacer._rules import Rules
from pacer._snapshot import Facts, Snapshot

T_co = TypeVar("T_co", covariant=True, default=Any)


@attrs.frozen
class Receipt(Generic[T_co]):
    """The answer to `enqueue`: the job is in the store.

    Attributes:
        job_id: Its id; ask with it later.
        position: 1-based place among the waiting jobs; None if it exists already and does not wait.
        created: False if a job with this id or unique key existed already: this is that one.
        state: Its state at that moment; `queued` for a new one.
    """

    job_id: str
    position: int | None
    created: bool
    state: JobState
    _rules: Rules = attrs.field(repr=False, eq=False)
    _snapshot: Snapshot = attrs.field(repr=False, eq=False)
    _facts: Facts = attrs.field(repr=False, eq=False)

    @cached_property
    def estimate(self) -> Estimate | None:
        """Time from enqueueing until it starts; None if it does not wait or no time can be named (paused).

        Worked out when first asked for, from the queue as it was at the moment of enqueueing.
        """
        if self.position is None:
            return None
        return forecast_start(self._rules, self._snapshot, self._facts, self.position)

    @cached_property
    def completion(self) -> Estimate | None:
        """Time from enqueueing until it has run once; None where `estimate` is."""
        if self.position is None:
            return None
        return forecast_end(self._rules, self._snapshot, self._facts, self.position)


@attrs.frozen
class BatchReceipt:
    """The answer to `enqueue_many`: all jobs are in the store.

    Attributes:
        batch_id: Ask for the progress of the whole with it.
        receipts: One for each call, in order.
    """

    batch_id: str
    receipts: Sequence[Receipt]
