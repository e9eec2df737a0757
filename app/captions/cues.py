"""Cues: lines of text with times, built from words by rules that let people read them.

The rules follow the usual British broadcast guidance (at most two lines of 37 characters, 160 to 180 words a minute,
breaks at sense). `build_cues` keeps them as far as the words allow; `lint` says in sentences where they are broken,
which is also how an edited track is checked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.captions import sense
from app.captions.words import Word

MAX_LINES = 2
MAX_CHARS = 37
MIN_MS = 1_000
MAX_MS = 7_000
GAP_MS = 80
AIM_WPM = 170
WARN_WPM = 200

# Engines end a word early (a median of 125 ms for Whisper), so the last one of a cue is held.
_HOLD_MS = 150
# A cue may stay this long after its last word so that a slow reader can finish; more looks like a hung player.
_LINGER_MS = 1_500
# A cue that would be too fast to read may begin this long before its first word, or keep the next one, which has time to
# spare, waiting this long: within what viewers take for simultaneous, and far within the 1.5 s that broadcasters allow.
_EARLY_MS = 200
_LATE_MS = 400
# A silence of this length always ends a cue: text that stays over it would announce what has not been said.
_PAUSE_MS = 1_500


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` until `end_ms` (milliseconds of played time, end exclusive).

    `lines` are plain text, never markup. `confidence` is the mean probability of the words, 0 to 1; what a person wrote
    has 1. `speaker` is a name or role, or None where nobody has said who speaks. `checked` says that a person has
    compared it with the sound; `doubtful` are the words in it that the engine was unsure of.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    confidence: float
    speaker: str | None = None
    checked: bool = False
    doubtful: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(self.lines)

    @property
    def words_per_minute(self) -> float:
        """Reading speed that the cue asks for."""
        return len(self.text.split()) * 60_000 / max(1, self.end_ms - self.start_ms)


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that cue number `index` (from 0) breaks. `warning` marks those that a person may well leave."""

    index: int
    rule: str
    sentence: str
    warning: bool = False


# -- building ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    """A printable piece of at most MAX_CHARS characters. `glued` pieces continue the one before without a space."""

    start_ms: int
    end_ms: int
    text: str
    probability: float
    glued: bool


def build_cues(words: Sequence[Word], *, duration: float) -> list[Cue]:
    """Cues for `words` of a recording of `duration` seconds.

    Every word is kept, in the order given; times that make no sense (reversed, overlapping, outside the recording) are
    put in order first. Cues never overlap and never leave the limits of lines, characters and MAX_MS; they are at least
    MIN_MS long and end by `duration` wherever there are that many seconds for that many cues.
    """
    duration_ms = max(1, round(duration * 1000))
    tokens = _tokens(words, duration_ms)
    groups: list[list[_Token]] = []
    stretch: list[_Token] = []
    for token in tokens:
        if stretch and token.start_ms - stretch[-1].end_ms >= _PAUSE_MS:
            groups += _split(stretch, token.start_ms)
            stretch = []
        stretch.append(token)
    if stretch:
        groups += _split(stretch, duration_ms)
    return _timed(groups, duration_ms)


def _tokens(words: Sequence[Word], duration_ms: int) -> list[_Token]:
    tokens: list[_Token] = []
    latest = 0
    for word in words:
        text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in word.text)
        start = max(latest, min(duration_ms, max(0, round(word.start * 1000))))
        end = max(start, min(duration_ms, round(word.end * 1000)))
        latest = start
        for piece in text.split():
            for at in range(0, len(piece), MAX_CHARS):
                part = piece[at : at + MAX_CHARS]
                tokens.append(_Token(start, end, part, word.probability, glued=at > 0))
    # An end beyond the next start would make gaps negative everywhere below.
    trimmed = []
    for i, token in enumerate(tokens):
        end = min(token.end_ms, tokens[i + 1].start_ms) if i + 1 < len(tokens) else token.end_ms
        trimmed.append(_Token(token.start_ms, max(token.start_ms, end), token.text, token.probability, token.glued))
    return trimmed


def _split(tokens: list[_Token], next_start_ms: int) -> list[list[_Token]]:
    """The cheapest way to divide one stretch of speech into cues (shortest path over word boundaries)."""
    n = len(tokens)
    starts = [t.start_ms for t in tokens] + [next_start_ms]
    breaks = [
        sense.break_cost(
            tokens[i].text, tokens[i + 1].text if i + 1 < n else None, (starts[i + 1] - tokens[i].end_ms) / 1000
        )
        for i in range(n)
    ]
    best: list[float] = [0.0] + [float("inf")] * n
    came: list[int] = [0] * (n + 1)
    for first in range(n):
        lengths = 0
        crossed = 0.0
        for last in range(first, n):
            lengths += len(tokens[last].text) + 1
            if last > first:
                crossed += sense.crossing_cost(tokens[last - 1].text, (starts[last] - tokens[last - 1].end_ms) / 1000)
            group = tokens[first : last + 1]
            spoken_ms = tokens[last].end_ms - tokens[first].start_ms
            if lengths - 1 > MAX_LINES * MAX_CHARS + 1 or (last > first and spoken_ms > MAX_MS - _HOLD_MS):
                break
            lines = _wrap(group)
            if lines is None:
                break
            cost = best[first] + breaks[last] + crossed + _shape_cost(lines, group, starts[last + 1])
            if cost < best[last + 1]:
                best[last + 1], came[last + 1] = cost, first
    groups = []
    at = n
    while at:
        groups.append(tokens[came[at] : at])
        at = came[at]
    return groups[::-1]


def _shape_cost(lines: tuple[str, ...], group: list[_Token], next_start_ms: int) -> float:
    """What is unpleasant about one cue in itself: too short to read, too fast, a scrap of text."""
    room_ms = min(next_start_ms, group[-1].end_ms + _HOLD_MS + _LINGER_MS) - group[0].start_ms
    need_ms = len(group) * 60_000 / AIM_WPM
    cost = 2.0  # each cue is one more jump of the eye
    if room_ms < MIN_MS:
        cost += 12.0 + 12.0 * (MIN_MS - room_ms) / MIN_MS
    if room_ms < need_ms:
        cost += 2.0 * (need_ms - room_ms) / 1000
    if len(lines) == 1 and len(lines[0]) < 12:
        cost += 1.5
    return cost


def _wrap(group: list[_Token]) -> tuple[str, ...] | None:
    """One line if it fits, else the two that divide best; None when two lines are not enough."""
    # lengths are reckoned and not joined: this is asked for every stretch of words that could be a caption
    reach = [len(group[0].text)]
    for token in group[1:]:
        reach.append(reach[-1] + len(token.text) + (not token.glued))
    if reach[-1] <= MAX_CHARS:
        return (_join(group),)
    best: tuple[float, int] | None = None
    for at in range(1, len(group)):
        upper = reach[at - 1]
        if upper > MAX_CHARS:
            break
        lower = reach[-1] - upper - (not group[at].glued)
        if lower > MAX_CHARS:
            continue
        cost = sense.break_cost(group[at - 1].text, group[at].text, 0.0) + abs(upper - lower) * 0.15
        cost += 0.5 if upper > lower else 0.0
        if best is None or cost < best[0]:
            best = (cost, at)
    return (_join(group[: best[1]]), _join(group[best[1] :])) if best else None


def wrapped(text: str) -> tuple[str, ...] | None:
    """A text as one line or the two that divide best; None when two lines are not enough. Words longer than a line are
    cut."""
    pieces = [
        _Token(0, 0, word[at : at + MAX_CHARS], 1.0, glued=at > 0)
        for word in text.split()
        for at in range(0, len(word), MAX_CHARS)
    ]
    return _wrap(pieces) if pieces else None


def _join(group: list[_Token]) -> str:
    # Only the first piece of a line may be glued to what stands on another line; inside a line glue means no space.
    return "".join(("" if i == 0 or t.glued else " ") + t.text for i, t in enumerate(group))


def _timed(groups: list[list[_Token]], duration_ms: int) -> list[Cue]:
    """Put the groups on the clock: hold, linger, keep the minimum, never overlap, close small gaps."""
    count = len(groups)
    if not count:
        return []
    starts: list[int] = []
    ends: list[int] = []
    for i, group in enumerate(groups):
        start = max(group[0].start_ms, ends[-1] if ends else 0)
        spoken = max(group[-1].end_ms, start)
        limit = max(start, groups[i + 1][0].start_ms) if i + 1 < count else duration_ms
        wish = max(spoken + _HOLD_MS, min(start + len(group) * 60_000 // AIM_WPM, spoken + _LINGER_MS))
        end = max(min(wish, limit), start + MIN_MS)
        starts.append(start)
        ends.append(min(end, start + MAX_MS))
    if ends[-1] > duration_ms:
        _pull_back(starts, ends, duration_ms)
    else:
        _lend(starts, ends, [sum(not token.glued for token in group) for group in groups])
    for i in range(count - 1):
        if 0 < starts[i + 1] - ends[i] < GAP_MS:
            ends[i] = starts[i + 1] if starts[i + 1] - starts[i] <= MAX_MS else starts[i + 1] - GAP_MS
    return [
        Cue(
            start_ms=starts[i],
            end_ms=ends[i],
            lines=_wrap(group) or (_join(group),),
            confidence=round(min(1.0, max(0.0, sum(t.probability for t in group) / len(group))), 4),
        )
        for i, group in enumerate(groups)
    ]


def _lend(starts: list[int], ends: list[int], words: list[int]) -> None:
    """Give cues that ask for more than WARN_WPM some of the time around them: of the gap in front, and of a slower next
    cue. Nothing gets shorter than it may be, or faster than WARN_WPM."""

    def needs(i: int) -> int:
        return min(MAX_MS, max(MIN_MS, -(-words[i] * 60_000 // WARN_WPM)))

    for i in range(len(starts)):
        missing = needs(i) - (ends[i] - starts[i])
        early = min(missing, _EARLY_MS, starts[i] - (ends[i - 1] if i else 0))
        if early > 0:
            starts[i] -= early
            missing -= early
        if missing > 0 and i + 1 < len(starts) and ends[i] == starts[i + 1]:
            late = min(missing, _LATE_MS, ends[i + 1] - starts[i + 1] - needs(i + 1))
            if late > 0:
                ends[i] += late
                starts[i + 1] += late


def _pull_back(starts: list[int], ends: list[int], duration_ms: int) -> None:
    """Move the last cues earlier until they end with the recording; share the time out where it is too little."""
    count = len(starts)
    if duration_ms < count * MIN_MS:
        each = max(1, duration_ms // count)
        starts[:] = [i * each for i in range(count)]
        ends[:] = [start + min(each, MAX_MS) for start in starts]
        return
    limit = duration_ms
    for i in reversed(range(count)):
        if ends[i] <= limit:
            break
        ends[i] = limit
        starts[i] = min(starts[i], limit - MIN_MS)
        limit = starts[i]


# -- checking ------------------------------------------------------------------------------------------------------


def lint(cues: Sequence[Cue], *, duration: float | None = None) -> list[Breach]:
    """Every breach of the rules, in order of the cues, each as a sentence for the person who edits them.

    `duration` (seconds) also checks that nothing ends after the recording.
    """
    found: list[Breach] = []

    def say(index: int, rule: str, sentence: str, *, warning: bool = False) -> None:
        found.append(Breach(index, rule, f"Caption {index + 1} {sentence}", warning))

    for i, cue in enumerate(cues):
        length = cue.end_ms - cue.start_ms
        if not cue.text.strip():
            say(i, "empty", "has no text.")
        if length <= 0:
            say(i, "reversed", "ends before it begins.")
            continue
        if len(cue.lines) > MAX_LINES:
            say(i, "lines", f"has {len(cue.lines)} lines; {MAX_LINES} are the most that people can follow.")
        longest = max((len(line) for line in cue.lines), default=0)
        if longest > MAX_CHARS:
            say(i, "line-length", f"has a line of {longest} characters; the most is {MAX_CHARS}.")
        if length < MIN_MS:
            say(i, "short", f"is shown for {length / 1000:.2f} seconds; it needs at least {MIN_MS // 1000}.")
        if length > MAX_MS:
            say(i, "long", f"stays for {length / 1000:.1f} seconds; the most is {MAX_MS // 1000}.")
        speed = cue.words_per_minute
        if speed > WARN_WPM:
            say(i, "fast", f"asks for {speed:.0f} words a minute; over {WARN_WPM} is hard to read.", warning=True)
        if duration is not None and cue.end_ms > round(duration * 1000):
            say(i, "late", "ends after the recording does.")
        if i + 1 < len(cues):
            gap = cues[i + 1].start_ms - cue.end_ms
            if cues[i + 1].start_ms < cue.start_ms:
                say(i + 1, "order", "begins before the one in front of it.")
            elif gap < 0:
                say(i, "overlap", f"is still shown for {-gap} ms when the next one begins.")
            elif 0 < gap < GAP_MS:
                say(i, "gap", f"leaves a flicker of {gap} ms before the next one; close it.")
    return found
