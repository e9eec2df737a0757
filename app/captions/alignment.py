"""Which word of one text stands for which of another: how a transcript without times finds those of the captions.

Runs of words that occur once in either text are fixed points; between them the fewest changes are looked for, as long as
there is work left in the budget. What lies between and is too large is left unpaired. So the time it takes is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

#: Cells of one table of changes, and of all of them together.
_GAP = 40_000
_BUDGET = 3_000_000

Span = tuple[int, int, int, int]


def pair(old: Sequence[str], new: Sequence[str]) -> list[int | None]:
    """For each word of `new` the index of the word of `old` that it is, or that it has taken the place of. The indexes
    rise. Words are compared as they are."""
    found: list[int | None] = [None] * len(new)
    spans: list[Span] = [(0, len(old), 0, len(new))]
    for size in (3, 2, 1):
        spans = [rest for span in spans for rest in _fix(old, new, span, size, found)]
    left = _BUDGET
    for old_from, old_to, new_from, new_to in spans:
        cells = (old_to - old_from) * (new_to - new_from)
        if 0 < cells <= min(_GAP, left):
            left -= cells
            for j, i in _fewest_changes(old[old_from:old_to], new[new_from:new_to]):
                found[new_from + i] = old_from + j
    return found


def _fix(old: Sequence[str], new: Sequence[str], span: Span, size: int, found: list[int | None]) -> list[Span]:
    """Pair the runs of `size` words that either text has once within the span; returns the spans between them."""
    old_from, old_to, new_from, new_to = span
    if (old_to - old_from) < size or (new_to - new_from) < size:
        return [span] if old_to > old_from and new_to > new_from else []
    places = _once(old, old_from, old_to, size)
    fixed = _rising([(places[run], i) for run, i in _once(new, new_from, new_to, size).items() if run in places])
    rest: list[Span] = []
    at_old, at_new = old_from, new_from
    for j, i in ((j + step, i + step) for j, i in fixed for step in range(size)):
        if j < at_old or i < at_new:
            continue  # runs overlap
        if j > at_old and i > at_new:
            rest.append((at_old, j, at_new, i))
        found[i] = j
        at_old, at_new = j + 1, i + 1
    if at_old < old_to and at_new < new_to:
        rest.append((at_old, old_to, at_new, new_to))
    return rest


def _once(words: Sequence[str], start: int, stop: int, size: int) -> dict[tuple[str, ...], int]:
    """Runs of `size` words that occur once from start to stop, and where."""
    runs = [tuple(words[at : at + size]) for at in range(start, stop - size + 1)]
    counts = Counter(runs)
    return {run: start + at for at, run in enumerate(runs) if counts[run] == 1}


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest choice of (old, new) pairs in which both rise (patience sorting)."""
    pairs = sorted(pairs, key=lambda item: item[1])
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, (j, _) in enumerate(pairs):
        place = bisect_left(tails, j)
        tails[place : place + 1] = [j]
        ends[place : place + 1] = [at]
        before.append(ends[place - 1] if place else -1)
    chosen = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chosen.append(pairs[at])
        at = before[at]
    return chosen[::-1]


def _fewest_changes(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """(old, new) pairs of words that are the same or replaced, with the fewest changes in all."""
    rows = [list(range(len(new) + 1))]
    for j, had in enumerate(old, start=1):
        above, row = rows[-1], [j]
        for i, has in enumerate(new, start=1):
            row.append(min(above[i] + 1, row[i - 1] + 1, above[i - 1] + (had != has)))
        rows.append(row)
    pairs = []
    j, i = len(old), len(new)
    while j and i:
        if rows[j][i] == rows[j - 1][i - 1] + (old[j - 1] != new[i - 1]):
            j, i = j - 1, i - 1
            pairs.append((j, i))
        elif rows[j][i] == rows[j - 1][i] + 1:
            j -= 1
        else:
            i -= 1
    return pairs[::-1]
