"""What the stand-in answers: a short German analysis, worked out from the text by plain counting.

It invents nothing: every sentence that it quotes stands in the document, so that a reader of the demo can check it.
"""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{3,}")
_STOPWORDS = frozenset(
    _WORD.findall(
        "aber alle als also auch auf aus bei bis das dass dem den der des die dies diese dieser durch ein eine "
        "einem einen einer eines er es für haben hat im in ist kann mit nach nicht noch nur oder sich sie sind so soll "
        "sowie um und unter vom von vor war was werden wie wird wurde zu zum zur über"
    )
)
_SENTENCE_END = re.compile(r"(?<=[a-zäöüß\])?!][.?!])\s+(?=[A-ZÄÖÜ0-9])")
_AMOUNT = re.compile(r"\d+(?:[.,]\d+)*\s(?:Millionen|Milliarden|Mio\.|Mrd\.|Tausend)?\s?Euro")
_KINDS = ("Kleine Anfrage", "Große Anfrage", "Gesetzentwurf", "Antrag", "Unterrichtung", "Beschlussempfehlung")
_TOPICS = {
    "Verkehr": ("bahn", "straße", "radweg", "verkehr", "zug", "brücke"),
    "Gesundheit": ("krank", "pflege", "ärzt", "patient", "klinik"),
    "Bildung": ("schule", "unterricht", "lehr", "kinder", "ausbildung"),
    "Umwelt": ("wasser", "klima", "wald", "moor", "naturschutz"),
    "Digitales": ("digital", "daten", "software", "online", "netz"),
    "Wohnen": ("wohn", "miete", "neubau", "leerst"),
    "Haushalt": ("haushalt", "mittel", "kosten", "euro", "steuer"),
}


def analyse(document: str) -> str:
    """An analysis of one paper; the same paper always gets the same one."""
    text = " ".join(document.split())
    # Headings are lines that do not end like a sentence.
    lines = [line.strip() for line in document.splitlines() if line.strip().endswith((".", "?", "!"))]
    sentences = [sentence for line in lines for sentence in _SENTENCE_END.split(line) if len(sentence) > 30]
    if not sentences:
        return "Das Dokument enthält keinen auswertbaren Text."
    kind = next((kind for kind in _KINDS if kind in text), "Drucksache")
    report = [
        f"Dokumentart: {kind}",
        f"Themenfelder: {', '.join(_topics(text)) or 'nicht eindeutig'}",
        "",
        "Kernaussagen:",
        *(f"- {sentence}" for sentence in _key_sentences(sentences, 3)),
    ]
    questions = sum(sentence.endswith("?") for sentence in sentences)
    if questions:
        report += ["", f"Das Papier stellt {questions} Frage{'n' * (questions > 1)} an die Regierung."]
    amounts = list(dict.fromkeys(match.group() for match in _AMOUNT.finditer(text)))
    if amounts:
        report += ["", f"Genannte Beträge: {', '.join(amounts)}."]
    return "\n".join(report)


def count_tokens(text: str) -> int:
    """About four characters a token, as providers' rules of thumb have it; at least 1."""
    return max(1, len(text) // 4)


def _topics(text: str) -> list[str]:
    words = text.lower()
    hits = {topic: sum(words.count(stem) for stem in stems) for topic, stems in _TOPICS.items()}
    return [topic for topic, count in Counter(hits).most_common(2) if count]


def _key_sentences(sentences: list[str], wanted: int) -> list[str]:
    """The sentences whose words are the most frequent on average, in the order of the document."""
    frequency = Counter(word for sentence in sentences for word in _content_words(sentence))

    def weight(sentence: str) -> float:
        words = _content_words(sentence)
        return sum(frequency[word] for word in words) / (len(words) + 3)

    statements = [sentence for sentence in sentences if not sentence.endswith("?")] or sentences
    chosen = sorted(statements, key=weight, reverse=True)[:wanted]
    return [sentence for sentence in statements if sentence in chosen]


def _content_words(sentence: str) -> list[str]:
    return [word for word in _WORD.findall(sentence.lower()) if word not in _STOPWORDS]
