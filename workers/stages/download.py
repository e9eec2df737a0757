"""One MP4 file with picture and sound, for browsers without scripts and for permitted downloads."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.media import encode
from workers.context import Result, StageContext


def run(context: StageContext) -> Result:
    """The rung nearest to 480, joined with the sound where there is any."""
    plan = context.plan
    picture = context.fetch(ArtefactKind.RENDITION, plan.plain.name)
    sound = context.fetch(ArtefactKind.AUDIO) if context.has(ArtefactKind.AUDIO) else None
    file = encode.mux_mp4(picture, sound, context.scratch, context.cancelled)
    detail = {"rung": plan.plain.name, "width": plan.plain.width, "height": plan.plain.height}
    return Result(artefacts=[context.keep(ArtefactKind.DOWNLOAD, "", file, "download.mp4", "video/mp4", detail)])
