"""One MP4 file with picture and sound, for browsers without scripts and for permitted downloads."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.media import encode
from workers.context import Result, StageContext


def run(context: StageContext) -> Result:
    """The rung nearest to 480, where there is a picture, joined with the sound where there is any."""
    plan = context.plan
    rung = plan.plain if plan.rungs else None
    picture = context.fetch(ArtefactKind.RENDITION, rung.name) if rung is not None else None
    sound = context.fetch(ArtefactKind.AUDIO) if context.has(ArtefactKind.AUDIO) else None
    file = encode.mux_mp4(picture, sound, context.scratch, context.cancelled)
    detail = {"rung": rung.name, "width": rung.width, "height": rung.height} if rung is not None else {}
    return Result(artefacts=[context.keep(ArtefactKind.DOWNLOAD, "", file, "download.mp4", "video/mp4", detail)])
