"""Removing objects: what a run made on the way, what was replaced, and all of a recording that was rejected."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.db.recordings import Recording
from app.media import damage
from app.media.probe import Probe
from app.storage import keys
from workers.context import Result, StageContext
from workers.tidy import tidy


def finish(context: StageContext) -> Result:
    """Leave only what the recording's artefacts name, and say what was missing in the source."""
    holes = [
        hole
        for stage in ("audio", "join")
        for outputs in context.outputs_of(stage)
        for hole in outputs.get("damage", [])
    ]
    missing = Probe.from_json(context.run_plan["probe"]).missing
    found = damage.merged([*missing, *(damage.Damage.from_json(hole) for hole in holes)])

    def apply(session: Session) -> None:
        session.get_one(Recording, context.recording_id).damage = [part.to_json() for part in found]

    return Result(outputs={"removed": tidy(context.core, context.recording_id, context.run_id)}, apply=apply)


def after_captions(context: StageContext) -> Result:
    """Leave only what the recording's artefacts name. Nothing was read from the source, so nothing is said of it."""
    return Result(outputs={"removed": tidy(context.core, context.recording_id, context.run_id)})


def erase(context: StageContext) -> Result:
    """Leave nothing; `app.domain.runs` then says that the recording was rejected."""
    prefix = keys.recording_prefix(context.recording_id)
    return Result(outputs={"removed": context.core.storage.delete_prefix(prefix)})
