from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import Core, build_core
from app.db import db
from app.db.recordings import Artefact, Recording
from app.db.runs import Run, StageRun
from app.domain import runs
from app.settings import Settings
from app.storage import keys
from tests.workers.harness import (
    WorkerProcess,
    alive,
    children,
    ended,
    in_session,
    ingest,
    make_video,
    state_of,
    wait_until,
)
from workers.worker import GIVEN_UP

Start = Callable[..., WorkerProcess]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, chunk_seconds=2, caption_engine="none", encode_threads=1, worker_encode=2)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Starts workers; all are gone after the test."""
    started: list[WorkerProcess] = []

    def start_one(**changes: Any) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(WorkerProcess(replace(settings, **changes), log))
        return started[-1]

    yield start_one
    for worker in started:
        worker.end()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes many seconds to encode when it is one chunk."""
    return make_video(tmp_path_factory.mktemp("video") / "long.mp4", seconds=60, size="854x480", rate=25)


ONE_CHUNK = {"chunk_seconds": 600}


def running(core: Core, run_id: object, stage: str) -> bool:
    query = select(StageRun.id).where(StageRun.run_id == run_id, StageRun.stage == stage, StageRun.state == "running")
    return bool(in_session(core, lambda session: session.scalar(query.limit(1))))


def scratch_files(settings: Settings) -> list[Path]:
    return [path for path in (settings.data / "scratch").rglob("*") if path.is_file()]


def test_a_video_becomes_a_recording(core: Core, settings: Settings, start: Start, tmp_path: Path) -> None:
    recording_id, run_id = ingest(core, make_video(tmp_path / "video.mp4", seconds=6, size="854x480"))
    worker = start()
    wait_until(lambda: ended(core, recording_id), 60, "the run ends")
    assert state_of(core, recording_id) == ("ready", "")

    def look(session: Session) -> None:
        recording = session.get_one(Recording, recording_id)
        assert recording.watchable_at is not None
        spent = dict(session.execute(select(StageRun.stage, StageRun.cpu_seconds)).all())
        assert spent["transcode"] > 0, "what a stage costs is counted"
        assert abs((recording.duration_ms or 0) - 6000) <= 100
        kinds = sorted(f"{a.kind.value}:{a.name}" for a in recording.artefacts if "candidate" not in a.name)
        assert kinds == [
            "audio:",
            "download:",
            "peaks:",
            "poster:",
            "rendition:360p",
            "rendition:480p",
            "source:",
            "storyboard:",
        ]
        assert all(len(a.sha256) == 64 for a in recording.artefacts)
        named = {a.key: a.size for a in recording.artefacts}
        assert dict(core.storage.objects(keys.recording_prefix(recording_id))) == named
        states = {s.stage: s.state.value for s in session.get_one(Run, run_id).stages}
        assert states["transcribe"] == "skipped"
        assert states["copy"] == "skipped"
        assert set(states.values()) == {"succeeded", "skipped"}
        progress = runs.progress(session.get_one(Run, run_id))
        assert progress["fraction"] == 1
        assert {"name": "transcode", "chunks": [3, 3]}.items() <= next(
            {k: s[k] for k in ("name", "chunks")} for s in progress["stages"] if s["name"] == "transcode"
        ).items()

    in_session(core, look)
    assert worker.stop() == 0
    assert scratch_files(settings) == []


def test_what_is_no_video_is_rejected_and_leaves_nothing(core: Core, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "letter.mp4"
    file.write_text("Dear sir or madam, this is not a video.\n" * 100)
    recording_id, _ = ingest(core, file)
    start()
    wait_until(lambda: state_of(core, recording_id)[0] == "rejected", 30, "it is rejected")
    assert state_of(core, recording_id)[1].startswith("The selected file")
    assert list(core.storage.objects(keys.recording_prefix(recording_id))) == []
    assert in_session(core, lambda s: s.query(Artefact).filter_by(recording_id=recording_id).count()) == 0


def test_cancelling_stops_the_program_within_a_second_and_it_can_be_tried_again(
    core: Core, start: Start, long_video: Path
) -> None:
    recording_id, run_id = ingest(core, long_video)
    worker = start(**ONE_CHUNK)
    wait_until(lambda: running(core, run_id, "transcode") and children(worker.pid), 60, "a chunk is encoded")
    programs = children(worker.pid)
    in_session(core, lambda s: runs.cancel(s, s.get_one(Run, run_id), by="A Person"))
    wait_until(lambda: not any(alive(pid) for pid in programs), 1.5, "the programs have stopped")
    wait_until(lambda: ended(core, recording_id), 5, "the run ends")
    assert state_of(core, recording_id) == ("failed", "Cancelled by A Person.")
    in_session(core, lambda s: runs.retry(s, s.get_one(Run, run_id)))
    wait_until(lambda: running(core, run_id, "transcode"), 30, "it goes on")
    states = in_session(core, lambda s: {r.stage: r.attempt for r in s.get_one(Run, run_id).stages})
    assert states["probe"] == 1, "what was done is not done again"
    in_session(core, lambda s: runs.cancel(s, s.get_one(Run, run_id)))
    wait_until(lambda: ended(core, recording_id), 5, "the run ends")


def test_a_worker_that_is_told_to_end_gives_its_stages_back_at_once(
    core: Core, settings: Settings, start: Start, long_video: Path
) -> None:
    recording_id, run_id = ingest(core, long_video)
    worker = start(**ONE_CHUNK)
    wait_until(lambda: running(core, run_id, "transcode") and children(worker.pid), 60, "a chunk is encoded")
    other = start(**ONE_CHUNK)
    wait_until(lambda: other.says("worker started"), 30)
    programs = children(worker.pid)
    assert worker.stop(15) == 0
    assert not any(alive(pid) for pid in programs)
    # sooner than the time after which a worker counts as lost
    wait_until(lambda: worker_of(core, run_id, "transcode").endswith(f"-{other.pid}"), 2, "the other one has it")
    in_session(core, lambda s: runs.cancel(s, s.get_one(Run, run_id)))
    wait_until(lambda: ended(core, recording_id), 5, "the run ends")
    assert other.stop() == 0
    assert scratch_files(settings) == []


def test_a_worker_that_froze_is_replaced_and_ends_when_it_wakes_up(core: Core, start: Start, long_video: Path) -> None:
    recording_id, run_id = ingest(core, long_video)
    frozen = start(**ONE_CHUNK)
    wait_until(lambda: running(core, run_id, "transcode") and children(frozen.pid), 60, "a chunk is encoded")
    programs = children(frozen.pid)
    frozen.send(signal.SIGSTOP)
    other = start(**ONE_CHUNK)
    wait_until(lambda: worker_of(core, run_id, "transcode").endswith(f"-{other.pid}"), 30, "the other one has it")
    frozen.send(signal.SIGCONT)
    assert frozen.process.wait(10) == GIVEN_UP
    assert not any(alive(pid) for pid in programs)
    assert worker_of(core, run_id, "transcode").endswith(f"-{other.pid}")
    in_session(core, lambda s: runs.cancel(s, s.get_one(Run, run_id)))
    wait_until(lambda: ended(core, recording_id), 5, "the run ends")


def worker_of(core: Core, run_id: object, stage: str) -> str:
    """Name of the worker that runs a stage; empty when none does."""
    query = select(StageRun.worker).where(
        StageRun.run_id == run_id, StageRun.stage == stage, StageRun.state == "running"
    )
    return in_session(core, lambda session: session.scalar(query)) or ""
