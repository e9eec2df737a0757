"""The shape of the sound, for editors."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.media import encode
from workers.context import Result, SkipStageError, StageContext


def run(context: StageContext) -> Result:
    """Raises `SkipStageError` when there is no sound."""
    if not context.has(ArtefactKind.AUDIO):
        raise SkipStageError("There is no sound to draw.")
    file = encode.peaks(context.fetch(ArtefactKind.AUDIO), context.scratch, context.cancelled)
    return Result(artefacts=[context.keep(ArtefactKind.PEAKS, "", file, "peaks.json", "application/json", {})])
