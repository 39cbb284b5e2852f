"""What a job's function says of limits and costs, checked: a policy that was told nonsense would keep it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pacer.protocols import LimitReport


def checked_limits(limits: Iterable[LimitReport], where: str) -> tuple[LimitReport, ...]:
    """The limits. Raises TypeError or ValueError, which name the place."""
    reports = tuple(limits)
    for report in reports:
        if not isinstance(report, LimitReport):
            msg = f"{where}: limits must be LimitReport objects, got {report!r}"
            raise TypeError(msg)
        for value in (report.limit, report.remaining, report.reset_in, report.window):
            if value is not None and not 0 <= value < math.inf:
                msg = f"{where}: the numbers of a limit must be finite and 0 or more, got {report!r}"
                raise ValueError(msg)
    return reports


def checked_cost(cost: Mapping[str, float] | None, where: str) -> dict[str, float]:
    """The cost, empty for None. Raises TypeError or ValueError, which name the place."""
    if not isinstance(cost, Mapping | None):
        msg = f'{where}: cost must be a mapping such as {{"tokens": 1800}}, got {cost!r}'
        raise TypeError(msg)
    for name, value in (cost or {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"{where}: the cost of {name!r} must be a number, got {value!r}"
            raise TypeError(msg)
        if not 0 <= value < math.inf:
            msg = f"{where}: the cost of {name!r} must be finite and 0 or more, got {value!r}"
            raise ValueError(msg)
    return {name: float(value) for name, value in (cost or {}).items()}
