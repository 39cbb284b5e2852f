"""Makes the pictures of the docs: `python docs/pictures/make.py`, or into another folder with its name behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import backoff
import estimators
import orders
import pacing

PICTURES: Mapping[str, Callable[[], str]] = {
    "pacing-burst.svg": pacing.burst,
    "pacing-limit.svg": pacing.changing_limit,
    "backoff-delays.svg": backoff.delays,
    "backoff-outage.svg": backoff.outage,
    "estimators-shift.svg": estimators.level_shift,
    "estimators-mixture.svg": estimators.mixture,
    "orders-tenants.svg": orders.two_tenants,
}


def main(folder: Path) -> None:
    """Write them all."""
    for name, draw in PICTURES.items():
        (folder / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "assets")
