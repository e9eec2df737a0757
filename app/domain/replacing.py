"""Replacing what a recording has, all at once: a run that `replaces` keeps its results in the ledger until it has
succeeded. Until then, and for ever when it fails or is cancelled, players get what they got before.

What was replaced is not removed at once: players hold playlists that name it. It stays, found by its digest, for as
long as somebody who had just begun to watch may need it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import clock
from app.db.recordings import Artefact, ArtefactKind, Recording, RetiredObject
from app.db.runs import Run, RunState, StageRun, StageState
from app.pipeline.workflows import WORKFLOWS
from app.storage import keys

#: How much longer than the recording itself what was replaced is kept: for pauses, and for links handed out at the end.
KEPT_LONGER = timedelta(hours=1)
#: What the ledger calls results that wait for the end of their run, and what else is to be written down of it then.
STAGED, SHOWN = "staged", "shown"
#: Columns of a recording that stages set and players go by.
COLUMNS = ("duration_ms", "width", "height", "has_audio", "damage")


@dataclass(frozen=True)
class Made:
    """An object that a stage has stored and that stays: it becomes an artefact when the stage is finished, or the run."""

    kind: ArtefactKind
    name: str
    key: str
    media_type: str
    size: int
    sha256: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Made:
        """What `to_json` wrote."""
        return cls(**{**value, "kind": ArtefactKind(value["kind"])})


def keep(session: Session, recording_id: uuid.UUID, made: Made) -> None:
    """Make an artefact of a stored object; it replaces the one of the same kind and name."""
    values = {
        "key": made.key,
        "media_type": made.media_type,
        "size": made.size,
        "sha256": made.sha256,
        "detail": dict(made.detail),
        "created_at": clock.now(),
    }
    identity = {"recording_id": recording_id, "kind": made.kind, "name": made.name}
    session.execute(
        insert(Artefact)
        .values(id=uuid.uuid4(), **identity, **values)
        .on_conflict_do_update(index_elements=list(identity), set_=values)
    )


def staged(stages: Sequence[StageRun]) -> list[Made]:
    """What these stages have made and nobody is shown yet."""
    return [Made.from_json(item) for row in stages for item in row.outputs.get(STAGED, ())]


def find(session: Session, run: Run, kind: ArtefactKind, name: str) -> Artefact | Made | None:
    """The recording's object of this kind and name as the stages of a run see it: where the run makes such things, only
    those that it has made or taken over, and not what they will replace."""
    query = select(Artefact).where(
        Artefact.recording_id == run.recording_id, Artefact.kind == kind, Artefact.name == name
    )
    there = session.scalar(query)
    if not run.replaces or not any(kind.value in stage.makes for stage in WORKFLOWS[run.workflow]):
        return there
    rows = session.scalars(select(StageRun).where(StageRun.run_id == run.id)).all()
    own = next((made for made in staged(rows) if (made.kind, made.name) == (kind, name)), None)
    if own is None and there is not None and there.key in _kept(rows):
        return there
    return own


def take_place(session: Session, run: Run, stages: Sequence[StageRun], recording: Recording) -> None:
    """Put everything that a run has made in the place of what was there, in this transaction."""
    until = clock.now() + timedelta(milliseconds=recording.duration_ms or 0) + KEPT_LONGER
    there = {
        (row.kind, row.name): row
        for row in session.scalars(select(Artefact).where(Artefact.recording_id == recording.id))
    }
    for row in _left_out(session, run, stages, list(there.values())):
        retire(session, row, until)
        session.delete(there.pop((row.kind, row.name)))
    session.flush()
    for made in staged(stages):
        before = there.get((made.kind, made.name))
        if before is not None and before.key != made.key:
            retire(session, before, until)
        keep(session, recording.id, made)
        if before is not None:
            session.expire(before)
    for stage in stages:
        for column, value in stage.outputs.get(SHOWN, {}).items():
            setattr(recording, column, value)
    session.flush()
    session.expire(recording, ["artefacts"])


def retire(session: Session, row: Artefact, until: datetime) -> None:
    """Keep an artefact's object for those who were told of it. The artefact itself is the caller's to replace."""
    copied = ("recording_id", "kind", "name", "key", "media_type", "size", "sha256", "detail")
    values = {column: getattr(row, column) for column in copied}
    session.execute(insert(RetiredObject).values(id=uuid.uuid4(), until=until, **values).on_conflict_do_nothing())


def _left_out(session: Session, run: Run, stages: Sequence[StageRun], there: Sequence[Artefact]) -> list[Artefact]:
    """Artefacts that this workflow made once and would not make any more: a rung that has left the ladder.

    A kind with a stage that failed, or found nothing to do, keeps what it has.
    """
    workflow = WORKFLOWS[run.workflow]
    kinds = {kind for stage in workflow for kind in stage.makes}
    for row in stages:
        planned = row.state == StageState.SUCCEEDED or (row.state == StageState.SKIPPED and not row.error)
        if not planned:
            kinds -= set(workflow.stage(row.stage).makes)
    kept = _kept(stages)
    made = {(item.kind, item.name) for item in staged(stages)}
    suspects = [
        row for row in there if row.kind.value in kinds and row.key not in kept and (row.kind, row.name) not in made
    ]
    alike = select(Run.id).where(Run.recording_id == run.recording_id, Run.workflow == run.workflow)
    ours = set(session.scalars(alike))
    return [row for row in suspects if keys.run_of(row.key) in ours]


def _kept(stages: Sequence[StageRun]) -> set[str]:
    return {key for row in stages for key in row.outputs.get("kept", ())}


# -- what must not be removed yet ----------------------------------------------------------------------------------------


def keys_in_hand(session: Session, recording_id: uuid.UUID) -> set[str]:
    """Keys of objects that are no artefacts and are needed: results of a run that may yet succeed (the newest one may
    be tried again), and what was replaced a short while ago."""
    newest = select(Run.id).where(Run.recording_id == recording_id).order_by(Run.created_at.desc()).limit(1)
    rows = session.scalars(
        select(StageRun)
        .join(Run, StageRun.run_id == Run.id)
        .where(Run.id == newest.scalar_subquery(), Run.state != RunState.SUCCEEDED)
    )
    retired = session.scalars(select(RetiredObject.key).where(RetiredObject.recording_id == recording_id))
    return {made.key for made in staged(rows.all())} | set(retired)


def over(session: Session, moment: datetime, most: int = 500) -> list[RetiredObject]:
    """Objects that nobody may ask for any more, locked, the oldest first."""
    query = select(RetiredObject).where(RetiredObject.until <= moment).order_by(RetiredObject.until)
    return list(session.scalars(query.limit(most).with_for_update(skip_locked=True)))
