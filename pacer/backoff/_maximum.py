"""The upper end of growing delays."""

from __future__ import annotations

from typing import Any

import attrs


def not_below_initial(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    """Accept a maximum that the first delay does not exceed."""
    if value < instance.initial:
        msg = f"{type(instance).__name__}: maximum ({value:g} s) must not be below initial ({instance.initial:g} s)"
        raise ValueError(msg)
