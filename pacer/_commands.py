"""The commands, made with typer. Imported by `pacer._cli` only, which says what to install where typer is missing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pacer
from pacer._cli import missing
from pacer._compare._command import compare, help_of, simulate
from pacer._work._command import worker
from pacer._work._migrate import migrate

app = typer.Typer(
    help="Run jobs against services that limit you.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pacer {pacer.__version__}")
        raise typer.Exit


app.command(help=help_of(compare))(compare)
app.command(help=help_of(simulate))(simulate)
app.command(help=help_of(worker))(worker)
app.command(help=help_of(migrate))(migrate)


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run jobs against services that limit you."""


@app.command()
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
        from pacer.demo._run import Options, run_demo  # noqa: PLC0415 - the demo extra may be missing
        from pacer.demo._servers import DemoError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(missing(error, "demo"), err=True)
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
