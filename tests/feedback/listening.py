"""What the feedback tests share."""

from __future__ import annotations

import attrs

from pacer import Outcome
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen(eq=False)
class Listening:
    """A pacing policy that only keeps what it is told."""

    heard: list[Outcome] = attrs.field(factory=list)

    def initial_state(self) -> None:
        return

    def earliest(self, state: None, now: float, job: JobFacts, running: int) -> When:
        return NOW

    def started(self, state: None, now: float, job: JobFacts, running: int) -> None:
        return

    def ended(self, state: None, now: float, job: JobFacts, outcome: Outcome, running: int) -> None:
        self.heard.append(outcome)
