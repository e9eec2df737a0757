"""Two states of a caption track side by side, and the work of two people put together.

Captions have no identity of their own, so states are aligned as texts are: by their longest common runs.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from app.captions.cues import Cue

Hunk = tuple[int, int, int, int]


class Change(enum.StrEnum):
    """What became of a caption."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a comparison: the caption before and after; one of them is None where it came or went."""

    change: Change
    before: Cue | None
    after: Cue | None


def differences(before: Sequence[Cue], after: Sequence[Cue]) -> list[Difference]:
    """Every caption of both states, in order. Whether somebody has checked a caption is no difference."""
    rows: list[Difference] = []
    for first, last, new_first, new_last in _hunks([_shown(c) for c in before], [_shown(c) for c in after], all_=True):
        old, new = before[first:last], after[new_first:new_last]
        if [_shown(c) for c in old] == [_shown(c) for c in new]:
            rows += [Difference(Change.SAME, a, b) for a, b in zip(old, new, strict=True)]
        else:
            rows += _paired(old, new)
    return rows


def _paired(old: Sequence[Cue], new: Sequence[Cue]) -> list[Difference]:
    """A stretch that differs: captions that are shown at the same time belong together, each with one at most."""
    rows: list[Difference] = []
    at = 0
    for cue in old:
        while at < len(new) and new[at].end_ms <= cue.start_ms:
            rows.append(Difference(Change.ADDED, None, new[at]))
            at += 1
        if at < len(new) and new[at].start_ms < cue.end_ms:
            rows.append(Difference(Change.CHANGED, cue, new[at]))
            at += 1
        else:
            rows.append(Difference(Change.REMOVED, cue, None))
    return rows + [Difference(Change.ADDED, None, cue) for cue in new[at:]]


@dataclass(frozen=True, slots=True)
class Clash:
    """A stretch that both have changed: `mine` stands in the merged captions from `first` to before `last`; `theirs`
    is what the other one wrote there."""

    first: int
    last: int
    theirs: tuple[Cue, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """Both people's work. Where they clash mine stands, and the clash says what theirs was."""

    cues: tuple[Cue, ...]
    clashes: tuple[Clash, ...]


def merge(base: Sequence[Cue], mine: Sequence[Cue], theirs: Sequence[Cue]) -> Merged:
    """Put together what two people made of `base`.

    What only one of them changed is taken from that one; what both changed alike is taken once. The result is in order
    of time.
    """
    my_hunks, their_hunks = _hunks(base, mine), _hunks(base, theirs)
    blocks = sorted([(h, True) for h in my_hunks] + [(h, False) for h in their_hunks])
    cues: list[Cue] = []
    clashes: list[Clash] = []
    at = 0
    while blocks:
        (first, last, _, _), _ = blocks[0]
        group = []
        # what touches the same captions, or goes in at the same place, cannot be told apart
        while blocks and (blocks[0][0][0] < last or blocks[0][0][0] == first):
            hunk, own = blocks.pop(0)
            group.append((hunk, own))
            last = max(last, hunk[1])
        cues += base[at:first]
        at = last
        ours = _side(base, mine, [h for h, own in group if own], first, last)
        other = _side(base, theirs, [h for h, own in group if not own], first, last)
        if all(own for _, own in group) or ours == other:
            cues += ours
        elif not any(own for _, own in group):
            cues += other
        else:
            clashes.append(Clash(len(cues), len(cues) + len(ours), tuple(other)))
            cues += ours
    cues += base[at:]
    return _in_order(cues, clashes)


def _side(base: Sequence[Cue], side: Sequence[Cue], hunks: list[Hunk], first: int, last: int) -> list[Cue]:
    """What one person has in place of base[first:last]."""
    found: list[Cue] = []
    at = first
    for start, stop, new_start, new_stop in hunks:
        found += base[at:start]
        found += side[new_start:new_stop]
        at = stop
    return found + list(base[at:last])


def _in_order(cues: list[Cue], clashes: list[Clash]) -> Merged:
    """The cues by time. Moving one moves what the clashes point at, so they are then told by where mine went."""
    order = sorted(range(len(cues)), key=lambda i: (cues[i].start_ms, i))
    if order == list(range(len(cues))):
        return Merged(tuple(cues), tuple(clashes))
    place = {old: new for new, old in enumerate(order)}
    moved = []
    for clash in clashes:
        mine = sorted(place[i] for i in range(clash.first, clash.last))
        first = mine[0] if mine else min(clash.first, len(cues))
        moved.append(Clash(first, mine[-1] + 1 if mine else first, clash.theirs))
    return Merged(tuple(cues[i] for i in order), tuple(moved))


def _shown(cue: Cue) -> tuple[int, int, tuple[str, ...], str | None]:
    return cue.start_ms, cue.end_ms, cue.lines, cue.speaker


def _hunks(a: Sequence[Any], b: Sequence[Any], *, all_: bool = False) -> list[Hunk]:
    """Stretches of `a` and what stands there in `b`: those that differ, or all. As many captions in place of as many are
    taken one by one: so two people can change neighbours without being in each other's way."""
    found: list[Hunk] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "replace" and i2 - i1 == j2 - j1:
            found += [(i1 + n, i1 + n + 1, j1 + n, j1 + n + 1) for n in range(i2 - i1)]
        elif all_ or tag != "equal":
            found.append((i1, i2, j1, j2))
    return found
