"""Identifying names and numbers that must not be said: where a transcript says them, or something that sounds so.

The result is a list of places for a person to judge. A place too many costs a look, a place too few a patient's
privacy, so parts of a name count as well as the whole.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.captions.words import Word

_DIGITS = {
    "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_MULTIPLES = {"double": 2, "triple": 3}
_SHORTEST_NUMBER = 4
_SHORTEST_PART = 3
_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "prof", "sir", "the", "and", "van", "von", "der", "bin", "st"])


@dataclass(frozen=True, slots=True)
class Mention:
    """`identifier`, as it was listed, is said in words `first` to `last` (indexes, both included) from `start` to `end`
    seconds. `exact` is False where it only sounds similar or only a part of it is said."""

    identifier: str
    first: int
    last: int
    start: float
    end: float
    exact: bool


def find(identifiers: Iterable[str], words: Sequence[Word]) -> list[Mention]:
    """Every place where one of `identifiers` is said, in order of the words; the fullest match where several begin."""
    said = [_plain(w.text) for w in words]
    best: dict[tuple[str, int], tuple[bool, int]] = {}

    def note(identifier: str, first: int, last: int, exact: bool) -> None:
        known = best.get((identifier, first))
        best[identifier, first] = max(known, (exact, last)) if known else (exact, last)

    for identifier in identifiers:
        number = "".join(c for c in identifier if c.isdigit())
        if len(number) >= _SHORTEST_NUMBER:
            for first, last in _numbers(number, said):
                note(identifier, first, last, True)
        name = [
            part for part in (_plain(p) for p in identifier.replace("-", " ").split()) if part and not part.isdigit()
        ]
        for first, last, exact in _names(name, said):
            note(identifier, first, last, exact)
    mentions = [
        Mention(identifier, first, last, words[first].start, words[last].end, exact)
        for (identifier, first), (exact, last) in best.items()
    ]
    return sorted(_outermost(mentions), key=lambda m: (m.first, m.last, m.identifier))


def _outermost(mentions: list[Mention]) -> list[Mention]:
    """Without the places that another one of the same identifier makes needless: longer, or exact where this is not."""

    def needless(m: Mention, other: Mention) -> bool:
        if other is m or other.identifier != m.identifier or other.last < m.first or other.first > m.last:
            return False
        if other.exact != m.exact:
            return other.exact
        return other.first <= m.first and m.last <= other.last

    return [m for m in mentions if not any(needless(m, other) for other in mentions)]


@lru_cache(maxsize=1 << 14)  # speech repeats its words
def _plain(text: str) -> str:
    """Letters and digits only, without case, accents or a possessive ending."""
    folded = unicodedata.normalize("NFKD", text).casefold().replace("’", "'")
    folded = folded.strip("\"'.,;:!?…-–()[]")
    folded = folded.removesuffix("'s")
    return "".join(c for c in folded if c.isalnum())


def _names(name: list[str], said: Sequence[str]) -> Iterable[tuple[int, int, bool]]:
    if not name:
        return
    whole = "".join(name)
    parts = [part for part in name if len(part) >= _SHORTEST_PART and part not in _TITLES]
    for first in range(len(said)):
        joined = ""
        # "McDonald" may be heard as two words, and "Mary Ann" as one.
        for last in range(first, min(len(said), first + len(name) + 1)):
            joined += said[last]
            if not said[first] or not said[last]:
                continue
            # One word more than the name has must fit exactly, or any short word in front would seem to belong to it.
            if whole == joined or (last - first < len(name) and _similar(whole, joined)):
                yield first, last, whole == joined
        if any(_similar(part, said[first]) for part in parts):
            yield first, first, len(name) == 1 and whole == said[first]


@lru_cache(maxsize=1 << 16)
def _similar(wanted: str, heard: str) -> bool:
    """Equal, or within a spelling's distance for names long enough to be told from other words; an s may hang on."""
    if wanted == heard:
        return True
    allowed = 0 if len(wanted) < 5 else 1 if len(wanted) < 8 else 2
    if wanted + "s" == heard:
        return len(wanted) >= _SHORTEST_PART
    return abs(len(wanted) - len(heard)) <= allowed and 0 < _distance(wanted, heard) <= allowed


def _distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def _numbers(number: str, said: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Runs of words whose digits, said in any grouping, contain `number`."""
    digits, owners = "", []
    times = 1
    for i, word in enumerate([*said, ""]):
        if word in _MULTIPLES:
            times = _MULTIPLES[word]
            continue
        spoken = word if word.isdigit() and word.isascii() else _DIGITS.get(word, "")
        if spoken:
            digits += spoken * times
            owners += [i] * (len(spoken) * times)
        else:
            at = digits.find(number)
            while at >= 0:
                yield owners[at], owners[at + len(number) - 1]
                at = digits.find(number, at + 1)
            digits, owners = "", []
        times = 1
