"""Asking before something is done that many would notice."""

from __future__ import annotations

import sys

import typer

from pacer._command_error import CommandError
from pacer._operate._errors import USAGE
from pacer._operate._text import is_terminal


def make_sure(question: str, *, yes: bool) -> None:
    """Ask, where there is somebody to ask. Raises CommandError: the answer was no, or nobody is there to give one."""
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        msg = f"this asks first, and there is no terminal to ask on: add --yes. ({question})"
        raise CommandError(msg, USAGE)
    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        sure = False
    if not sure:
        msg = "nothing was done"
        raise CommandError(msg, USAGE)
