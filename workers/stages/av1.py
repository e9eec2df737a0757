"""The pictures in AV1, from the uploaded file, planned as they were for H.264."""

from __future__ import annotations

from app.db.recordings import ArtefactKind
from app.domain import further, planning
from app.media import av1, encode, fmp4
from app.media.join import join as join_files
from app.media.ladder import Plan
from app.storage import keys
from workers.context import Result, StageContext


def plan(context: StageContext) -> Result:
    """As the newest run through the whole pipeline planned it."""
    settings = context.core.settings
    with context.core.session() as session:
        earlier = further.plan_of(session, context.recording_id)
    made = av1.plan(Plan.from_json(earlier["media"]), chunk_seconds=settings.chunk_seconds)
    media = made.to_json()
    digests = planning.digests(media, settings, None, "")
    facts = {"source": earlier["facts"]["source"], "plan": digests["plan"], "chunks": len(made.chunks)}
    return Result(plan={"facts": facts, "media": media})


def transcode(context: StageContext) -> Result:
    """One chunk in all rungs, one after another; its objects live until the run ends."""
    source, _ = context.source()
    whole = context.plan
    objects = {}
    for number, rung in enumerate(whole.encoded):

        def progress(fraction: float, number: int = number) -> None:
            context.progress((number + fraction) / len(whole.encoded))

        files = encode.transcode_chunk(
            source, av1.one(whole, rung), context.chunk, context.scratch, progress, context.cancelled
        )
        context.check()
        key = keys.chunk(context.recording_id, context.run_id, context.chunk, rung.name, context.attempt)
        stored = context.core.storage.put_file(key, files[rung.name], "video/mp4")
        files[rung.name].unlink()
        objects[rung.name] = {"key": key, "sha256": stored.sha256}
    return Result(outputs={"objects": objects})


def join(context: StageContext) -> Result:
    """Every rung as one file."""
    chunks = context.outputs_of("transcode")
    made = []
    for number, rung in enumerate(context.plan.encoded):
        parts = []
        for index, outputs in enumerate(chunks):
            item = outputs["objects"][rung.name]
            parts.append(context.fetch_object(item["key"], item["sha256"], f"{index:05d}-{rung.name}.mp4"))
        target = context.scratch / f"{rung.name}.mp4"
        join_files(parts, target)
        for part in parts:
            part.unlink()
        with target.open("rb") as opened:
            detail = fmp4.index(opened).to_json()
        made.append(context.keep(ArtefactKind.RENDITION, rung.name, target, target.name, "video/mp4", detail))
        target.unlink()
        context.progress((number + 1) / len(context.plan.encoded))
    return Result(artefacts=made)
