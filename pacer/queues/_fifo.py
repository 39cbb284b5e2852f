"""First come, first served."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pacer.protocols import JobFacts


@attrs.frozen
class Fifo:
    """First come, first served. Priorities are not looked at.

    Not for a queue that several tenants share, if one of them may fill it: use `FairShare`.

    State: none.
    """

    def initial_state(self) -> None:
        """There is no state."""
        return

    def place(self, state: None, job: JobFacts, expected: Callable[[], float]) -> tuple[float, None]:
        """The same key for all: arrival decides."""
        return 0.0, None

    def started(self, state: None, job: JobFacts, sort_key: float) -> None:
        """Nothing to learn."""
        return
