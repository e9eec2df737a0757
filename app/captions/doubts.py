"""Words that the engine was unsure of, found again in the cues that were built from what it heard."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.captions.cues import Cue
from app.captions.words import Word

#: Below this probability of the engine's own a word is worth a second hearing. It is a first measure, not a measured one:
#: engines are over-confident, and a mark too many costs a glance.
UNSURE = 0.5
MOST_CHARS = 100


def mark(cues: Sequence[Cue], words: Sequence[Word], *, below: float = UNSURE) -> list[Cue]:
    """The cues with `doubtful` set to the words whose probability is less than `below`.

    `cues` must have been built from `words`: they hold the same characters in the same order, spaces apart. Where they do
    not any more, the rest is left unmarked.
    """
    heard = _characters(words)
    marked = []
    for cue in cues:
        doubtful = []
        for token in cue.text.split():
            probability = 1.0
            for character in token:
                found = next(heard, None)
                if found is None or found[0] != character:
                    heard = iter(())
                    break
                probability = min(probability, found[1])
            else:
                if probability < below and token not in doubtful:
                    doubtful.append(token[:MOST_CHARS])
        marked.append(replace(cue, doubtful=tuple(doubtful)))
    return marked


def _characters(words: Sequence[Word]) -> Iterator[tuple[str, float]]:
    """Each printed character that was heard, with the probability of its word."""
    for word in words:
        for character in word.text:
            if not character.isspace() and unicodedata.category(character) != "Cc":
                yield character, word.probability
