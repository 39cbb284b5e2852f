import attrs

from pacer import Outcome
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class StartInterval:
    """At least `seconds` between two starts, however long the jobs take."""

    seconds: float

    def initial_state(self) -> float | None:
        return None

    def earliest(
        self, state: float | None, now: float, job: JobFacts, running: int
    ) -> When:
        if state is None or state <= now:
            return NOW
        return When(state, reason=f"{self.seconds:g} s between starts")

    def started(
        self, state: float | None, now: float, job: JobFacts, running: int
    ) -> float | None:
        return now + self.seconds

    def ended(
        self,
        state: float | None,
        now: float,
        job: JobFacts,
        outcome: Outcome,
        running: int,
    ) -> float | None:
        return state
