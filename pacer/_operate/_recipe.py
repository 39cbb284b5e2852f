"""The strategies and settings of a queue, made again from the text that its store holds."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pacer._compare._errors import ConfigError
from pacer._parts_text import read_stored
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.queues._bounded import BoundedQueue
from pacer.stores._parts import terms_of

_PARTS: Final = ("queue", "pacing", "backoff", "estimator")
_SETTINGS: Final = ("concurrency", "max_throttles", "max_recoveries", "on_crash")
# They stand where a part cannot be made. Nothing that depends on them is told.
_IN_PLACE: Final = {
    "queue": BoundedQueue(50),
    "pacing": Unpaced(),
    "backoff": NoBackoff(),
    "estimator": MovingAverage(),
}


@attrs.frozen
class Recipe:
    """With what a queue is run.

    Attributes:
        terms: As its store has it, as text, by name.
        settings: For a `Scheduler`, by name.
        unknown: Which of them could not be made of the text, and why not.
    """

    terms: Mapping[str, str]
    settings: Mapping[str, Any]
    unknown: Mapping[str, str]

    @classmethod
    def read(cls, terms: Mapping[str, str]) -> Recipe:
        """What is made of this text has the very same text, or else it is not known."""
        made, unknown = dict[str, Any](), dict[str, str]()
        for name in (*_PARTS, *_SETTINGS):
            try:
                made[name] = _made(name, terms)
            except (ConfigError, ValueError, SyntaxError) as error:
                unknown[name] = _why(name, terms.get(name), error)
        again = terms_of(Rules(**{**_IN_PLACE, **made}))
        for name in [name for name in made if again[name] != terms[name]]:
            del made[name]
            unknown[name] = f"{terms[name]} can only be made by your application"
        return cls(terms, {**_IN_PLACE, **made}, unknown)


def _made(name: str, terms: Mapping[str, str]) -> Any:
    if name not in terms:
        msg = "it is not written down"
        raise ValueError(msg)
    return read_stored(terms[name], name) if name in _PARTS else _setting(name, ast.literal_eval(terms[name]))


def _setting(name: str, value: Any) -> Any:
    if type(value) is not (str if name == "on_crash" else int):
        msg = f"{value!r} is no {name}"
        raise ValueError(msg)
    return value


def _why(name: str, text: str | None, error: Exception) -> str:
    if text is None:
        return f"the store does not say which {name} it is"
    if isinstance(error, ConfigError) and "there is no " not in error.problem and "cannot be read" not in error.problem:
        return f"{text} cannot be made here: {error.problem}"
    return f"{text} is one of your application's own"
