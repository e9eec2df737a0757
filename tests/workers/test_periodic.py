from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import clock
from app.clock import now
from app.core import Core
from app.db.people import Person
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState, Upload, UploadState
from app.db.runs import Run, RunState
from app.db.sign_in import IdempotencyKey, WebSession
from app.storage import keys
from tests.workers.conftest import add_recording
from workers.periodic import upkeep
from workers.tidy import tidy


def add_upload(session: Session, core: Core, *, days: int) -> tuple[uuid.UUID, uuid.UUID]:
    """An open upload with one part, last touched that many days ago. Returns ids of recording and upload."""
    recording = add_recording(session)
    session.query(Artefact).filter_by(recording_id=recording.id).delete()
    key = keys.source(recording.id, uuid.uuid4())
    upload = Upload(
        recording_id=recording.id, key=key, storage_upload_id=core.storage.begin_multipart(key, "video/mp4"),
        filename="video.mp4", size=1, part_size=1,
    )  # fmt: skip
    session.add(upload)
    session.flush()
    session.execute(update(Upload).where(Upload.id == upload.id).values(updated_at=now() - timedelta(days=days)))
    return recording.id, upload.id


def test_uploads_that_nobody_goes_on_with_are_dropped(core: Core) -> None:
    with core.session() as session:
        old, _ = add_upload(session, core, days=8)
        _, fresh_upload = add_upload(session, core, days=6)
        ready, ready_upload = add_upload(session, core, days=8)
        session.get_one(Recording, ready).state = RecordingState.READY
    upkeep(core)
    with core.session() as session:
        assert session.get(Recording, old) is None
        assert session.get_one(Upload, fresh_upload).state == UploadState.OPEN
        assert session.get_one(Upload, ready_upload).state == UploadState.CANCELLED
        assert session.get(Recording, ready) is not None
    pending = core.storage._client.list_multipart_uploads(Bucket=core.storage.bucket, Prefix=keys.recording_prefix(old))
    assert pending.get("Uploads", []) == []


def test_sessions_and_kept_answers_that_have_run_out_are_removed(core: Core) -> None:
    with core.session() as session:
        person = Person(email="somebody@example.test")
        session.add(person)
        session.flush()
        for name, hours in (("over", -1), ("going on", 1)):
            session.add(WebSession(token_hash=name, person_id=person.id, expires_at=now() + timedelta(hours=hours)))
        for name, hours in (("old", 25), ("new", 23)):
            made = now() - timedelta(hours=hours)
            session.add(IdempotencyKey(person_id=person.id, key=name, request_hash="", created_at=made))
    upkeep(core)
    with core.session() as session:
        assert list(session.scalars(select(WebSession.token_hash))) == ["going on"]
        assert list(session.scalars(select(IdempotencyKey.key))) == ["new"]


def test_only_what_nobody_will_ask_for_again_is_tidied_away(core: Core) -> None:
    with core.session() as session:
        recording = add_recording(session)
        runs = {}
        for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.RUNNING):
            # the one that failed is the newest, and may be tried again
            begun = clock.now() - timedelta(hours=state is not RunState.FAILED)
            run = Run(recording_id=recording.id, workflow="ingest", state=state, created_at=begun)
            session.add(run)
            session.flush()
            runs[state] = run.id
        kept = keys.artefact(recording.id, runs[RunState.SUCCEEDED], "480p.mp4", 2)
        session.add(
            Artefact(recording_id=recording.id, kind=ArtefactKind.RENDITION, name="480p", key=kept,
                     media_type="video/mp4", size=1, sha256="")
        )  # fmt: skip
        source = session.query(Artefact).filter_by(recording_id=recording.id, kind=ArtefactKind.SOURCE).one().key
        recording_id = recording.id
    stay = {source, kept, keys.caption_version(recording_id, "en", 1)}
    go = {keys.artefact(recording_id, runs[RunState.SUCCEEDED], "480p.mp4", 1)}
    go |= {keys.chunk(recording_id, runs[RunState.SUCCEEDED], 0, "480p", 1)}
    go |= {keys.artefact(recording_id, runs[RunState.FAILED], "480p.mp4", 1)}
    stay |= {keys.chunk(recording_id, runs[RunState.FAILED], 0, "480p", 1)}  # it may be tried again
    stay |= {keys.artefact(recording_id, runs[RunState.RUNNING], "480p.mp4", 1)}
    stay |= {keys.chunk(recording_id, runs[RunState.RUNNING], 0, "480p", 1)}
    for key in stay | go:
        core.storage.put_bytes(key, b"x", "video/mp4")
    assert tidy(core, recording_id) == len(go)
    assert {key for key, _ in core.storage.objects(keys.recording_prefix(recording_id))} == stay
