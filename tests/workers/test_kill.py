"""Workers killed at random moments, as a machine that loses its power kills them."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core import Core, build_core
from app.db import db
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run, RunState, StageState
from app.settings import Settings
from app.storage import keys
from tests.workers.harness import WorkerProcess, ended, in_session, ingest, make_video, strays, wait_until

ROUNDS = 20


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, chunk_seconds=2, caption_engine="none", encode_threads=1, worker_encode=1)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


@pytest.mark.slow
def test_twenty_killed_workers_lose_nothing_and_double_nothing(
    core: Core, settings: Settings, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20)
    video = make_video(tmp_path / "video.mp4", seconds=6, size="640x480")
    recordings: list[uuid.UUID] = []
    log = tmp_path / "worker.log"
    met: Counter[str] = Counter()
    worker = WorkerProcess(settings, log)
    try:
        for kill in range(ROUNDS):
            if not recordings or ended(core, recordings[-1]):
                recordings.append(ingest(core, video)[0])
            wait_until(partial(has_started, worker, kill), 30, "the worker starts")
            wait_until(lambda: in_session(core, running_stages) or ended(core, recordings[-1]), 30, "it works")
            time.sleep(
                chance.uniform(0, chance.choice((0.5, 2, 4)))
            )  # the moment is what is random here; nothing is waited for
            met.update(in_session(core, running_stages))
            worker.kill()
            worker = WorkerProcess(settings, log)
        for recording_id in recordings:
            wait_until(partial(ended, core, recording_id), 90, "the run ends")
        assert worker.stop() == 0
    finally:
        worker.end()

    record_testsuite_property("runs", len(recordings))
    record_testsuite_property("stages_met", dict(met))
    assert sum(met.values()) >= ROUNDS / 2, "the kills hardly met a stage at work"
    assert len(met) >= 3, "the kills met the same stages only"
    in_session(core, lambda session: assert_whole(session, core, recordings))
    assert doubled(log) == {}
    assert [path for path in (settings.data / "scratch").rglob("*") if path.is_file()] == []
    assert strays(settings.data) == []


def has_started(worker: WorkerProcess, kills: int) -> bool:
    return worker.starts() > kills


def doubled(log: Path) -> dict[tuple[str, str, int], int]:
    """Stages that were ended well more than once, with how often."""
    ends: Counter[tuple[str, str, int]] = Counter()
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "stage ended" and entry["action"] == "succeeded":
            ends[entry["run_id"], entry["stage"], entry["chunk"]] += 1
    return {key: count for key, count in ends.items() if count > 1}


def running_stages(session: Session) -> list[str]:
    return list(session.scalars(text("SELECT stage FROM stage_runs WHERE state = 'running'")))


def assert_whole(session: Session, core: Core, recordings: Sequence[uuid.UUID]) -> None:
    """Each recording is ready, with each object once, and each stage ended once."""
    assert session.query(Run).count() == len(recordings)
    for recording_id in recordings:
        recording = session.get_one(Recording, recording_id)
        assert (recording.state, recording.reason) == (RecordingState.READY, "")
        kinds = sorted(f"{a.kind.value}:{a.name}" for a in recording.artefacts)
        assert kinds == ["audio:", "download:", "poster:", "rendition:360p", "rendition:480p", "source:", "storyboard:"]
        stored = dict(core.storage.objects(keys.recording_prefix(recording.id)))
        assert stored == {a.key: a.size for a in recording.artefacts}
        (run,) = session.query(Run).filter_by(recording_id=recording_id)
        assert run.state == RunState.SUCCEEDED
        assert all(stage.state in (StageState.SUCCEEDED, StageState.SKIPPED) for stage in run.stages)
        assert [s.chunk for s in run.stages if s.stage == "transcode"] == [0, 1, 2]
    assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")) == 0
