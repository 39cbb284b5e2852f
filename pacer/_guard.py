"""The one place where a strategy's answers are checked: a bad plug-in slows the queue down, it never stops it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from operator import le
from typing import Any, TypeVar

import attrs

from pacer._durations import LEAST_DURATION, Durations
from pacer.protocols import Admission, When

T = TypeVar("T")

# What is done when a part gives no usable answer: slow and safe, never fast.
FALLBACK_WAIT = 1.0
FALLBACK_DURATION = Durations(60.0, 60.0)
LONGEST_DELAY = 7 * 86400.0
# Longer durations are no answer.
LONGEST_DURATION = 1e9
_REFUSED = Admission(accepted=False)


@attrs.frozen
class Fault:
    """A part raised, or gave an answer that cannot be used.

    Attributes:
        part: The part's class.
        question: The method that was called.
        problem: What came back, in one line.
    """

    part: str
    question: str
    problem: str


@attrs.define(eq=False)
class Guard:
    """Asks strategies, checks and clamps what they say, and remembers what was wrong with it.

    Attributes:
        faults: What was wrong, until it is taken.
        pace_lost: The pacing policy has given no usable answer since this was last set to False.
    """

    faults: deque[Fault] = attrs.field(factory=lambda: deque(maxlen=100))
    pace_lost: bool = False

    def note(self, part: object, question: str, problem: object) -> None:
        """Remember a fault until it is reported."""
        text = f"{type(problem).__name__}: {problem}" if isinstance(problem, Exception) else str(problem)
        self.faults.append(Fault(_class_name(part), question, text))

    def take_faults(self) -> list[Fault]:
        """The faults since the last call."""
        taken = []
        while self.faults:
            taken.append(self.faults.popleft())
        return taken

    def state(self, part: object, question: str, old: T, change: Callable[[], T]) -> T:
        """The new state, or the old one if the part raised."""
        try:
            return change()
        except Exception as error:
            self.note(part, question, error)
            return old

    def admission(self, part: object, ask: Callable[[], Admission]) -> Admission:
        """A usable admission; without one, a refusal."""
        try:
            found = ask()
            if isinstance(found, Admission) and _usable(found):
                return found
            self.note(part, "admit", f"answered {found!r}")
        except Exception as error:
            self.note(part, "admit", error)
        return _REFUSED

    def when(self, part: object, found: object) -> When | None:
        """A usable start time, or None."""
        if isinstance(found, When) and isinstance(found.at, float | int) and found.at == found.at:  # not NaN
            return attrs.evolve(found, at=float(found.at))
        self.no_when(part, f"answered {found!r}")
        return None

    def no_when(self, part: object, problem: object) -> None:
        """There is none: note why, and that the pace is lost."""
        self.note(part, "earliest", problem)
        self.pace_lost = True

    def delay(self, part: object, ask: Callable[[], float | None]) -> float | None:
        """A delay between 0 and a week, or None to give up."""
        try:
            delay = ask()
            if delay is None:
                return None
            if 0 <= delay <= LONGEST_DELAY:
                return float(delay)
            self.note(part, "delay", f"answered {delay!r}")
            if delay > LONGEST_DELAY:
                return LONGEST_DELAY
        except Exception as error:
            self.note(part, "delay", error)
        return FALLBACK_WAIT

    def durations(self, part: object, ask: Callable[[], Durations]) -> Durations:
        """A usable forecast of durations; without one, a wide guess."""
        try:
            found = ask()
            numbers = (found.mean, found.sd, found.uncertainty)
            usable = all(isinstance(x, float | int) and 0 <= x <= LONGEST_DURATION for x in numbers)
            usable = usable and _rising(found.quantiles)
            if usable and found.mean >= LEAST_DURATION:
                # A list would do, but that forecasts put equal ones together, which takes a hash.
                return found if type(found.quantiles) is tuple else _hashable(found)
            if usable:
                # Instant jobs are real (tests, caches); they only must not make the arithmetic divide by nothing.
                return Durations(LEAST_DURATION, 0.0)
            self.note(part, "predict", f"answered {found!r}")
        except Exception as error:
            self.note(part, "predict", error)
        return FALLBACK_DURATION

    def sort_key(self, part: object, key: Any) -> float | None:
        """A finite sort key, or None. Raises what `isfinite` raises for something else than a number."""
        if math.isfinite(key):
            return float(key)
        self.note(part, "place", f"answered {key!r}")
        return None

    def most_running(self, part: object, ask: Callable[[], int | None]) -> int | None:
        """1 or more, or None for no limit; without a usable answer, one at a time."""
        try:
            most = ask()
            if most is None or (type(most) is int and most >= 1):
                return most
            self.note(part, "most_running", f"answered {most!r}")
        except Exception as error:
            self.note(part, "most_running", error)
        return 1


def _usable(found: Admission) -> bool:
    if found.accepted:
        return type(found.drop) is int and found.drop >= 0
    return found.retry_after is None or 0 <= found.retry_after < math.inf


def _rising(values: Sequence[float]) -> bool:
    """Whether these can be the quantiles of a duration. None can: then there is a mean and a deviation only."""
    if not values:
        return True
    # What is not a number is neither above nor below another.
    return values[0] >= 0 and values[-1] <= LONGEST_DURATION and all(map(le, values, values[1:]))


def _hashable(found: Durations) -> Durations:
    return Durations(found.mean, found.sd, found.uncertainty, tuple(found.quantiles or ()))


def _class_name(part: object) -> str:
    return part.__name__ if isinstance(part, type) else type(part).__name__
