"""What upstreams say of their limits."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class LimitReport:
    """What an upstream said of one of its limits.

    Attributes:
        name: The dimension: "requests", "tokens", ... If the upstream has several limits of one dimension, the others
            have more to their name after a slash: "requests/daily".
        limit: How much is allowed a window; None if not said.
        remaining: How much of it is left; None if not said.
        reset_in: Seconds until `remaining` grows again, or until it is full again; None if not said.
        window: Seconds that a window lasts; None if not said.
        as_of: Seconds from the start of the run until it was true: 0 of the first answer, which was asked for then.
    """

    name: str
    limit: float | None = None
    remaining: float | None = None
    reset_in: float | None = None
    window: float | None = None
    as_of: float = 0.0
