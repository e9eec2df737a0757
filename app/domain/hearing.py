"""Hearing a recording: making its captions again, waiting for a speech model, and the words that were heard.

A recording whose captions could not be made for want of a model goes on without them and *waits*: its stage says so in
the ledger, and `resume` sends it through `RECAPTION` once a worker has found the model.
"""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Literal

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app import clock
from app.access import Actor
from app.captions import spoken
from app.captions.words import Word
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import audit, runs
from app.errors import Conflict, NotFound
from app.pipeline.workflows import RECAPTION
from app.storage.s3 import Storage

STAGE = "transcribe"
#: Why a stage was skipped, as the ledger keeps it in `outputs`.
NO_MODEL, OFF, NO_SOUND = "no-model", "off", "no-sound"

#: `none`: not begun, or never to be.
State = Literal["made", "making", "waiting-for-model", "no-sound", "off", "failed", "none"]
#: One of several machines may have the model and another not: what came to nothing is not tried again at once.
PAUSE = timedelta(minutes=10)
WAITING_SENTENCE = "Captions are waiting for a model. They are made by themselves when it is there."


def choose_language(recording: Recording, choice: str) -> bool:
    """Say which language is spoken: a code, `auto`, or empty for the instance's setting. True when that is a change.

    Raises:
        Invalid: captions cannot be made in it.
    """
    code = spoken.checked(choice)
    changed = code != recording.spoken_language
    recording.spoken_language = code
    return changed


def again(session: Session, actor: Actor, recording: Recording, *, language: str | None = None) -> Run:
    """Make the captions of a recording again, when nothing more urgent waits. The caller has checked that the actor may.

    Args:
        language: also say which language is spoken, as `choose_language`; None leaves it.

    Raises:
        Invalid: captions cannot be made in that language.
        Conflict: it has no sound, is not ready, or is being processed.
    """
    if recording.state is not RecordingState.READY:
        raise Conflict("Captions can be made again once the recording is ready and while it is not withdrawn.")
    if language is not None:
        choose_language(recording, language)
    run = runs.start(session, recording, RECAPTION.name, actor.person_id)
    audit.record(session, actor, "captions:again", "recording", recording.id, language=recording.spoken_language)
    return run


def possible(recording: Recording, run: Run | None) -> bool:
    """Whether captions can be made again, given the newest run."""
    busy = run is not None and run.state in runs.UNFINISHED
    return recording.state is RecordingState.READY and recording.has_audio is not False and not busy


def state(recording: Recording, run: Run | None, *, made: bool) -> State:
    """Where the captions of a recording are, given its newest run, and whether it has any."""
    row = next((row for row in run.stages if row.stage == STAGE), None) if run is not None else None
    if run is not None and row is not None:
        if run.state in runs.UNFINISHED and row.state in (StageState.WAITING, StageState.QUEUED, StageState.RUNNING):
            return "making"
        why = row.outputs.get("why")
        if not made and row.state is StageState.SKIPPED and why == NO_MODEL:
            return "waiting-for-model"
        if not made and row.state is StageState.SKIPPED and why == OFF:
            return "off"
        if not made and row.state is StageState.FAILED:
            return "failed"
    if made:
        return "made"
    return "no-sound" if recording.has_audio is False else "none"


# -- waiting for a model -------------------------------------------------------------------------------------------------


def _waiting() -> ColumnElement[bool]:
    """Recordings whose newest hearing found no model, and that nothing is being done for."""
    later, later_run = aliased(StageRun), aliased(Run)
    heard_since = exists().where(
        later.run_id == later_run.id,
        later.stage == STAGE,
        later_run.recording_id == Run.recording_id,
        later_run.created_at > Run.created_at,
    )
    skipped = exists().where(
        StageRun.run_id == Run.id,
        StageRun.stage == STAGE,
        StageRun.state == StageState.SKIPPED,
        StageRun.outputs["why"].astext == NO_MODEL,
        Run.recording_id == Recording.id,
        Run.state == RunState.SUCCEEDED,
        or_(Run.workflow != RECAPTION.name, Run.finished_at < clock.now() - PAUSE),
        ~heard_since,
    )
    busy = exists().where(Run.recording_id == Recording.id, Run.state.in_(runs.UNFINISHED))
    return and_(Recording.state == RecordingState.READY, skipped, ~busy)


def any_waiting(session: Session) -> bool:
    """Whether a recording waits for a model."""
    return session.scalar(select(Recording.id).where(_waiting()).limit(1)) is not None


def resume(session: Session, limit: int) -> list[uuid.UUID]:
    """Send recordings that wait for a model on their way, the oldest first. Only who has found a model calls this.

    Returns:
        The ids of at most `limit` recordings. One that somebody else holds at this moment is left for the next time.
    """
    query = select(Recording).where(_waiting()).order_by(Recording.created_at).limit(limit)
    found = session.scalars(query.with_for_update(skip_locked=True)).all()
    started = []
    for recording in found:
        try:
            with session.begin_nested():
                runs.start(session, recording, RECAPTION.name)
        except Conflict:
            continue  # its sound is gone, or something began since
        started.append(recording.id)
    return started


# -- what was heard ------------------------------------------------------------------------------------------------------


def words_of(session: Session, storage: Storage, recording_id: uuid.UUID, language: str) -> list[Word]:
    """The words that the engine heard in this language, each with its times and the engine's belief in it.

    Raises:
        NotFound: nothing was heard in this language, or it is not kept.
        Unavailable: storage does not answer.
    """
    key = session.scalar(
        select(Artefact.key).where(
            Artefact.recording_id == recording_id, Artefact.kind == ArtefactKind.WORDS, Artefact.name == language
        )
    )
    if key is None:
        raise NotFound
    return [Word(*word) for word in json.loads(storage.get_bytes(key))["words"]]


def withdraw_misheard(session: Session, recording_id: uuid.UUID, language: str) -> list[str]:
    """Take automatic tracks in other languages from viewers: speech of one language, heard as another, is nonsense.

    A track that a person has written in or checked stays. Versions are kept.

    Returns:
        The languages of the tracks.
    """
    query = (
        select(CaptionTrack)
        .where(CaptionTrack.recording_id == recording_id, CaptionTrack.language != language)
        .where(CaptionTrack.current_version > 0, CaptionTrack.reviewed_at.is_(None))
        .where(
            ~exists().where(
                CaptionVersion.track_id == CaptionTrack.id, CaptionVersion.origin != CaptionOrigin.AUTOMATIC
            )
        )
        .with_for_update()
    )
    gone = []
    for track in session.scalars(query):
        track.current_version = 0
        gone.append(track.language)
    kinds = (ArtefactKind.CAPTIONS, ArtefactKind.WORDS)
    for row in session.scalars(
        select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind.in_(kinds), Artefact.name.in_(gone))
    ):
        session.delete(row)
    session.flush()
    return gone
