"""Plain text without times: written as paragraphs, and read by finding each word's time in the captions that are there.

Words are compared with those of the existing captions (`alignment`); a word that is there, or stands in another's place,
takes its time, and words between share what lies between. Where hardly any word is the same, as in a translation, the
text is laid out over the time in which somebody speaks, in proportion to its length. Cues are then built anew by the rules.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from app.captions import alignment, labels
from app.captions.cues import Cue, build_cues
from app.captions.tracks import MAX_CUES, Flag, Track, checked, decode, few, lines_of, name_of
from app.captions.wer import normalised
from app.captions.words import Word
from app.errors import Invalid, TooLarge

MAX_WORDS = 30_000
#: Under this share of words that are the same the two texts are taken for different languages.
SAME_TEXT = 0.3
_PARAGRAPH_PAUSE_MS = 2_000


# -- writing -------------------------------------------------------------------------------------------------------


def write(cues: Iterable[Cue], *, language: str = "", title: str = "", note: str = "") -> str:
    """The words as paragraphs, a new one where the speaker changes or nobody speaks for a while. Nothing but words and
    names is written, so that the file can be changed and brought again."""
    paragraphs: list[str] = []
    before: Cue | None = None
    for cue in checked(cues):
        new_speaker = before is None or cue.speaker != before.speaker
        if before is None or new_speaker or cue.start_ms - before.end_ms >= _PARAGRAPH_PAUSE_MS:
            paragraphs.append(f"{cue.speaker}: {cue.text}" if cue.speaker and new_speaker else cue.text)
        else:
            paragraphs[-1] += f" {cue.text}"
        before = cue
    return "\n\n".join(paragraphs) + "\n" if paragraphs else ""


# -- reading -------------------------------------------------------------------------------------------------------


def parse(data: bytes | str, existing: Sequence[Cue], *, duration_ms: int, speakers: Collection[str] = ()) -> Track:
    """Captions for a text, timed by `existing` ones of the recording, of `duration_ms` milliseconds.

    Raises:
        TooLarge: more bytes or words than anybody says.
        Invalid: no text, no words in it, or no captions to take the times from.
    """
    text, guess = decode(data) if isinstance(data, bytes) else (data, "")
    paragraphs = list(lines_of(text))
    if not existing:
        raise Invalid(
            "A text without times takes them from captions, and this recording has none yet. Import a file with times: "
            "WebVTT, SRT, TTML, or a Word document with the table of an export."
        )
    said = list(_said(paragraphs, speakers))
    if not said:
        raise Invalid("There are no words in this file.")
    if len(said) > MAX_WORDS:
        raise TooLarge(f"A text can have at most {MAX_WORDS:,} words.")
    starts, same = _starts([word for _, word in said], existing, duration_ms)
    cues = _cues(said, starts, max(duration_ms, existing[-1].end_ms))
    if len(cues) > MAX_CUES:
        raise TooLarge(f"A caption file can have at most {MAX_CUES:,} captions.")
    flags = [Flag(1, guess)] if guess else []
    if same:
        flags.append(Flag(1, "The times were taken word by word from the captions that are there. Check them."))
    else:
        flags.append(Flag(1, "The times were shared out over the speech in proportion to the text. Check each one."))
    return Track(tuple(cues), None, (), few(flags))


def _said(paragraphs: Sequence[str], speakers: Collection[str]) -> Iterator[tuple[tuple[int, str | None], str]]:
    """Each word with the turn that it belongs to: a number and who speaks. Nobody named anew goes on speaking."""
    known = {*speakers, *labels.likely_names(paragraphs)}
    turn: tuple[int, str | None] = (0, None)
    for paragraph in paragraphs:
        speaker, rest = labels.split(paragraph, known)
        if speaker is not None and speaker != turn[1]:
            turn = (turn[0] + 1, name_of(speaker))
        for word in rest.split():
            yield turn, word


def _starts(words: Sequence[str], existing: Sequence[Cue], duration_ms: int) -> tuple[list[float], bool]:
    """Where each word begins in milliseconds, rising; and whether the words were found in the existing captions."""
    old: list[str] = []
    old_starts: list[float] = []
    for cue in existing:
        at, length = 0, max(1, len(cue.text))
        for word in cue.text.split():
            old.append(_key(word))
            old_starts.append(cue.start_ms + (cue.end_ms - cue.start_ms) * at / length)
            at += len(word) + 1
    new = [_key(word) for word in words]
    pairs = alignment.pair(old, new)
    equal = sum(1 for word, at in zip(new, pairs, strict=True) if at is not None and old[at] == word)
    if equal < SAME_TEXT * len(new):
        return _in_proportion(words, existing), False
    known = [(i, old_starts[at]) for i, at in enumerate(pairs) if at is not None]
    first = (-1, min(existing[0].start_ms, known[0][1]))
    known = [first, *known, (len(new), float(max(existing[-1].end_ms, known[-1][1])))]
    starts = [0.0] * len(new)
    for (i, start), (j, stop) in pairwise(known):
        for at in range(max(i, 0), j):
            starts[at] = start + (max(stop, start) - start) * (at - i) / (j - i)
    return starts, True


def _key(word: str) -> str:
    return "".join(normalised(word)) or word


def _in_proportion(words: Sequence[str], existing: Sequence[Cue]) -> list[float]:
    """Starts by the share of characters in front of a word, over the time in which captions are shown."""
    spoken: list[tuple[int, int]] = []
    for cue in existing:
        start = max(cue.start_ms, spoken[-1][1] if spoken else 0)
        if cue.end_ms > start:
            spoken.append((start, cue.end_ms))
    before = [0]
    for start, end in spoken:
        before.append(before[-1] + end - start)
    characters = sum(len(word) + 1 for word in words)
    starts, at = [], 0
    for word in words:
        elapsed = before[-1] * at / characters
        place = min(bisect_right(before, elapsed), len(spoken)) - 1
        starts.append(spoken[place][0] + elapsed - before[place])
        at += len(word) + 1
    return starts


def _cues(said: Sequence[tuple[tuple[int, str | None], str]], starts: Sequence[float], until_ms: int) -> list[Cue]:
    """Cues by the rules, none across two speakers, none shown together with another."""
    found: list[Cue] = []
    at = 0
    for (_, speaker), group in groupby(said, key=lambda item: item[0]):
        words = []
        for _, text in group:
            end = starts[at + 1] if at + 1 < len(starts) else float(until_ms)
            longest = starts[at] + 300 + 90 * len(text)  # nobody speaks slower; the rest is silence
            words.append(Word(starts[at] / 1000, min(end, longest) / 1000, text, 1.0))
            at += 1
        found += [replace(cue, speaker=speaker, confidence=1.0) for cue in build_cues(words, duration=until_ms / 1000)]
    return _apart(found)


def _apart(cues: Sequence[Cue]) -> list[Cue]:
    """The cues without overlaps: each begins after the one before began, and ends where the next begins at the latest."""
    starts: list[int] = []
    for cue in cues:
        starts.append(max(cue.start_ms, starts[-1] + 1 if starts else 0))
    ends = [
        min(max(cue.end_ms, start + 1), after)
        for cue, start, after in zip(cues, starts, [*starts[1:], 1 << 60], strict=True)
    ]
    return [replace(cue, start_ms=start, end_ms=end) for cue, start, end in zip(cues, starts, ends, strict=True)]
