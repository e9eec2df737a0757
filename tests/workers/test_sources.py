"""Sources that are not one picture with one sound, through a real worker."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access import Actor
from app.core import Core, build_core
from app.db import db
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.db.runs import Run, StageRun
from app.domain import playback, recordings, sounds
from app.errors import Invalid
from app.media.commands import ffmpeg_path
from app.settings import Settings
from app.storage import keys
from tests.workers.harness import WorkerProcess, ended, in_session, ingest, state_of, wait_until

SYSTEM = Actor("system")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, chunk_seconds=4, caption_engine="none", encode_threads=1, worker_encode=2)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    made = WorkerProcess(settings, tmp_path / "worker.log")
    yield made
    made.end()


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([ffmpeg_path(), "-loglevel", "error", "-y", *arguments, str(path)], check=True, timeout=60)
    return path


def done(core: Core, recording_id: uuid.UUID) -> None:
    wait_until(lambda: ended(core, recording_id), 90, "the run ends")
    assert state_of(core, recording_id) == ("ready", "")


def test_a_recording_that_is_only_heard(core: Core, worker: WorkerProcess, tmp_path: Path) -> None:
    recording_id, _ = ingest(core, make(tmp_path / "voice.mp3", "-f", "lavfi", "-i", "sine=d=5"))
    done(core, recording_id)

    def look(session: Session) -> None:
        recording = session.get_one(Recording, recording_id)
        assert (recording.width, recording.has_audio) == (None, True)
        assert recording.watchable_at is not None
        kinds = sorted(a.kind.value for a in recording.artefacts)
        assert kinds == ["audio", "download", "peaks", "poster", "source"]
        assert "RESOLUTION" not in playback.master_playlist(session, recording_id)
        assert {a.key for a in recording.artefacts} == set(
            dict(core.storage.objects(keys.recording_prefix(recording_id)))
        )

    in_session(core, look)


def test_another_sound_is_heard_without_encoding_the_picture_again(
    core: Core, worker: WorkerProcess, tmp_path: Path
) -> None:
    source = make(
        tmp_path / "two.mkv", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=6", "-f", "lavfi", "-i", "sine=d=6",
        "-f", "lavfi", "-i", "sine=f=900:d=6", "-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-preset",
        "ultrafast", "-g", "300", "-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=wel",
    )  # fmt: skip
    recording_id, _ = ingest(core, source)
    done(core, recording_id)

    def artefacts(session: Session) -> dict[str, str]:
        rows = session.scalars(select(Artefact).where(Artefact.recording_id == recording_id))
        return {f"{row.kind.value}:{row.name}": row.key for row in rows}

    before = in_session(core, artefacts)
    assert "audio:" in before and not any("track" in name for name in before)

    def choose(session: Session) -> Any:
        recording = session.get_one(Recording, recording_id)
        tracks = sounds.of_source(session, recording)
        assert [(t.index, t.offered, t.usual) for t in tracks] == [(1, True, True), (2, False, False)]
        assert "Welsh" in tracks[1].label
        with pytest.raises(Invalid):
            sounds.choose(session, SYSTEM, recording, 0, [])
        with pytest.raises(Invalid):
            sounds.choose(session, SYSTEM, recording, None, [1])
        return sounds.choose(session, SYSTEM, recording, 2, [1]).id

    run_id = in_session(core, choose)
    wait_until(lambda: in_session(core, lambda s: s.get_one(Run, run_id).state.value) == "succeeded", 90, "it ends")
    after = in_session(core, artefacts)
    assert set(after) - set(before) == {"audio:track-1"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"audio:", "download:", "peaks:"}, "the picture stays as it is"

    def look(session: Session) -> None:
        ran = session.scalars(select(StageRun.stage).where(StageRun.run_id == run_id, StageRun.attempt > 0))
        assert not {"transcode", "join", "join_others", "stills"} & set(ran)
        text = playback.master_playlist(session, recording_id)
        assert text.index('NAME="Sound 2 (Welsh)",LANGUAGE="wel",DEFAULT=YES') < text.index('NAME="Sound 1 (English)"')
        assert playback.media(session, recording_id, "audio-track-1").kind is ArtefactKind.AUDIO

    in_session(core, look)


def test_a_damaged_file_is_made_and_says_what_is_missing(core: Core, worker: WorkerProcess, tmp_path: Path) -> None:
    whole = make(
        tmp_path / "whole.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=12", "-c:v", "libx264", "-preset",
        "ultrafast", "-g", "150", "-movflags", "+faststart",
    )  # fmt: skip
    data = bytearray(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    for place in range(len(data) // 2, len(data) // 2 + 20_000, 500):
        data[place] ^= 0x55
    (tmp_path / "cut.mp4").write_bytes(data)
    recording_id, _ = ingest(core, tmp_path / "cut.mp4")
    done(core, recording_id)

    def look(session: Session) -> None:
        recording = session.get_one(Recording, recording_id)
        holes = recordings.damage(recording)
        assert {hole.kind for hole in holes} == {"picture", "end"}
        assert (recording.duration_ms or 0) / 1000 == pytest.approx(holes[-1].start, abs=0.5)
        assert holes[-1].end == pytest.approx(12, abs=0.2)

    in_session(core, look)
