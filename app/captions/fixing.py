"""Fix timing and lines: make cues keep the rules without changing a word of them.

What a person would do by hand: break long captions at sense, wrap their lines, join scraps, let each stay long enough,
end overlaps and flickers. Starts move as little as the rules allow, all together, so that captions stay with the sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.captions.cues import AIM_WPM, GAP_MS, MAX_CHARS, MAX_LINES, MAX_MS, MIN_MS, Cue, build_cues, wrapped
from app.captions.words import spread


def fixed(cues: Sequence[Cue], *, duration: float | None = None) -> list[Cue]:
    """The cues within the rules; the same words in the same order, captions without text left out.

    Doing it twice is doing it once. Two things can remain, because only other words would help: text that is faster than
    people read, and captions shorter than they should be where there is not a second for each.

    Args:
        duration: seconds of the recording; nothing ends after it.
    """
    pieces: list[Cue] = []
    for cue in sorted(cues, key=lambda cue: cue.start_ms):
        pieces += _shaped(cue)
    return timed(_without_scraps(pieces), duration=duration)


# -- lines -------------------------------------------------------------------------------------------------------------


def _shaped(cue: Cue) -> list[Cue]:
    """One cue as it is, with its lines wrapped anew, or in several."""
    words = cue.text.split()
    if not words:
        return []
    lines = tuple(" ".join(line.split()) for line in cue.lines if line.strip())
    if len(lines) <= MAX_LINES and all(len(line) <= MAX_CHARS for line in lines):
        return [replace(cue, lines=lines)]
    whole = wrapped(" ".join(words))
    if whole is not None:
        return [replace(cue, lines=whole)]
    end = max(cue.end_ms, cue.start_ms + 1)
    parts = build_cues(spread(" ".join(words), cue.start_ms / 1000, end / 1000), duration=end / 1000)
    return [
        replace(
            cue,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            lines=part.lines,
            doubtful=tuple(word for word in cue.doubtful if word in part.text.split()),
        )
        for part in parts
    ]


def _without_scraps(cues: Iterable[Cue]) -> list[Cue]:
    """Captions that begin less than a second apart are joined where one person says both and they fit together."""
    joined: list[Cue] = []
    for cue in cues:
        before = joined[-1] if joined else None
        lines = wrapped(f"{before.text} {cue.text}") if before is not None and before.speaker == cue.speaker else None
        if before is not None and lines is not None and cue.start_ms - before.start_ms < MIN_MS:
            joined[-1] = replace(
                before,
                end_ms=max(before.end_ms, cue.end_ms),
                lines=lines,
                confidence=min(before.confidence, cue.confidence),
                checked=before.checked and cue.checked,
                doubtful=tuple(dict.fromkeys(before.doubtful + cue.doubtful)),
            )
        else:
            joined.append(cue)
    return joined


# -- times -------------------------------------------------------------------------------------------------------------


def timed(cues: Sequence[Cue], *, duration: float | None = None) -> list[Cue]:
    """The cues, which are in order, with their times within the rules as far as there is time for all of them."""
    count = len(cues)
    if not count:
        return []
    limit = None if duration is None else max(count, round(duration * 1000))
    least = MIN_MS if limit is None else min(MIN_MS, limit // count)
    starts = _apart([cue.start_ms for cue in cues], least, limit)
    found: list[Cue] = []
    for i, cue in enumerate(cues):
        start = starts[i]
        room = starts[i + 1] if i + 1 < count else limit
        need = len(cue.text.split()) * 60_000 // AIM_WPM
        end = max(cue.end_ms, start + least, start + need)
        end = min(end, start + MAX_MS, end if room is None else room)
        if i + 1 < count and 0 < starts[i + 1] - end < GAP_MS:
            end = starts[i + 1] if starts[i + 1] - start <= MAX_MS else starts[i + 1] - GAP_MS
        found.append(replace(cue, start_ms=start, end_ms=end))
    return found


def _apart(wished: Sequence[int], least: int, limit: int | None) -> list[int]:
    """Starts at least `least` apart, from 0 and with room for the last before `limit`, whose squared distances from the
    wished ones are the smallest: isotonic regression by pooling neighbours that violate the order."""
    pools: list[tuple[int, int]] = []  # sum and count of what was pooled
    for i, start in enumerate(wished):
        total, size = start - i * least, 1
        while pools and pools[-1][0] * size >= total * pools[-1][1]:
            more, members = pools.pop()
            total, size = total + more, size + members
        pools.append((total, size))
    found: list[int] = []
    for total, size in pools:
        level = max(0, total // size)
        if limit is not None:
            level = min(level, limit - least * len(wished))
        found += [level + (len(found) + k) * least for k in range(size)]
    return found
