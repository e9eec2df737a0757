"""The storyboard, from our own smallest rendition."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.media import encode
from workers.context import Result, SkipStageError, StageContext


def run(context: StageContext) -> Result:
    """One JPEG; the storyboard's geometry is the artefact's detail."""
    plan = context.plan
    if not plan.rungs:
        raise SkipStageError("There is no picture.")
    lowest = context.fetch(ArtefactKind.RENDITION, plan.lowest.name)
    sprite, board = encode.storyboard(lowest, plan, context.scratch, context.cancelled)
    made = context.keep(ArtefactKind.STORYBOARD, "", sprite, "storyboard.jpg", "image/jpeg", board.to_json())
    return Result(artefacts=[made])


def waves(context: StageContext) -> Result:
    """A picture of the sound stands for a recording without a picture."""
    file = encode.waves(context.fetch(ArtefactKind.AUDIO), context.scratch, context.cancelled)
    return Result(artefacts=[context.keep(ArtefactKind.POSTER, "", file, "poster.jpg", "image/jpeg", {})])
