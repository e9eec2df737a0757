"""Word error rate: how far a transcript is from what was said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def normalised(text: str) -> list[str]:
    """Words without case, punctuation or accents-as-typed; apostrophes inside a word stay, numbers are left as they are
    written ("14" and "fourteen" differ)."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return [word.strip("'") for word in re.findall(r"[\w']+", folded) if word.strip("'")]


def errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest substitutions, insertions and deletions that turn `reference` into `heard`."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, word in enumerate(heard, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != word))
    return row[-1]


def word_error_rate(reference: str, heard: str) -> float:
    """Errors for each word of the reference, after normalisation. 0 is perfect; inventions can take it over 1. With an
    empty reference every word is an error, and the rate is their number."""
    wanted = normalised(reference)
    return errors(wanted, normalised(heard)) / max(1, len(wanted))
