"""The sound, encoded once and whole."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.db.recordings import ArtefactKind, Recording
from app.media import encode, fmp4
from workers.context import Result, StageContext


def run(context: StageContext) -> Result:
    """A track without a sample that decodes counts as no sound."""
    source, _ = context.source()
    file = encode.encode_audio(source, context.plan, context.scratch, context.progress, context.cancelled)
    if file is None:
        return Result(apply=lambda session: _silent(session, context))
    with file.open("rb") as opened:
        index = fmp4.index(opened)
    made = context.keep(ArtefactKind.AUDIO, "", file, "audio.mp4", "audio/mp4", index.to_json())
    return Result(artefacts=[made])


def _silent(session: Session, context: StageContext) -> None:
    session.get_one(Recording, context.recording_id).has_audio = False
