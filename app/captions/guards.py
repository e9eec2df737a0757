"""Guards against invented words. Whisper was trained on subtitles and fills silence and noise with what subtitles often
say, or falls into a loop; voice activity detection stops most of it, and these rules what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.captions.words import Word

# OpenAI's own thresholds (whisper/transcribe.py).
NO_SPEECH = 0.6
LOG_PROBABILITY = -1.0
COMPRESSION_RATIO = 2.4

_LONGEST_PHRASE = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """A segment as an engine gives it: words as printed by it (a leading blank begins a new word), and its doubts."""

    words: tuple[Word, ...]
    no_speech: float
    log_probability: float
    compression_ratio: float


def believable(heard: Heard) -> list[Word]:
    """The words of a segment that may be shown: none where the engine itself doubts that anybody spoke, and no loops."""
    if heard.no_speech > NO_SPEECH and heard.log_probability < LOG_PROBABILITY:
        return []
    # Text that a compressor shrinks this much repeats itself: fewer repetitions are then enough to call it a loop.
    return without_loops(whole_words(heard.words), allowed=2 if heard.compression_ratio > COMPRESSION_RATIO else 6)


def whole_words(words: Sequence[Word]) -> list[Word]:
    """Pieces such as "side", "-by", "-side" or "20", "%" joined to the words that they are; times span the pieces, the
    least certain one counts."""
    joined: list[Word] = []
    for word in words:
        text = word.text.strip()
        if not text:
            continue
        if joined and not word.text.startswith(" "):
            last = joined[-1]
            joined[-1] = Word(
                last.start, max(last.end, word.end), last.text + text, min(last.probability, word.probability)
            )
        else:
            joined.append(Word(word.start, max(word.start, word.end), text, word.probability))
    return joined


def without_loops(words: Sequence[Word], *, allowed: int) -> list[Word]:
    """Words with each phrase that is said more than `allowed` times in a row reduced to its first saying.

    People do repeat themselves ("no, no, no"), so only runs of at least eight words in all are touched.
    """
    plain = [w.text.strip(".,;:!?…\"'-– ").lower() for w in words]
    kept: list[Word] = []
    at = 0
    while at < len(words):
        for length in range(1, _LONGEST_PHRASE + 1):
            times = _repetitions(plain, at, length)
            if times > allowed and times * length >= 8:
                kept += words[at : at + length]
                at += times * length
                break
        else:
            kept.append(words[at])
            at += 1
    return kept


def _repetitions(plain: Sequence[str], at: int, length: int) -> int:
    """How many times in a row the phrase of `length` words at `at` is said; 0 when it does not fit."""
    times = 0
    while plain[at + times * length : at + (times + 1) * length] == plain[at : at + length] and at + (
        times + 1
    ) * length <= len(plain):
        times += 1
    return times
