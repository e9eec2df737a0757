"""Transcripts: what is said in a recording as paragraphs to read, in each language that somebody gets to see."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.captions import languages, transcript
from app.captions.languages import Language
from app.db.cases import Case
from app.domain import caption_versions, watching
from app.domain.caption_showing import Shown


@dataclass(frozen=True)
class Transcript:
    """One language of a recording to read; `matches` is how often the words that were looked for are in it."""

    language: Language
    checked: bool
    paragraphs: Sequence[transcript.Paragraph]
    matches: int


def notice(case: Case) -> str:
    """What every copy of somebody's words says at its head."""
    if case.invented:
        return "This case is invented. It shows how Vignette works."
    return "Confidential. This case is real and has been anonymised. Do not pass this on, and do not try to identify anyone."


def of(
    session: Session, recording_id: uuid.UUID, shown: Shown, wanted: str = "", language: str = ""
) -> tuple[Transcript | None, list[Language]]:
    """The transcript in a language, or else in the first that there is, and all languages with one: two queries."""
    tracks = [track for track in watching.captions(session, recording_id, shown) if track.cues]
    chosen = next((track for track in tracks if track.language == language), tracks[0] if tracks else None)
    found = [languages.of(track.language) for track in tracks]
    if chosen is None:
        return None, found
    paragraphs = transcript.paragraphs(caption_versions.built(cue) for cue in chosen.cues)
    paragraphs, matches = transcript.marked(paragraphs, wanted)
    return Transcript(languages.of(chosen.language), chosen.checked, paragraphs, matches), found
