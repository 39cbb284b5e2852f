"""What one job may want different from the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TypedDict

import attrs

from pacer._job import ONE_REQUEST, Retry
from pacer._validation import not_negative, optional_seconds, positive, seconds


def _short(instance: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and not 1 <= len(value) <= 200:
        msg = f"options: {attribute.name} must have 1 to 200 characters, got {len(value)}"
        raise ValueError(msg)


def _in_64_bits(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not -(2**63) <= value < 2**63:
        msg = f"options: {attribute.name} must be a whole number of 64 bits, from -2**63 to 2**63 - 1"
        raise ValueError(msg)


def _costs(instance: object, attribute: attrs.Attribute[Mapping[str, float]], value: Mapping[str, float]) -> None:
    for name, amount in value.items():
        if not (isinstance(name, str) and math.isfinite(amount) and amount >= 0):
            msg = f"options: cost must map names to finite numbers, 0 or more, got {dict(value)!r}"
            raise ValueError(msg)


@attrs.frozen(kw_only=True)
class JobOptions:
    """The options of one job; `Scheduler.options` says what they mean."""

    job_id: str | None = attrs.field(default=None, validator=_short)
    priority: int = attrs.field(default=0, validator=[attrs.validators.instance_of(int), _in_64_bits])
    key: str | None = attrs.field(default=None, validator=_short)
    cost: Mapping[str, float] = attrs.field(default=ONE_REQUEST, validator=_costs)
    delay: float = attrs.field(default=0.0, converter=seconds, validator=not_negative)
    timeout: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive)
    )
    retry: Retry | None = None
    unique: str | None = attrs.field(default=None, validator=_short)
    expires: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive)
    )


class OptionValues(TypedDict, total=False):
    """The same, as they are given by name."""

    job_id: str | None
    priority: int
    key: str | None
    cost: Mapping[str, float]
    delay: float | timedelta
    timeout: float | timedelta | None
    retry: Retry | None
    unique: str | None
    expires: float | timedelta | None
