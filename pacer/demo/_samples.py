"""Sample papers, made up for the demo. Parliament, numbers and places do not exist."""

from __future__ import annotations

from importlib.resources import files

import attrs


@attrs.frozen
class Sample:
    """One paper.

    Attributes:
        number: As printed on it: "8/1204".
        kind: What sort of paper it is: "Antrag".
        subject: What it is about.
        text: All of it.
    """

    number: str
    kind: str
    subject: str
    text: str


def load_samples() -> list[Sample]:
    """All sample papers, in the order of their numbers."""
    folder = files("pacer.demo") / "samples"
    papers = sorted((file for file in folder.iterdir() if file.name.endswith(".txt")), key=lambda file: file.name)
    return [_parse(file.read_text(encoding="utf-8")) for file in papers]


def _parse(text: str) -> Sample:
    head, title = text.splitlines()[:2]
    kind, subject = title.split(": ", 1)
    return Sample(head.rsplit(" ", 1)[1], kind, subject, text)
