"""The whole way of captions, with the real engine and weights."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest
from sqlalchemy.orm import Session

from app.core import Core, build_core
from app.db import db
from app.db.captions import CaptionTrack
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.db.runs import Run
from app.settings import Settings
from tests.workers.harness import WorkerProcess, ended, in_session, ingest, wait_until

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("weights")]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, caption_engine="faster-whisper", encode_threads=1)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


def test_wind_gives_captions_without_a_word(core: Core, settings: Settings, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error"]
    argv += ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=5:duration=6"]
    argv += ["-f", "lavfi", "-i", "anoisesrc=colour=brown:amplitude=0.3:seed=1:duration=6"]
    subprocess.run([*argv, "-c:v", "mpeg4", "-c:a", "aac", str(video)], check=True)
    recording_id, run_id = ingest(core, video)
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    try:
        wait_until(lambda: ended(core, recording_id), 120, "the run ends")
    finally:
        worker.stop()

    def look(session: Session) -> None:
        states = {s.stage: s.state.value for s in session.get_one(Run, run_id).stages}
        assert states["transcribe"] == "succeeded"
        track = session.query(CaptionTrack).filter_by(recording_id=recording_id).one()
        assert (track.language, track.current_version) == ("en", 1)
        assert track.versions[0].cues == []
        kinds = {a.kind for a in session.get_one(Recording, recording_id).artefacts}
        assert {ArtefactKind.CAPTIONS, ArtefactKind.WORDS} <= kinds
        stored = len(list(core.storage.objects(f"recordings/{recording_id}/")))
        assert stored == session.query(Artefact).filter_by(recording_id=recording_id).count() <= 12

    in_session(core, look)
