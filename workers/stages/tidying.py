"""Removing objects: what a run made on the way, what was replaced, and all of a recording that was rejected."""

from __future__ import annotations

from app.storage import keys
from workers.context import Result, StageContext
from workers.tidy import tidy


def finish(context: StageContext) -> Result:
    """Leave only what the recording's artefacts name."""
    return Result(outputs={"removed": tidy(context.core, context.recording_id, context.run_id)})


def erase(context: StageContext) -> Result:
    """Leave nothing; `app.domain.runs` then says that the recording was rejected."""
    prefix = keys.recording_prefix(context.recording_id)
    return Result(outputs={"removed": context.core.storage.delete_prefix(prefix)})
