"""Which requests of a simulation were answered well, and which were not."""

from __future__ import annotations

from pacer.simulation import Result


def starts(result: Result) -> dict[str, list[float]]:
    """The times at which runs started, by how they ended: "succeeded", "throttled", "failed"."""
    began = dict[int, float]()
    found: dict[str, list[float]] = {"succeeded": [], "throttled": [], "failed": []}
    for one in result.happenings:
        if one.what == "started":
            began[one.job] = one.at
        elif one.what in found:
            found[one.what].append(began[one.job])
    return found
