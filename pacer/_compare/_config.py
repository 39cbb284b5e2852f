"""The TOML file of a comparison: every mistake in it is named by its key, before anything runs."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs

from pacer import Scheduler
from pacer._compare._comparison import Candidate, Comparison
from pacer._compare._errors import ConfigError, choices
from pacer._compare._parts_text import KINDS
from pacer._errors import PacerError
from pacer._parts_text import read_part
from pacer.simulation import Backlog, Client, History, Trace, Upstream, Workload, simulate

MOST_CANDIDATES: Final = 8
"""More of them no picture can tell apart."""
MOST_CLIENTS: Final = 1000
LONGEST_NAME: Final = 60

_SCHEDULER_PARTS: Final = ("pacing", "backoff", "estimator", "queue")
_CLIENT_PARTS: Final = ("retry", "lead")


def _whole(least: int, most: float = math.inf) -> Callable[[object, str], int]:
    def check(value: object, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            wanted = f"a whole number, {least} or more" if most == math.inf else f"a whole number, {least} to {most:g}"
            raise ConfigError(key, f"must be {wanted}, got {value!r}")
        return value

    return check


def _seconds(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(key, f"must be a finite number of seconds above 0, got {value!r}")
    return float(value)


def _share(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(key, f"must be a share from 0 to 1 (0.01 is 1 %), got {value!r}")
    return float(value)


def _moment(value: object, key: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigError(key, f"must be a date and time with an offset, as 2026-03-02T08:00:00+01:00, got {value!r}")
    return value


def _name(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > LONGEST_NAME:
        raise ConfigError(key, f"must be one line of text, at most {LONGEST_NAME} characters, got {value!r}")
    return value


_GENERAL: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "seed": _whole(0),
    "repeat": _whole(1),
    "until": _seconds,
    "start": _moment,
    "estimates": _whole(0),
    "tolerated": _share,
}
_NUMBERS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "concurrency": _whole(1),
    "max_throttles": _whole(0),
    "clients": _whole(1, MOST_CLIENTS),
    "expires": _seconds,
}
SETTINGS: Final = (*_SCHEDULER_PARTS, *_CLIENT_PARTS, *_NUMBERS)
"""What [scheduler] and each [[candidate]] may set."""
KEYS: Final = ("workload", "upstream", *_GENERAL, "scheduler", "candidate")


def read_file(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises a ConfigError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"is not UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from error


def comparison(
    tables: Mapping[str, Any], *, base: Path, workload_base: Path | None = None, jobs: int | None = None
) -> Comparison:
    """A comparison from the tables of a file, checked as far as that goes without running it.

    Args:
        tables: As `read_file` gives them, perhaps with other values in some places.
        base: Where relative paths start.
        workload_base: Where those of the workload start; None (default): at `base`.
        jobs: Only so many jobs of the workload.

    Raises:
        ConfigError: Something is wrong; it names the key.
    """
    _known(tables, KEYS, "")
    general = {key: check(tables[key], key) for key, check in _GENERAL.items() if key in tables}
    upstream = _upstream(_required(tables, "upstream"), base)
    text = _required(tables, "workload")
    workload = _workload(text, workload_base or base, jobs, endless_ok="until" in general)
    candidates = _candidates(tables, base)
    _check_clients(candidates, general.get("start"))
    settings = {key: str(tables[key]).strip() for key in ("workload", "upstream")}
    return Comparison(workload=workload, upstream=upstream, candidates=candidates, settings=settings, **general)


def _required(tables: Mapping[str, Any], key: str) -> Any:
    if key not in tables:
        kind = KINDS[key]
        raise ConfigError(key, f"is missing; it names {kind.what}; choices: {', '.join(kind.outer)}")
    return tables[key]


def _known(table: Mapping[str, Any], keys: Sequence[str], prefix: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(f"{prefix}{key}", f"there is no such key; {choices(key, keys)}")


# -- the two ends ----------------------------------------------------------------------------------------------------


def _upstream(text: object, base: Path) -> Upstream:
    made: Upstream = read_part(text, "upstream", KINDS["upstream"], base=base)
    try:
        # Some parts of it look at what they were given when they are first asked.
        simulate(Scheduler(), Backlog(1), made, until=1)
    except PacerError:
        pass  # it may never answer; that is found, and told, by the run itself
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        raise ConfigError("upstream", f"cannot be asked: {error}") from error
    return made


def _workload(text: object, base: Path, jobs: int | None, *, endless_ok: bool) -> Workload:
    made: Workload = read_part(text, "workload", KINDS["workload"], base=base)
    if jobs is not None:
        made = _limited(made, jobs)
    if made.endless and not endless_ok:
        raise ConfigError("workload", f"{type(made).__name__} never ends; give it jobs= or lasting=, or set until")
    try:
        arrivals = made.arrivals(Random(0))  # noqa: S311 - only to see whether there are any
        # What is in a file can be wrong up to the end.
        found = sum(1 for _ in arrivals) if isinstance(made, Trace | History) else next(arrivals, None)
    except (OSError, csv.Error, PacerError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise ConfigError("workload", _why(error)) from error
    if not found:
        raise ConfigError("workload", f"{type(made).__name__} has no jobs")
    return made


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read: {error.strerror}"
    return str(error)


def _limited(workload: Workload, jobs: int) -> Workload:
    kind: Any = type(workload)  # one of ours, and they are attrs
    if not any(field.name == "jobs" for field in attrs.fields(kind)):
        raise ConfigError("jobs", f"a {kind.__name__} cannot be limited to a number of jobs; leave it out")
    whole: Any = workload
    limited: Workload = attrs.evolve(whole, jobs=jobs)
    return limited


# -- candidates ------------------------------------------------------------------------------------------------------


def _candidates(tables: Mapping[str, Any], base: Path) -> tuple[Candidate, ...]:
    shared = tables.get("scheduler", {})
    if not isinstance(shared, Mapping):
        raise ConfigError("scheduler", "must be a table: [scheduler]")
    _known(shared, SETTINGS, "scheduler.")
    listed = tables.get("candidate", [])
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise ConfigError("candidate", "must be tables: [[candidate]], one for each")
    if not 1 <= len(listed) <= MOST_CANDIDATES:
        raise ConfigError("candidate", f"there must be 1 to {MOST_CANDIDATES} [[candidate]] tables, got {len(listed)}")
    candidates: list[Candidate] = []
    for number, one in enumerate(listed, start=1):
        candidate = _candidate(shared, one, f"candidate[{number}].", base)
        if candidate.name in [other.name for other in candidates]:
            raise ConfigError(f"candidate[{number}].name", f"there are two called {candidate.name!r}")
        candidates.append(candidate)
    return tuple(candidates)


def _candidate(shared: Mapping[str, Any], own: Mapping[str, Any], prefix: str, base: Path) -> Candidate:
    _known(own, ("name", *SETTINGS), prefix)
    chosen = {key: (value, f"scheduler.{key}") for key, value in shared.items()}
    chosen |= {key: (value, f"{prefix}{key}") for key, value in own.items() if key != "name"}
    made = {key: _setting(key, value, where, base) for key, (value, where) in chosen.items()}
    clients = made.pop("clients", 1)
    of_client = {key: made.pop(key) for key in ("retry", "lead", "expires") if key in made}
    try:
        client = Client(Scheduler(**made), **of_client)
    except (TypeError, ValueError) as error:
        raise ConfigError(prefix.rstrip("."), str(error)) from error
    settings = {key: " ".join(str(value).split()) for key, (value, _) in chosen.items()}
    name = _name(own.get("name", _default_name(settings, clients, prefix)), f"{prefix}name")
    return Candidate(name, (client,) * clients, settings)


def _setting(key: str, value: object, where: str, base: Path) -> Any:
    if key in _NUMBERS:
        return _NUMBERS[key](value, where)
    if key == "lead" and isinstance(value, int | float):
        return value
    return read_part(value, where, KINDS[key], base=base)


def _default_name(settings: Mapping[str, str], clients: int, prefix: str) -> str:
    name = settings.get("pacing", prefix.rstrip("."))
    if clients > 1:
        name = f"{clients} x {name}"
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _check_clients(candidates: Sequence[Candidate], start: datetime | None) -> None:
    """Some parts look at what they were given when they are first asked."""
    for number, candidate in enumerate(candidates, start=1):
        try:
            simulate(candidate.clients[0], Backlog(2), Upstream(), until=1, start=start)
        except PacerError:
            pass  # found, and told, by the run itself
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            raise ConfigError(f"candidate[{number}]", f"its parts cannot be asked: {error}") from error
