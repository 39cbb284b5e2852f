"""A limit for each tenant."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._limit import Limit


@attrs.frozen
class PerKeyLimit:
    """The same limit for each key by itself; requests without a key have one of their own.

    State: by key, that of the limit.

    Args:
        limit: What each key is allowed.
    """

    by_key: ClassVar[bool] = True

    limit: Limit

    def initial_state(self) -> dict[str | None, Any]:
        """No key has been seen."""
        return {}

    def wait(self, state: dict[str | None, Any], now: float, request: Arrival) -> float:
        """As the limit of its key says."""
        return self.limit.wait(self._of(state, request), now, request)

    def take(self, state: dict[str | None, Any], now: float, request: Arrival) -> dict[str | None, Any]:
        """The limit of its key counts it."""
        state[request.key] = self.limit.take(self._of(state, request), now, request)
        return state

    def report(self, state: dict[str | None, Any], now: float, request: Arrival) -> LimitReport:
        """Of the limit of its key."""
        return self.limit.report(self._of(state, request), now, request)

    def rate(self, now: float) -> tuple[str, float]:
        """What one key is allowed; how many there are is not known."""
        return self.limit.rate(now)

    def _of(self, state: dict[str | None, Any], request: Arrival) -> Any:
        if request.key not in state:
            state[request.key] = self.limit.initial_state()
        return state[request.key]
