"""Hearing that is interrupted, that finds no model, and that is asked for again: real workers, a stand-in for the engine."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.core import Core, build_core
from app.db import db
from app.db.captions import CaptionOrigin, CaptionTrack
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, StageRun, StageState
from app.domain import captions, hearing, runs
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.pipeline.workflows import INGEST, RECAPTION
from app.settings import Settings
from app.storage import keys
from tests.workers import slow_engine
from tests.workers.harness import WorkerProcess, ended, in_session, ingest, make_video, strays, wait_until
from tests.workers.test_captions_stage import heard, keep
from workers.awaited import AwaitedModel

SECONDS = 8


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What counts as a model: `slow_engine` reads from it how far it may go."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.bin").write_bytes(b"none")
    (folder / "windows").write_text("99")
    return folder


@pytest.fixture
def settings(settings: Settings, model: Path) -> Settings:
    return replace(settings, caption_engine="faster-whisper", caption_model=str(model), encode_threads=1)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], WorkerProcess]]:
    """Starts workers whose engine is the stand-in; all of them end with the test."""
    source = shutil.copy(slow_engine.__file__, tmp_path / "model-engine.py")
    patch = f"""
from app.captions import engines
real = engines.command
engines.command = lambda *a, **k: [sys.executable, "-I", {str(settings.caption_model)!r} + "/engine.py", *real(*a, **k)[4:]]
"""
    workers: list[WorkerProcess] = []

    def begin() -> WorkerProcess:
        if Path(settings.caption_model).is_dir():
            shutil.copy(source, Path(settings.caption_model) / "engine.py")
        workers.append(WorkerProcess(settings, tmp_path / "worker.log", first=patch))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.end()


def stage(session: Session, recording_id: uuid.UUID, workflow: str = INGEST.name) -> StageRun:
    """The newest hearing."""
    query = session.query(StageRun).join(Run).filter(Run.recording_id == recording_id, Run.workflow == workflow)
    return query.filter(StageRun.stage == hearing.STAGE).order_by(Run.created_at.desc()).first()  # type: ignore[return-value]


def hears(core: Core, recording_id: uuid.UUID, windows: int) -> Callable[[], bool]:
    """Whether that many windows are kept."""
    prefix = f"{keys.recording_prefix(recording_id)}runs/"
    return lambda: sum("/heard/" in key for key, _ in core.storage.objects(prefix)) >= windows


def said(session: Session, core: Core, recording_id: uuid.UUID) -> list[tuple[int, int]]:
    """Second and beginning of the child that heard it, for each word that was kept."""
    words = hearing.words_of(session, core.storage, recording_id, "en")
    assert all(word.probability == 0.9 for word in words)
    return [tuple(map(int, re.findall(r"\d+", word.text))) for word in words]  # type: ignore[misc]


def test_a_killed_worker_loses_at_most_the_window_it_was_at(
    core: Core, start: Callable[[], WorkerProcess], settings: Settings, model: Path, tmp_path: Path
) -> None:
    (model / "windows").write_text("2")
    recording_id, run_id = ingest(core, make_video(tmp_path / "video.mp4", seconds=SECONDS))
    worker = start()
    wait_until(hears(core, recording_id, 2), 150, "two windows are kept")
    worker.kill()
    (model / "windows").write_text("99")
    start()
    wait_until(lambda: ended(core, recording_id), 150, "the run ends")

    def look(session: Session) -> None:
        assert stage(session, recording_id).state is StageState.SUCCEEDED
        assert stage(session, recording_id).attempt == 2
        words = said(session, core, recording_id)
        assert [second for second, _ in words] == list(range(SECONDS))
        # four seconds were heard by the first child, and only the rest by the second
        assert [began for _, began in words] == [0, 0, 0, 0, 4, 4, 4, 4]
        assert session.get_one(Recording, recording_id).state is RecordingState.READY

    in_session(core, look)
    assert list(core.storage.objects(keys.heard_prefix(recording_id, run_id))) == []
    assert strays(settings.data) == []


def test_hearing_stops_within_a_second_of_being_cancelled(
    core: Core, start: Callable[[], WorkerProcess], settings: Settings, model: Path, tmp_path: Path
) -> None:
    (model / "windows").write_text("1")
    recording_id, run_id = ingest(core, make_video(tmp_path / "video.mp4", seconds=SECONDS))
    start()
    wait_until(hears(core, recording_id, 1), 150, "a window is kept")

    def heard_a_quarter(session: Session) -> bool:
        return stage(session, recording_id).progress == pytest.approx(0.25, abs=0.02)

    wait_until(lambda: in_session(core, heard_a_quarter), 10, "progress is by the second of sound")
    assert strays(settings.data) != []
    in_session(core, lambda session: runs.cancel(session, session.get_one(Run, run_id)))
    cancelled = time.monotonic()
    wait_until(lambda: not strays(settings.data), 20, "the child ends")
    took = time.monotonic() - cancelled
    wait_until(lambda: ended(core, recording_id), 20, "the run ends")
    assert in_session(core, lambda session: stage(session, recording_id).state) is StageState.CANCELLED
    # The rule is a second; a machine that is busy with other tests is given a little more.
    assert took < 3, f"the engine ran on for {took:.1f} s"


def test_a_recording_goes_on_without_a_model_and_gets_its_captions_when_there_is_one(
    core: Core, start: Callable[[], WorkerProcess], settings: Settings, model: Path, tmp_path: Path
) -> None:
    away = model.rename(tmp_path / "away")
    recording_id, _ = ingest(core, make_video(tmp_path / "video.mp4", seconds=2))
    start()
    wait_until(lambda: ended(core, recording_id), 150, "the run ends")

    def waits(session: Session) -> None:
        recording = session.get_one(Recording, recording_id)
        run = runs.latest(session, recording_id)
        assert recording.state is RecordingState.READY
        assert hearing.state(recording, run, made=False) == "waiting-for-model"
        assert hearing.any_waiting(session)

    in_session(core, waits)
    shutil.copy(slow_engine.__file__, away / "engine.py")
    away.rename(model)

    def made(session: Session) -> bool:
        return bool(captions_of(session, recording_id))

    wait_until(lambda: in_session(core, made), 150, "the captions are made")
    wait_until(lambda: ended(core, recording_id), 150, "the run ends")

    def look(session: Session) -> None:
        recording, run = session.get_one(Recording, recording_id), runs.latest(session, recording_id)
        assert run is not None
        assert run.workflow == RECAPTION.name
        assert recording.state is RecordingState.READY
        assert hearing.state(recording, run, made=True) == "made"
        assert not hearing.any_waiting(session)
        assert hearing.resume(session, 10) == []
        stored = {key for key, _ in core.storage.objects(keys.recording_prefix(recording_id))}
        assert stored == {row.key for row in session.query(Artefact).filter_by(recording_id=recording_id)}

    in_session(core, look)


def captions_of(session: Session, recording_id: uuid.UUID) -> list[Artefact]:
    return session.query(Artefact).filter_by(recording_id=recording_id, kind=ArtefactKind.CAPTIONS).all()


# -- without a worker ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ready(session: Session, recording: Recording) -> Recording:
    """A recording that has its sound."""
    recording.state = RecordingState.READY
    add_sound(session, recording)
    return recording


def add_sound(session: Session, recording: Recording) -> None:
    key = f"{keys.recording_prefix(recording.id)}made/{uuid.uuid4()}/1/audio.mp4"
    sound = {"kind": ArtefactKind.AUDIO, "key": key, "media_type": "audio/mp4", "size": 1, "sha256": "0" * 64}
    session.add(Artefact(recording_id=recording.id, **sound))
    session.flush()


def waiting_run(session: Session, recording: Recording, workflow: str = INGEST.name) -> Run:
    run = Run(
        recording_id=recording.id, workflow=workflow, state="succeeded", created_at=clock.now(), finished_at=clock.now()
    )
    session.add(run)
    session.flush()
    skipped = {"state": StageState.SKIPPED, "outputs": {"why": hearing.NO_MODEL}}
    session.add(StageRun(run_id=run.id, stage=hearing.STAGE, position=0, **skipped))
    session.flush()
    return run


def job_priorities(session: Session) -> list[int]:
    rows = session.connection().exec_driver_sql("SELECT priority FROM procrastinate_jobs ORDER BY id")
    return [priority for (priority,) in rows]


def test_captions_made_again_come_after_everything_that_somebody_waits_for(session: Session, ready: Recording) -> None:
    hearing.again(session, SYSTEM, ready, language="CY")
    assert ready.spoken_language == "cy"
    assert ready.state is RecordingState.READY
    assert job_priorities(session) == [-10]
    with pytest.raises(Conflict, match="being processed"):
        hearing.again(session, SYSTEM, ready)


@pytest.mark.parametrize("state", [s for s in RecordingState if s is not RecordingState.READY])
def test_captions_are_made_again_only_of_a_ready_recording(
    session: Session, ready: Recording, state: RecordingState
) -> None:
    ready.state = state
    with pytest.raises(Conflict):
        hearing.again(session, SYSTEM, ready)


def test_a_recording_without_sound_or_an_unknown_language_is_refused(session: Session, ready: Recording) -> None:
    with pytest.raises(Invalid, match="Select a language"):
        hearing.again(session, SYSTEM, ready, language="klingon")
    session.query(Artefact).filter_by(recording_id=ready.id, kind=ArtefactKind.AUDIO).delete()
    with pytest.raises(Conflict, match="no sound"):
        hearing.again(session, SYSTEM, ready)


def test_only_who_waits_for_a_model_is_sent_on_its_way(session: Session, ready: Recording) -> None:
    assert not hearing.any_waiting(session)
    run = waiting_run(session, ready)
    assert hearing.any_waiting(session)
    run.stages[0].outputs = {"why": hearing.OFF}
    session.flush()
    assert not hearing.any_waiting(session)
    run.stages[0].outputs = {"why": hearing.NO_MODEL}
    ready.state = RecordingState.WITHDRAWN
    session.flush()
    assert hearing.resume(session, 5) == []
    ready.state = RecordingState.READY
    session.flush()
    assert hearing.resume(session, 5) == [ready.id]
    assert not hearing.any_waiting(session), "it is on its way"


def test_what_came_to_nothing_is_not_tried_again_at_once(session: Session, ready: Recording) -> None:
    run = waiting_run(session, ready, RECAPTION.name)
    assert not hearing.any_waiting(session)
    run.finished_at = clock.now() - hearing.PAUSE * 2
    session.flush()
    assert hearing.any_waiting(session)


def test_a_missing_model_is_looked_for_and_rarely_fetched(
    core: Core, session: Session, ready: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(model: str, *_: Any) -> Path:
        asked.append(model)
        raise Unavailable("The line is cut.")

    look_out = AwaitedModel(core)
    assert look_out.look() == 0, "nobody waits"
    waiting_run(session, ready)
    session.commit()
    monkeypatch.setattr("workers.awaited.models.locate", lambda *_: None)
    monkeypatch.setattr("workers.awaited.models.fetch", fetch)
    assert [look_out.look(), look_out.look()] == [0, 0]
    assert len(asked) == 1
    monkeypatch.setattr("workers.awaited.models.locate", lambda *_: Path("/here"))
    assert look_out.look() == 1


def test_words_that_were_never_heard_are_not_found(session: Session, core: Core, ready: Recording) -> None:
    with pytest.raises(NotFound):
        hearing.words_of(session, core.storage, ready.id, "en")


@pytest.mark.parametrize("by_person", [False, True])
def test_speech_that_was_heard_as_another_language_is_taken_from_viewers(
    session: Session, core: Core, ready: Recording, by_person: bool
) -> None:
    version = keep(session, core.storage, ready, heard("Nonsense."))
    if by_person:
        version.origin = CaptionOrigin.EDITED
    captions.store_automatic(session, core.storage, ready, replace(heard("Bore", "da."), language="cy"), [])
    assert hearing.withdraw_misheard(session, ready.id, "cy") == ([] if by_person else ["en"])
    assert {row.name for row in captions_of(session, ready.id)} == ({"en", "cy"} if by_person else {"cy"})
    track = session.query(CaptionTrack).filter_by(recording_id=ready.id, language="en").one()
    assert len(track.versions) == 1, "versions are kept"
