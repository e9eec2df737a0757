"""Words: what an engine heard, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word with the punctuation that clings to it.

    `start` and `end` are seconds of played time, `probability` is the engine's own belief from 0 to 1.

    Raises:
        ValueError: a time or probability that is not a finite number, so that no later sum is poisoned by it.
    """

    start: float
    end: float
    text: str
    probability: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(n) for n in (self.start, self.end, self.probability)):
            raise ValueError(f"a word's times and probability must be finite numbers: {self!r}")


def spread(text: str, start: float, end: float) -> list[Word]:
    """The words of a text that was said from `start` to `end` seconds, each given time by its length: for words whose own
    times nobody knows."""
    words = text.split()
    letters = sum(len(word) + 1 for word in words)
    found: list[Word] = []
    at = start
    for word in words:
        until = at + (end - start) * (len(word) + 1) / letters
        found.append(Word(at, until, word, 1.0))
        at = until
    return found


def shifted(words: list[Word], seconds: float) -> list[Word]:
    """The same words `seconds` later (earlier when negative, but never before 0): for an audio track that starts
    late, and for a recording that was trimmed."""
    return [
        Word(max(0.0, w.start + seconds), max(0.0, w.end + seconds), w.text, w.probability)
        for w in words
        if w.end + seconds >= 0
    ]
