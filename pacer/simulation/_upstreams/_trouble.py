"""What goes wrong at the upstream, and when."""

from __future__ import annotations

import math
from random import Random
from typing import Protocol

import attrs

from pacer._validation import not_negative, seconds, share
from pacer.simulation._distributions import Constant, Distribution, distribution


class Trouble(Protocol):
    """Something that goes wrong for a while: a recipe, without state."""

    def strikes(self, now: float, random: Random) -> float | None:
        """Seconds after which a request of now ends in an error; None: this one does not."""

    def slowdown(self, now: float) -> float:
        """What latencies are multiplied by now."""

    def over_at(self, now: float) -> float:
        """The first time from now on at which a request can succeed."""


def _length(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        msg = f"{type(instance).__name__}: {attribute.name} must be above 0, got {value!r}"
        raise ValueError(msg)


@attrs.frozen
class Outage:
    """The upstream is away: every request of this time ends in an error.

    Args:
        start: When it begins, in seconds, 0 or more.
        lasting: For how many seconds, above 0.
        after: Seconds until such a request has failed, a number or a distribution; 1 by default.
    """

    start: float = attrs.field(converter=seconds, validator=not_negative)
    lasting: float = attrs.field(converter=seconds, validator=_length)
    after: Distribution = attrs.field(default=Constant(1.0), converter=distribution, kw_only=True)

    def strikes(self, now: float, random: Random) -> float | None:
        """All of them."""
        return self.after.draw(random) if self.start <= now < self.start + self.lasting else None

    def slowdown(self, now: float) -> float:
        """Nothing is answered, so nothing slower."""
        return 1.0

    def over_at(self, now: float) -> float:
        """Its end."""
        end = self.start + self.lasting
        return end if self.start <= now < end else now


@attrs.frozen
class BrownOut:
    """The upstream suffers: a share of the requests of this time ends in an error, and the others take longer.

    With its default times it is an upstream that is like that always.

    Args:
        start: When it begins, in seconds, 0 or more; 0 by default.
        lasting: For how many seconds, above 0; for ever by default.
        errors: Share of the requests that fail, 0 to 1; 0 by default.
        slower: What latencies are multiplied by, above 0; 1 by default.
        after: Seconds until a failing request has failed, a number or a distribution; 1 by default.
    """

    start: float = attrs.field(default=0.0, converter=seconds, validator=not_negative)
    lasting: float = attrs.field(default=math.inf, converter=seconds, validator=_length)
    errors: float = attrs.field(default=0.0, kw_only=True)
    slower: float = attrs.field(default=1.0, validator=_length, kw_only=True)
    after: Distribution = attrs.field(default=Constant(1.0), converter=distribution, kw_only=True)

    @errors.validator
    def _check_errors(self, attribute: attrs.Attribute[float], value: float) -> None:
        if value != 0:
            share(self, attribute, value)

    def strikes(self, now: float, random: Random) -> float | None:
        """As many as its share says."""
        if self.errors and self._lasts(now) and random.random() < self.errors:
            return self.after.draw(random)
        return None

    def slowdown(self, now: float) -> float:
        """While it lasts."""
        return self.slower if self._lasts(now) else 1.0

    def over_at(self, now: float) -> float:
        """Some requests succeed, unless all fail."""
        return self.start + self.lasting if self.errors == 1 and self._lasts(now) else now

    def _lasts(self, now: float) -> bool:
        return self.start <= now < self.start + self.lasting
