"""Captions follow their recording when parts are taken out of it: a trim at the ends, or cuts within.

A cut is often made because something must not be heard. So what was said in it must not be read either: words that may lie
in a cut are left out, rather one too many than one too few, and a person looks at those captions again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.captions import fixing
from app.captions.cues import Cue, wrapped
from app.captions.words import spread

Cut = tuple[int, int]
#: Where in a caption a word is said is only estimated, and is off by less than this in most.
MARGIN_MS = 250


def retimed(
    cues: Sequence[Cue], cuts: Sequence[Cut], *, duration: float | None = None, margin_ms: int = MARGIN_MS
) -> list[Cue]:
    """The cues of a recording from which `cuts` (from and until, milliseconds of the uncut time) were taken.

    Captions away from every cut keep their words and move by exactly what was taken out before them. One that touches a
    cut loses the words that may lie in it and counts as not checked; one that lies in it goes.

    Args:
        duration: seconds of the recording when it is cut.
    """
    gone = _merged(cuts)
    if not gone:
        return list(cues)
    left: list[Cue] = []
    for cue in cues:
        kept = _outside(cue, gone, margin_ms)
        if kept is None:
            continue
        start, end = (at - _before(at, gone) for at in (kept.start_ms, kept.end_ms))
        left.append(replace(kept, start_ms=start, end_ms=max(end, start + 1)))
    return fixing.timed(left, duration=duration)


def _merged(cuts: Sequence[Cut]) -> list[Cut]:
    """In order, without overlaps and without what cuts nothing."""
    merged: list[Cut] = []
    for start, end in sorted((max(0, start), end) for start, end in cuts):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _before(at: int, cuts: Sequence[Cut]) -> int:
    """How much was taken out before a moment."""
    return sum(min(end, at) - start for start, end in cuts if start < at)


def _outside(cue: Cue, cuts: Sequence[Cut], margin_ms: int) -> Cue | None:
    """What is left of a cue, still in uncut time."""
    touched = [cut for cut in cuts if cut[0] < cue.end_ms and cut[1] > cue.start_ms]
    if not touched:
        return cue
    kept = [
        word
        for word in spread(cue.text, cue.start_ms / 1000, cue.end_ms / 1000)
        if not any(
            word.start * 1000 < end + margin_ms and word.end * 1000 > start - margin_ms for start, end in touched
        )
    ]
    if not kept:
        return None
    text = [word.text for word in kept]
    start, end = round(kept[0].start * 1000), round(kept[-1].end * 1000)
    return replace(
        cue,
        start_ms=start,
        end_ms=max(end, start + 1),
        lines=wrapped(" ".join(text)) or cue.lines,
        checked=False,
        doubtful=tuple(word for word in cue.doubtful if word in text),
    )
