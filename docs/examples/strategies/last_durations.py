import attrs

from pacer import Outcome, OutcomeKind
from pacer.protocols import Durations, JobFacts

State = list[float]  # the last durations of successes


@attrs.frozen
class LastDurations:
    """The next job takes as long as one of the last few did."""

    initial: float = 60.0
    count: int = 20

    def initial_state(self) -> State:
        return []

    def observed(
        self, state: State, job: JobFacts, duration: float, outcome: Outcome
    ) -> State:
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        return [*state, duration][-self.count :]

    def predict(self, state: State, job: JobFacts) -> Durations:
        if len(state) < 5:
            # A guess, as unsure as it is large.
            return Durations(self.initial, sd=self.initial, uncertainty=self.initial)
        known = Durations.of_sample(state)
        return attrs.evolve(known, uncertainty=known.sd / len(state) ** 0.5)
