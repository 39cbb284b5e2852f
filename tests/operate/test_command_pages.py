"""The pages on the command line name every command, option, key, exit code and finding that there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import pacer._operate
from pacer import JobState
from pacer._commands import _COMMANDS, app
from pacer._operate import _errors
from pacer._operate._export import _COLUMNS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")
DOCTOR = (DOCS / "doctor.md").read_text(encoding="utf-8")
OPERATE = [name for name, module in _COMMANDS.items() if module.startswith("pacer._operate")]
COMMON = {"--help", "--json", "--yes"}


@pytest.mark.parametrize("name", OPERATE)
def test_every_command_and_each_of_its_options_is_on_the_page(name: str) -> None:
    assert f"`pacer {name}" in PAGE
    command = typer.main.get_command(app).get_command(None, name)
    options = {one for parameter in command.params for one in parameter.opts if one.startswith("--")}
    assert not [option for option in options - COMMON if f"`{option}" not in PAGE and f" {option}" not in PAGE]


def test_every_exit_code_is_in_the_table() -> None:
    codes = {value for name, value in vars(_errors).items() if name.isupper() and name[0] != "_"}
    rows = re.findall(r"^\| (\d+) \|", PAGE.partition("## Exit codes")[2], re.MULTILINE)
    assert {int(row) for row in rows} == {0, *codes}


def test_every_column_of_an_export_is_named() -> None:
    assert not [name for name in _COLUMNS if f"`{name}`" not in PAGE]


def test_every_finding_of_the_doctor_is_in_a_table() -> None:
    codes = {state.value for state in (JobState.STALE, JobState.DEAD)}
    folder = Path(str(inspect.getsourcefile(pacer._operate))).parent / "_doctor"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("error", "warning", "note", "make"):
                codes |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    codes |= {"not-ours", "damaged", "newer-schema", "unusable"}
    cells = [row.split("|")[1] for row in DOCTOR.splitlines() if row.startswith("| `")]
    assert {code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)} == codes
