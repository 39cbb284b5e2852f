"""What a simulation can end in, other than a result."""

from __future__ import annotations

from pacer._errors import PacerError


class SimulationError(PacerError):
    """The run does not come to an end; the message says what kept it from one, and what to set."""
