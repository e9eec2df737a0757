"""A transcript for reading: captions joined to paragraphs, each with who speaks and when, and where words are found in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.captions.cues import Cue

#: A silence of this length ends a paragraph; a longer paragraph ends with the next sentence.
PAUSE_MS = 2_500
LONG = 350
_SENTENCE_END = (".", "!", "?", "…", ".”", "!”", "?”", ".)", "?)", "।", "。", "？", "！", "؟", "۔")
MOST_WANTED = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one caption: when that begins, and whether these are the words that were looked for."""

    start_ms: int
    text: str
    match: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What one person says without a longer pause. `speaker` is empty where the one before goes on, or is unknown."""

    start_ms: int
    speaker: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The words."""
        return "".join(piece.text for piece in self.pieces)


def paragraphs(cues: Iterable[Cue]) -> list[Paragraph]:
    """Captions as paragraphs: a new one where the speaker changes, after a pause, and at a sentence's end once it is
    long."""
    found: list[Paragraph] = []
    group: list[Cue] = []
    before = ""

    def close() -> None:
        nonlocal before
        if group:
            speaker = group[0].speaker or ""
            pieces = [Piece(cue.start_ms, cue.text + (" " if cue is not group[-1] else "")) for cue in group]
            found.append(Paragraph(group[0].start_ms, "" if speaker == before else speaker, tuple(pieces)))
            before = speaker
            group.clear()

    for cue in cues:
        if not cue.text.strip():
            continue
        if group and (
            (cue.speaker or "") != (group[0].speaker or "")
            or cue.start_ms - group[-1].end_ms >= PAUSE_MS
            or (sum(len(one.text) for one in group) >= LONG and group[-1].text.endswith(_SENTENCE_END))
        ):
            close()
        group.append(cue)
    close()
    return found


def marked(paragraphs: Sequence[Paragraph], wanted: str) -> tuple[list[Paragraph], int]:
    """The paragraphs with the wanted words apart as pieces that match, and how often they are there. Upper and lower case
    are the same, and so is any space between two words."""
    words = wanted[:MOST_WANTED].split()
    if not words:
        return list(paragraphs), 0
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
    found, count = [], 0
    for paragraph in paragraphs:
        spans = [match.span() for match in pattern.finditer(paragraph.text)]
        count += len(spans)
        found.append(_with(paragraph, spans) if spans else paragraph)
    return found, count


def _with(paragraph: Paragraph, spans: Sequence[tuple[int, int]]) -> Paragraph:
    pieces: list[Piece] = []
    at = 0
    for piece in paragraph.pieces:
        end = at + len(piece.text)
        inside = at
        for start, stop in spans:
            start, stop = max(start, at), min(stop, end)
            if start >= stop:
                continue
            if start > inside:
                pieces.append(Piece(piece.start_ms, piece.text[inside - at : start - at]))
            pieces.append(Piece(piece.start_ms, piece.text[start - at : stop - at], True))
            inside = stop
        if inside < end:
            pieces.append(Piece(piece.start_ms, piece.text[inside - at :]))
        at = end
    return Paragraph(paragraph.start_ms, paragraph.speaker, tuple(pieces))
