"""The still that stands for a recording: the best of its keyframes with others to choose from, or one that a person chose."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.domain import posters
from app.media import encode
from workers.context import Result, SkipStageError, StageContext


def run(context: StageContext) -> Result:
    """JPEGs; the detail of each says at which second of the recording it stands."""
    plan = context.plan
    if not plan.rungs:
        raise SkipStageError("There is no picture.")
    plain = context.fetch(ArtefactKind.RENDITION, plan.plain.name)
    lowest = plain if plan.lowest == plan.plain else context.fetch(ArtefactKind.RENDITION, plan.lowest.name)
    found = encode.make_posters(lowest, plain, plan, context.scratch, context.cancelled)
    files = {"": found.poster, **{posters.candidate(n): item for n, item in enumerate(found.candidates)}}
    made = [
        context.keep(ArtefactKind.POSTER, name, file, file.name, "image/jpeg", {"second": second})
        for name, (second, file) in files.items()
    ]
    return Result(artefacts=made)


def choose(context: StageContext) -> Result:
    """The frame at the second that a person chose."""
    second, rendition = float(context.run_plan["second"]), str(context.run_plan["rendition"])
    file = encode.still_at(context.fetch(ArtefactKind.RENDITION, rendition), second, context.scratch, context.cancelled)
    detail = {"second": second}
    return Result(
        artefacts=[context.keep(ArtefactKind.POSTER, posters.CHOSEN, file, "poster.jpg", "image/jpeg", detail)]
    )
