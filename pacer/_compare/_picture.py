"""Where `--plot` goes: everything that can be known to be wrong is said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pacer._compare._comparison import Comparison
from pacer._compare._errors import ConfigError
from pacer._compare._run import Trial
from pacer._extras import ExtraMissingError, needed

KINDS: Final = ("png", "svg", "html")
_KEY: Final = "--plot"


def check_target(path: Path) -> None:
    """Raise a ConfigError if no picture can be written there."""
    if _kind(path) not in KINDS:
        suffix = path.suffix or "no suffix"
        raise ConfigError(_KEY, f"{path} has {suffix}; choices: {', '.join('.' + kind for kind in KINDS)}")
    try:
        with needed("plot"):
            import matplotlib  # noqa: F401, PLC0415 - it may be missing
    except ExtraMissingError as error:
        raise ConfigError(_KEY, str(error)) from error
    there = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ConfigError(_KEY, f"{path} cannot be written: {error.strerror or error}") from error
    if not there:
        path.unlink()


def write_picture(path: Path, comparison: Comparison, trials: Sequence[Trial]) -> None:
    """A picture, or a page with table and picture, by the suffix of the path."""
    from pacer._compare._page import page  # noqa: PLC0415 - matplotlib may be missing
    from pacer._compare._plot import draw  # noqa: PLC0415

    if _kind(path) == "html":
        path.write_text(page(comparison, trials), encoding="utf-8")
        return
    path.write_bytes(draw(_kind(path), trials))


def _kind(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()
