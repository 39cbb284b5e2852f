"""`pacer compare` and `pacer simulate`, made with typer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pacer._compare._comparison import Comparison
from pacer._compare._config import comparison, read_file
from pacer._compare._errors import ConfigError, choices
from pacer._compare._picture import check_target, write_picture
from pacer._compare._report import report
from pacer._compare._run import RunError, Trial, run
from pacer._compare._sample import CONFIG, sample_folder, write_example
from pacer._compare._table import show

FAILED = 1
USAGE = 2

_ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="TOML file; by default the sample that ships with pacer.")
]
_Workload = Annotated[str | None, typer.Option(help='Instead of the file\'s, as "Poisson(2, lasting=600)".')]
_Upstream = Annotated[
    str | None, typer.Option(help='Instead of the file\'s, as "Upstream(FixedWindowLimit(60, per=60))".')
]
_Jobs = Annotated[int | None, typer.Option(min=1, help="Only so many jobs of the workload.")]
_Until = Annotated[float | None, typer.Option(min=0, help="Seconds after which a run ends.")]
_Seed = Annotated[int | None, typer.Option(min=0, help="Of all chance; the same seed gives the same figures.")]
_Repeat = Annotated[int | None, typer.Option(min=1, help="Runs of each candidate, with the seeds that follow.")]
_Plot = Annotated[Path | None, typer.Option(help="Draw the first runs into this .png, .svg or .html file.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")]


def compare(
    file: _ConfigFile = None,
    pacing: Annotated[
        list[str] | None, typer.Option(help="A candidate instead of the file's; may be given several times.")
    ] = None,
    workload: _Workload = None,
    upstream: _Upstream = None,
    jobs: _Jobs = None,
    until: _Until = None,
    seed: _Seed = None,
    repeat: _Repeat = None,
    plot: _Plot = None,
    as_json: _Json = False,
    write_example_to: Annotated[
        Path | None,
        typer.Option(
            "--write-example", help="Write the sample there, with its trace beside it, as a start; then exit."
        ),
    ] = None,
) -> None:
    """Try several choices of parts on one workload, in virtual time.

    Without a file: six candidates on a made-up trace, in front of a service that allows less than is documented. What
    --pacing names has all other parts as the scheduler table of the file says.

    Columns: jobs done per unit of time; that as a share of what an oracle that knows the limits would do; share of the
    requests answered 429; jobs that were turned away, dropped, expired or failed; waits from arrival to start; when the
    last job had ended; Jain's fairness index over keys, 1 is even; share of 80 % intervals that held.

    Exit codes: 0 done, 1 a run did not come to an end, 2 something is wrong with the options or the file.
    """
    changed = {"workload": workload, "upstream": upstream, "until": until, "seed": seed, "repeat": repeat}
    typed = {f"candidate[{number}].pacing": "--pacing" for number, _ in enumerate(pacing or (), start=1)}
    with _exit_codes("compare", typed | _options(changed)):
        if write_example_to is not None:
            for path in write_example(write_example_to):
                typer.echo(f"wrote {path}")
            return
        candidates = [{"pacing": text} for text in pacing] if pacing else None
        whole = _comparison(file, {**changed, "candidate": candidates}, jobs)
        _carry_out(whole, plot, as_json=as_json)


def simulate(
    file: _ConfigFile = None,
    candidate: Annotated[str | None, typer.Option(help="Which of the file's candidates, by name.")] = None,
    pacing: Annotated[str | None, typer.Option(help='As "TokenBucket(60, per=60)".')] = None,
    backoff: Annotated[str | None, typer.Option(help='As "FullJitter(ExponentialBackoff(1))".')] = None,
    estimator: Annotated[str | None, typer.Option(help='As "MovingAverage(30)".')] = None,
    queue: Annotated[str | None, typer.Option(help='As "BoundedQueue(100)".')] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs that may run at once.")] = None,
    clients: Annotated[int | None, typer.Option(min=1, help="Schedulers that know nothing of each other.")] = None,
    workload: _Workload = None,
    upstream: _Upstream = None,
    jobs: _Jobs = None,
    until: _Until = None,
    seed: _Seed = None,
    repeat: _Repeat = None,
    plot: _Plot = None,
    as_json: _Json = False,
) -> None:
    """Try one choice of parts on a workload, in virtual time.

    Without a file: on the workload and in front of the upstream of the sample that `pacer compare` runs.

    Exit codes: 0 done, 1 the run did not come to an end, 2 something is wrong with the options or the file.
    """
    parts: dict[str, Any] = {"pacing": pacing, "backoff": backoff, "estimator": estimator, "queue": queue}
    parts |= {"concurrency": concurrency, "clients": clients}
    own = {key: value for key, value in parts.items() if value is not None}
    changed = {"workload": workload, "upstream": upstream, "until": until, "seed": seed, "repeat": repeat}
    with _exit_codes("simulate", {f"candidate[1].{key}": f"--{key}" for key in own} | _options(changed)):
        whole = _comparison(file, changed, jobs, lambda tables: _one_candidate(tables, candidate, own))
        _carry_out(whole, plot, as_json=as_json)


def _options(changed: Mapping[str, Any]) -> dict[str, str]:
    """How keys are called that were given on the command line."""
    return {key: f"--{key}" for key, value in changed.items() if value is not None} | {"jobs": "--jobs"}


def _one_candidate(tables: Mapping[str, Any], name: str | None, own: Mapping[str, Any]) -> Any:
    """The candidate with this name, with other parts where they were given; or one of these parts alone."""
    there = tables.get("candidate", [])
    if not isinstance(there, list) or not all(isinstance(one, dict) for one in there):
        return there  # which is refused where everything is
    names = [str(one.get("name", f"candidate[{number}]")) for number, one in enumerate(there, start=1)]
    if name is not None:
        if name not in names:
            raise ConfigError("--candidate", f"there is no {name!r}; {choices(name, names)}")
        return [{**there[names.index(name)], **own}]
    if own:
        return [dict(own)]
    if len(there) == 1:
        return there
    raise ConfigError("--candidate", f"which one? Or give --pacing. {choices('', names)}")


def _comparison(
    file: Path | None,
    changed: Mapping[str, Any],
    jobs: int | None,
    candidates: Callable[[Mapping[str, Any]], Any] | None = None,
) -> Comparison:
    """What the file says, or the sample, with what the command line says in its place."""
    path = sample_folder() / CONFIG if file is None else file
    tables = read_file(path)
    if candidates is not None:
        tables["candidate"] = candidates(tables)
    tables |= {key: value for key, value in changed.items() if value is not None}
    typed = Path() if changed["workload"] is not None else None
    return comparison(tables, base=path.parent, workload_base=typed, jobs=jobs)


def _carry_out(whole: Comparison, plot: Path | None, *, as_json: bool) -> None:
    if plot is not None:
        check_target(plot)
    trials = _run(whole)
    if as_json:
        json.dump(report(whole, trials), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    else:
        show(whole, trials, Console())
    if plot is not None:
        try:
            write_picture(plot, whole, trials)
        except OSError as error:
            raise ConfigError("--plot", f"{plot} cannot be written: {error.strerror or error}") from error
        typer.echo(f"wrote {plot}", err=True)


def _run(whole: Comparison) -> list[Trial]:
    """With a bar on the terminal, if there is one."""
    said = Console(stderr=True)
    looks = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*looks, console=said, transient=True, disable=not said.is_terminal) as progress:
        task = progress.add_task("simulating", total=len(whole.candidates) * whole.repeat)
        return run(whole, lambda name: progress.update(task, advance=1, description=name))


@attrs.frozen
class _exit_codes:  # noqa: N801 - it reads as a verb: with _exit_codes(...)
    """Errors become one line and an exit code; keys that came from the command line are called as there."""

    command: str
    options: Mapping[str, str]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ConfigError):
            key = self.options.get(error.key, error.key)
            self._leave(f"{key}: {error.problem}" if key else error.problem, USAGE)
        if isinstance(error, RunError):
            self._leave(str(error), FAILED)
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(130) from None

    def _leave(self, said: str, code: int) -> None:
        typer.echo(f"pacer {self.command}: {said}", err=True)
        raise typer.Exit(code) from None
