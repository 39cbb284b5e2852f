"""Parts out of the text of a comparison: strategies, workloads and upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pacer import simulation
from pacer._parts_text import STRATEGIES, Kind, family

_DISTRIBUTIONS: Final = family(simulation, "draw")
_UPSTREAM_PARTS: Final = {
    **family(simulation, "wait", "take", "report"),
    **family(simulation, "seconds"),
    **family(simulation, "strikes"),
}

KINDS: Final[Mapping[str, Kind]] = {
    **STRATEGIES,
    "lead": Kind("a distribution", _DISTRIBUTIONS, {}),
    "workload": Kind("a workload", family(simulation, "arrivals"), {"JobMix": simulation.JobMix, **_DISTRIBUTIONS}),
    "upstream": Kind("an upstream", {"Upstream": simulation.Upstream}, {**_UPSTREAM_PARTS, **_DISTRIBUTIONS}),
}
"""By the key under which such a text stands."""
