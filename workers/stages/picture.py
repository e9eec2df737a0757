"""The picture: the copied top rung, encoded chunks, and their joining into renditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.db.recordings import ArtefactKind
from app.domain.replacing import Made
from app.media import encode, fmp4
from app.media.damage import Damage
from app.media.join import join as join_files
from app.media.ladder import Plan, Rung
from app.storage import keys
from workers.context import Result, StageContext


def copy(context: StageContext) -> Result:
    """The top rung as it was uploaded."""
    plan = context.plan
    source, _ = context.source()
    file = encode.copy_top(source, plan, context.scratch, context.cancelled)
    return Result(artefacts=[_rendition(context, plan.rungs[0].name, file)])


def transcode(context: StageContext) -> Result:
    """One chunk in all rungs that are encoded; its objects live until the run ends."""
    source, _ = context.source()
    plan = context.plan
    holes: list[dict[str, Any]] = []

    def damaged() -> None:
        part = plan.chunks[context.chunk]
        start, end = (float(frame / plan.fps) for frame in (part.start, part.start + part.frames))
        holes.append(Damage("picture", start, end).to_json())

    files = encode.transcode_chunk(
        source, plan, context.chunk, context.scratch, context.progress, context.cancelled, on_damage=damaged
    )
    objects = {}
    for rung, file in files.items():
        key = keys.chunk(context.recording_id, context.run_id, context.chunk, rung, context.attempt)
        stored = context.store(key, file, "video/mp4")
        with file.open("rb") as opened:
            index = fmp4.index(opened)
        objects[rung] = {"key": key, "sha256": stored.sha256, "size": stored.size, "index": index.to_json()}
    return Result(outputs={"objects": objects, "damage": holes})


def join(context: StageContext) -> Result:
    """The rung nearest to 480. What the chunks were told of damage is kept with it, also when they are gone."""
    holes = [hole for outputs in context.outputs_of("transcode") for hole in outputs.get("damage", [])]
    result = _join(context, [first_rung(context.plan)])
    return replace(result, outputs={"damage": holes})


def join_others(context: StageContext) -> Result:
    """All other encoded rungs."""
    plan = context.plan
    return _join(context, [rung for rung in plan.encoded if rung != first_rung(plan)])


def first_rung(plan: Plan) -> Rung:
    """The encoded rung that is joined first: `plan.plain`, unless that one is copied."""
    if plan.plain in plan.encoded:
        return plan.plain
    return min(plan.encoded, key=lambda rung: abs(min(rung.width, rung.height) - 480))


def _join(context: StageContext, rungs: Sequence[Rung]) -> Result:
    chunks = context.outputs_of("transcode")
    made: list[Made] = []
    for number, rung in enumerate(rungs):
        parts: list[Path] = []
        for index, outputs in enumerate(chunks):
            item = outputs["objects"][rung.name]
            parts.append(context.fetch_object(item["key"], item["sha256"], f"{index:05d}-{rung.name}.mp4"))
            context.progress((number + index / len(chunks)) / len(rungs))
        target = context.scratch / f"{rung.name}.mp4"
        join_files(parts, target)
        for part in parts:
            part.unlink()  # a long recording's chunks and renditions together might fill the disk
        made.append(_rendition(context, rung.name, target))
        target.unlink()
    return Result(artefacts=made)


def _rendition(context: StageContext, name: str, file: Path) -> Made:
    with file.open("rb") as opened:
        index = fmp4.index(opened)
    return context.keep(ArtefactKind.RENDITION, name, file, f"{name}.mp4", "video/mp4", index.to_json())
