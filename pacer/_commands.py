"""The commands, made with typer. Imported by `pacer._cli` only, which says what to install where typer is missing."""

from __future__ import annotations

import importlib
import inspect
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import pacer
from pacer._extras import ExtraMissingError, needed

# Where each is, in the order in which they are listed. A command is imported when it is run, or its help is wanted:
# `pacer status` need not wait for the simulation.
_COMMANDS: Final[Mapping[str, str]] = {
    "status": "pacer._operate._status:status",
    "jobs": "pacer._operate._jobs:jobs",
    "job": "pacer._operate._job:job",
    "top": "pacer._operate._top:top",
    "export": "pacer._operate._export:export",
    "doctor": "pacer._operate._doctor._command:doctor",
    "enqueue": "pacer._operate._enqueue:enqueue",
    "cancel": "pacer._operate._cancel:cancel",
    "retry": "pacer._operate._retry:retry",
    "pause": "pacer._operate._pause:pause",
    "resume": "pacer._operate._pause:resume",
    "end-hold": "pacer._operate._hold:end_hold",
    "set": "pacer._operate._set:set_numbers",
    "worker": "pacer._work._command:worker",
    "migrate": "pacer._work._migrate:migrate",
    "compare": "pacer._compare._command:compare",
    "simulate": "pacer._compare._command:simulate",
}
_PANELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("status", "jobs", "job", "top", "export", "doctor"), "Look"),
    **dict.fromkeys(("enqueue", "cancel", "retry", "pause", "resume", "end-hold", "set"), "Steer"),
    **dict.fromkeys(("worker", "migrate"), "Run jobs"),
    **dict.fromkeys(("demo", "compare", "simulate"), "Try things out"),
}


class _Commands(dict[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __missing__(self, name: str) -> Any:
        if name not in _COMMANDS:
            raise KeyError(name)
        self[name] = made = _command(name)
        return made

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict that has all of them."""
        try:
            return self[name]
        except KeyError:
            return default

    def keys(self) -> Any:
        """All names."""
        return {**dict.fromkeys(_COMMANDS), **self}.keys()


class _Group(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(self.commands)

    def list_commands(self, _: Any) -> list[str]:
        """In the order in which they are shown."""
        return list(self.commands.keys())


def _command(name: str) -> Any:
    module, _, attribute = _COMMANDS[name].partition(":")
    function = getattr(importlib.import_module(module), attribute)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, help=help_of(function), rich_help_panel=_PANELS[name])(function)
    return typer.main.get_command(alone)


def help_of(command: Callable[..., None]) -> str:
    """A command's docstring with each paragraph on one line, which typer leaves as it finds it."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app = typer.Typer(
    cls=_Group, help="Run jobs against services that limit you.", no_args_is_help=True, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pacer {pacer.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run jobs against services that limit you."""


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the application, on loopback; 0 takes any.")] = 8765,
    upstream_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the stand-in upstream, on loopback.")] = 8766,
    once: Annotated[bool, typer.Option("--once", help="Exit when all papers are analysed.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Divide all times by 100; always uses the stand-in.")] = False,
    db: Annotated[
        Path | None,
        typer.Option(
            help="SQLite file for the jobs; by default pacer/demo.db in your folder for state.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Analyse sample papers through a rate-limited chat service, both on this machine.

    With DASHSCOPE_API_KEY set, or OPENAI_BASE_URL, that service is called instead of the stand-in. A run that is
    broken off, even by a kill, goes on at the next start.
    """
    try:
        with needed("demo"):
            from rich.console import Console  # noqa: PLC0415 - the extra may be missing

            from pacer.demo._run import Options, run_demo  # noqa: PLC0415
            from pacer.demo._servers import DemoError  # noqa: PLC0415
    except ExtraMissingError as error:
        typer.echo(f"pacer: {error}", err=True)
        raise typer.Exit(1) from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(port=port, upstream_port=upstream_port, once=once, fast=fast, db=db)
    try:
        raise typer.Exit(run_demo(options, Console()))
    except KeyboardInterrupt:  # before there was anything to sum up
        raise typer.Exit(130) from None
    except DemoError as error:
        typer.echo(f"pacer demo: {error}", err=True)
        raise typer.Exit(1) from None


app.command(help=help_of(demo), rich_help_panel=_PANELS["demo"])(demo)
