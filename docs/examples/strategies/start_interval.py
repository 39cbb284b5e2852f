import attrs

from pacer import Outcome
from pacer.protocols import NOW, JobFacts, When

State = float | None  # when the next job may start


@attrs.frozen
class StartInterval:
    """At least `seconds` between two starts, however long the jobs take."""

    seconds: float

    def initial_state(self) -> State:
        return None

    def earliest(self, state: State, now: float, job: JobFacts, running: int) -> When:
        if state is None or state <= now:
            return NOW
        return When(state, reason=f"{self.seconds:g} s between starts")

    def started(self, state: State, now: float, job: JobFacts, running: int) -> State:
        return now + self.seconds

    def ended(
        self, state: State, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> State:
        return state
