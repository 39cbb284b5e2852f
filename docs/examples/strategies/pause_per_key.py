import attrs

from pacer import Outcome
from pacer.protocols import NOW, JobFacts, When

State = dict[str, float]


@attrs.frozen
class PausePerKey:
    """A pause after each job, per key: a tenant that waits holds up nobody else."""

    seconds: float

    def initial_state(self) -> State:
        return {}

    def earliest(self, state: State, now: float, job: JobFacts, running: int) -> When:
        free_at = state.get(job.key or "", now)
        if free_at <= now:
            return NOW
        reason = f"pause of {self.seconds:g} s for {job.key!r}"
        return When(free_at, reason=reason, lane=True)

    def started(self, state: State, now: float, job: JobFacts, running: int) -> State:
        return state

    def ended(
        self, state: State, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> State:
        waiting = {key: free_at for key, free_at in state.items() if free_at > now}
        return {**waiting, job.key or "": now + outcome.hold + self.seconds}

    def hold_ended(self, state: State, now: float) -> State:
        latest = now + self.seconds
        return {key: min(free_at, latest) for key, free_at in state.items()}
