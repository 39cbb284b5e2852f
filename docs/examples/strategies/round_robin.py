from collections.abc import Callable
from typing import TypedDict

import attrs

from pacer.protocols import JobFacts


class Rounds(TypedDict):
    """The round under way, and for each key the first round that is still free."""

    now: float
    free: dict[str, float]


@attrs.frozen
class RoundRobin:
    """One job of each key in turn, however many jobs each of them has."""

    def initial_state(self) -> Rounds:
        return {"now": 0.0, "free": {}}

    def place(
        self, state: Rounds, job: JobFacts, expected: Callable[[], float]
    ) -> tuple[float, Rounds]:
        key = job.key or ""
        turn = max(state["now"], state["free"].get(key, 0.0))
        return turn, {"now": state["now"], "free": {**state["free"], key: turn + 1}}

    def started(self, state: Rounds, job: JobFacts, sort_key: float) -> Rounds:
        now = max(state["now"], sort_key)
        free = {key: turn for key, turn in state["free"].items() if turn > now}
        return {"now": now, "free": free}
