"""An observer for tests."""

from __future__ import annotations

from typing import TypeVar

import attrs

from pacer.events import Event

E = TypeVar("E")


@attrs.define(eq=False)
class Recorder:
    """An observer that keeps what it is told: `Scheduler(observers=(recorder,))`.

    Attributes:
        events: All events so far, oldest first.
    """

    events: list[Event] = attrs.field(init=False, factory=list)

    def __call__(self, event: Event) -> None:
        """Keep one event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """The class names of all events, in order."""
        return [type(event).__name__ for event in self.events]
