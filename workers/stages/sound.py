"""The sound, encoded once and whole: each track that is to be heard by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.db.recordings import Artefact, ArtefactKind, Recording
from app.db.runs import Run
from app.domain import sounds
from app.domain.replacing import Made
from app.media import encode, fmp4
from app.media.damage import Damage
from app.media.probe import Probe
from app.storage import keys
from workers.context import Result, StageContext

#: From this length on the first minutes are prepared by themselves first.
LONG_SECONDS = 900.0
FIRST_SECONDS = 240.0


def first(context: StageContext) -> Result:
    """The first minutes of the usual track, as loud as they are by themselves; they live until the run ends."""
    plan = context.plan
    source, _ = context.source()
    heard = encode.encode_audio(
        source, plan, context.scratch, context.progress, context.cancelled, seconds=FIRST_SECONDS
    )
    if heard is None:
        return Result()
    with heard.open("rb") as opened:
        index = fmp4.index(opened)
    # The last fragment is cut off where the whole has more: left out, all segments are those of the whole.
    index = replace(index, fragments=index.fragments[:-1])
    key = keys.chunk(context.recording_id, context.run_id, 0, "sound", context.attempt)
    stored = context.store(key, heard, "audio/mp4")
    piece = {"key": key, "sha256": stored.sha256, "size": stored.size, "index": index.to_json()}
    return Result(outputs={"piece": piece})


def run(context: StageContext) -> Result:
    """A track without a sample that decodes counts as no sound."""
    plan = context.plan
    source, _ = context.source()
    made: list[Made] = []
    holes: list[dict[str, Any]] = []
    labels = sounds.labels(Probe.from_json(context.run_plan["probe"]).audio)
    for place, track in enumerate(plan.sounds):

        def report(fraction: float, place: int = place) -> None:
            context.progress((place + fraction) / len(plan.sounds))

        heard = encode.encode_audio(
            source,
            plan.only(track),
            context.scratch / str(track.index),
            report,
            context.cancelled,
            on_damage=lambda: holes.append(Damage("sound", 0.0, plan.duration_seconds).to_json()),
        )
        if heard is None:
            continue
        with heard.open("rb") as opened:
            detail = fmp4.index(opened).to_json()
        detail |= {"language": track.language, "label": labels.get(track.index, ""), "track": track.index}
        name = sounds.artefact_name(track.index, usual=not made)
        made.append(context.keep(ArtefactKind.AUDIO, name, heard, f"audio-{track.index}.mp4", "audio/mp4", detail))
    return Result(outputs={"damage": holes}, artefacts=made, apply=lambda session: _apply(session, context, made))


def _apply(session: Session, context: StageContext, made: list[Made]) -> None:
    """What is kept is what was made: tracks that nobody offers any more are heard no more."""
    session.get_one(Recording, context.recording_id).has_audio = bool(made)
    if session.get_one(Run, context.run_id).replaces:
        return  # what is there is heard until all of the run takes its place
    session.execute(
        delete(Artefact).where(
            Artefact.recording_id == context.recording_id,
            Artefact.kind == ArtefactKind.AUDIO,
            sounds.is_of_source(Artefact.name),
            Artefact.name.not_in([item.name for item in made]),
        )
    )
