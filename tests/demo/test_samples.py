"""The sample papers and what the stand-in makes of them."""

from __future__ import annotations

import pytest

from pacer.demo._analysis import analyse, count_tokens
from pacer.demo._samples import Sample, load_samples


def test_the_samples_have_numbers_titles_and_text() -> None:
    samples = load_samples()
    numbers = ["1204", "1217", "1233", "1240", "1258", "1271", "1284", "1290", "1302", "1315"]
    assert [one.number for one in samples] == [f"8/{number}" for number in numbers]
    assert (samples[1].kind, samples[1].subject) == ("Antrag", "Kostenfreies Trinkwasser an allen Schulen")
    assert all(len(one.text) > 500 for one in samples)


@pytest.mark.parametrize("sample", load_samples(), ids=lambda sample: sample.number)
def test_an_analysis_is_the_same_every_time_and_quotes_only_what_the_paper_says(sample: Sample) -> None:
    analysis = analyse(sample.text)
    assert analysis == analyse(sample.text)
    quotes = [line.removeprefix("- ") for line in analysis.splitlines() if line.startswith("- ")]
    assert len(quotes) == 3
    assert all(quote in sample.text for quote in quotes)


def test_the_kind_the_topics_the_questions_and_the_amounts_are_told() -> None:
    analysis = analyse(load_samples()[0].text)
    assert "Dokumentart: Kleine Anfrage" in analysis
    assert "Themenfelder: Verkehr" in analysis
    assert "4 Fragen" in analysis
    assert "Genannte Beträge: 48 Millionen Euro, 12 Millionen Euro." in analysis


def test_a_text_without_sentences_is_said_to_be_one() -> None:
    assert analyse("Tagesordnung") == "Das Dokument enthält keinen auswertbaren Text."


def test_tokens_are_about_four_characters_and_never_none() -> None:
    assert (count_tokens(""), count_tokens("a" * 400)) == (1, 100)
