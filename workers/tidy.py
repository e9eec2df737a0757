"""Which objects of a recording nobody will ask for again."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from app.core import Core
from app.db.recordings import Artefact
from app.db.runs import Run, RunState
from app.domain import replacing
from app.storage import keys


def tidy(core: Core, recording_id: uuid.UUID, ending: uuid.UUID | None = None) -> int:
    """Remove objects that runs have made and no artefact names. Returns how many.

    Objects of unfinished runs stay. So do those of a failed one that may be tried again, which only the newest may, and
    those that were replaced so lately that players may ask for them: `workers.periodic` removes these. Windows of sound
    that were heard go with any end: the ledger does not name them, and hearing them again costs minutes. Objects are
    listed before rows are read: whatever is stored or registered meanwhile is not touched.

    Args:
        ending: a run that is about to succeed, and counts as ended.
    """
    prefix = keys.recording_prefix(recording_id)
    stored = [key for key, _ in core.storage.objects(prefix)]
    with core.session() as session:
        named = set(session.scalars(select(Artefact.key).where(Artefact.recording_id == recording_id)))
        named |= replacing.keys_in_hand(session, recording_id)
        of_recording = session.query(Run).filter_by(recording_id=recording_id).order_by(Run.created_at).all()
        states = {run.id: run.state for run in of_recording}
        newest = of_recording[-1].id if of_recording else None
    removed = 0
    for key in stored:
        kind, _, rest = key.removeprefix(prefix).partition("/")
        if key in named or kind not in ("made", "runs"):
            continue
        run_id = uuid.UUID(rest.partition("/")[0])
        state = RunState.SUCCEEDED if run_id == ending else states.get(run_id)
        passing = kind == "made" or run_id != newest or rest.partition("/")[2].startswith("heard/")
        given_up = state in (RunState.FAILED, RunState.CANCELLED) and passing
        if state == RunState.SUCCEEDED or given_up:
            core.storage.delete(key)
            removed += 1
    return removed
