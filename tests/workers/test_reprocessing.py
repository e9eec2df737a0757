"""Processing again: only what is stale is done, and what can be watched is never away. Stages are the real ones, run one
by one in this process, so that between any two of them a viewer can look."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.core import Core
from app.db import db
from app.db.people import Role
from app.db.recordings import Artefact, Recording, RecordingState, RetiredObject
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import fixity, posters, recordings, reprocessing, runs
from app.errors import Conflict
from app.media import ladder
from app.pipeline.spec import Workflow
from app.pipeline.workflows import INGEST, WORKFLOWS
from app.settings import Settings
from app.storage import keys
from app.web import create_app
from tests.support.world import Browser, World
from tests.workers.harness import ingest, make_video
from workers.periodic import upkeep
from workers.pulse import Pulse
from workers.registry import STAGES
from workers.runner import Runner
from workers.scratch import Scratch

T = TypeVar("T")
#: The ladder without its lowest rung, and with another quality.
SMALLER = tuple(replace(row, crf=row.crf + 1) for row in ladder.LADDER if row.short_edge != 360)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, chunk_seconds=2, caption_engine="none", encode_threads=1, delivery="proxy")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "video.mp4", seconds=2, size="640x480", rate=5)


class Bench:
    """A recording that was processed, and whoever may watch it."""

    def __init__(self, core: Core, video: Path) -> None:
        self.core = core
        self.disk = Scratch(core.settings.data)
        self.runner = Runner(core, Pulse(core, 1, lambda: None), self.disk, STAGES, "w", lambda: None)
        with core.session() as session:
            self.viewer = World(session).person("everywhere@example.org", Role.ADMIN).id
        self.app: Flask = create_app(core.settings)
        self.browser = Browser(self.app)
        self.browser.sign_in(self.viewer)
        self.recording_id, _ = ingest(core, video)
        self.work()
        assert self.ask(lambda session: self.recording(session).state) == RecordingState.READY

    def ask(self, question: Callable[[Session], T]) -> T:
        with self.core.session() as session:
            return question(session)

    def recording(self, session: Session) -> Recording:
        return session.get_one(Recording, self.recording_id)

    def work(self, between: Callable[[], None] = lambda: None, most: int = 99) -> None:
        """Run queued stages, first come first served, with a look around after each."""
        queued = select(StageRun.id).where(StageRun.state == StageState.QUEUED).order_by(StageRun.position)
        for _ in range(most):
            stage_run_id = self.ask(lambda session: session.scalar(queued.limit(1)))
            if stage_run_id is None:
                return
            self.runner.run(stage_run_id)
            between()

    def again(self) -> uuid.UUID:
        return self.ask(lambda session: reprocessing.again(session, SYSTEM, self.recording(session)).id)

    def stale(self) -> tuple[str, ...]:
        found = self.ask(
            lambda session: reprocessing.stale_among(session, self.core.settings, [self.recording(session)])
        )
        return found[0].stages if found else ()

    def ran(self, run_id: uuid.UUID) -> set[str]:
        """The stages that a worker took up in a run."""
        query = select(StageRun.stage).where(StageRun.run_id == run_id, StageRun.attempt > 0)
        return self.ask(lambda session: set(session.scalars(query)))

    def get(self, path: str, status: int = 200, **headers: str) -> str:
        answer = self.browser.get(f"/recordings/{self.recording_id}/{path}", headers=headers)
        assert answer.status_code == status, path
        return answer.text if answer.mimetype.endswith("mpegurl") else ""

    def poster(self) -> bytes:
        return self.browser.get(f"/recordings/{self.recording_id}/poster.jpg").data

    def rungs(self) -> list[str]:
        return [line for line in self.get("master.m3u8").splitlines() if line and not line.startswith("#")]

    def objects(self) -> set[str]:
        return {key for key, _ in self.core.storage.objects(keys.recording_prefix(self.recording_id))}

    def close(self) -> None:
        self.disk.close()
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def bench(core: Core, video: Path) -> Iterator[Bench]:
    made = Bench(core, video)
    yield made
    made.close()


def media_line(playlist: str) -> str:
    return next(line for line in playlist.splitlines() if line.startswith("media/"))


def raised(name: str) -> Workflow:
    """The workflow with a newer version of one stage."""
    stages = tuple(replace(s, version=s.version + 1) if s.name == name else s for s in INGEST)
    return replace(INGEST, stages=stages)


def test_only_what_is_stale_is_done_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.stale() == ()
    before = bench.rungs()
    automatic = bench.poster()
    bench.ask(lambda session: posters.choose(session, SYSTEM, bench.recording(session), 1.0))
    assert bench.poster() == automatic
    bench.work()
    chosen = bench.poster()
    assert chosen != automatic
    assert bench.stale() == (), "what a person chose is nobody's to renew"
    monkeypatch.setitem(WORKFLOWS, "ingest", raised("poster"))
    assert bench.stale() == ("Choosing the poster",)
    run_id = bench.again()
    priorities = bench.ask(lambda session: session.scalars(text("SELECT priority FROM procrastinate_jobs")).all())
    assert priorities[-1] < 0, "it goes behind what somebody waits for"
    with pytest.raises(Conflict):
        bench.again()
    seen: list[list[str]] = []
    bench.work(between=lambda: seen.append(bench.rungs()))
    assert seen == [before] * len(seen)
    assert bench.ran(run_id) == {"probe", "poster", "transcribe", "finish"}, (
        "captions wait for a model, so they are tried"
    )
    assert bench.stale() == ()
    assert bench.poster() == chosen
    bench.ask(lambda session: posters.forget(session, SYSTEM, bench.recording(session)))
    assert bench.poster() == automatic
    # another number of threads or length of chunks is no reason
    settings = replace(bench.core.settings, chunk_seconds=60, encode_threads=2)
    assert bench.ask(lambda s: reprocessing.stale_among(s, settings, [bench.recording(s)])) == []
    monkeypatch.setitem(WORKFLOWS, "ingest", raised("probe"))
    assert bench.stale() == ("Checking the file",)


def test_a_rung_that_left_the_ladder_goes_at_the_end_and_its_object_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.rungs() == ["480p.m3u8", "360p.m3u8"]
    old = {name: media_line(bench.get(f"{name}.m3u8")) for name in ("480p", "360p")}
    before, sound = bench.objects(), media_line(bench.get("audio.m3u8"))
    monkeypatch.setattr(ladder, "LADDER", SMALLER)
    assert "Putting the picture together" in bench.stale()
    assert "Preparing the sound" not in bench.stale()
    run_id = bench.again()
    states: list[tuple[str, list[str], str]] = []

    def look() -> None:
        state = bench.ask(lambda session: session.get_one(Run, run_id).state.value)
        states.append((state, bench.rungs(), media_line(bench.get("480p.m3u8"))))

    bench.work(between=look)
    assert [item for item in states if item[0] == "running"] == [
        ("running", ["480p.m3u8", "360p.m3u8"], old["480p"])
    ] * (len(states) - 1)
    assert states[-1][:2] == ("succeeded", ["480p.m3u8"])
    assert bench.ran(run_id).isdisjoint({"audio", "join_others"})
    new = media_line(bench.get("480p.m3u8"))
    assert new != old["480p"]
    assert media_line(bench.get("audio.m3u8")) == sound
    # whoever was watching goes on, with the playlists that they hold, also from the rung that is gone
    for path in (new, *old.values(), sound):
        bench.get(path, 206, Range="bytes=0-99")
    bench.get("360p.m3u8")
    bench.get(new.replace(new[-16:], "0" * 16), 404)
    assert before <= bench.objects()
    upkeep(bench.core)
    assert before <= bench.objects(), "not before its time"
    examined = fixity.examine(bench.core.session, bench.core.storage)
    assert examined.ok, examined
    bench.ask(lambda session: session.execute(update(RetiredObject).values(until=clock.now())))
    upkeep(bench.core)
    named = bench.ask(lambda session: set(session.scalars(select(Artefact.key))))
    assert bench.objects() == named
    for path in (*old.values(), "360p.m3u8"):
        bench.get(path, 404)


def test_what_fails_or_is_cancelled_takes_nothing_away_and_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, there = bench.rungs(), bench.objects()
    line = media_line(bench.get("480p.m3u8"))
    monkeypatch.setattr(ladder, "LADDER", SMALLER)
    run_id = bench.again()
    bench.work(most=4)
    assert bench.ran(run_id) >= {"probe", "transcode", "join"}
    bench.ask(lambda session: runs.cancel(session, session.get_one(Run, run_id)))
    recording = bench.ask(lambda session: (bench.recording(session).state, bench.recording(session).reason))
    assert recording == (RecordingState.READY, "")
    assert (bench.rungs(), media_line(bench.get("480p.m3u8"))) == (before, line)
    for act in (recordings.withdraw, recordings.restore):
        bench.ask(lambda session, act=act: act(session, SYSTEM, bench.recording(session)))  # type: ignore[misc]
    assert bench.ask(lambda session: bench.recording(session).state) == RecordingState.READY
    moment = clock.now()
    monkeypatch.setattr("workers.periodic.TIDY_AFTER", clock.now() - moment)
    upkeep(bench.core)
    assert bench.objects() > there, "what is done is kept for another try"
    assert fixity.examine(bench.core.session, bench.core.storage).ok
    bench.ask(lambda session: runs.retry(session, session.get_one(Run, run_id)))
    bench.work()
    assert bench.ask(lambda session: session.get_one(Run, run_id).state) == RunState.SUCCEEDED
    assert bench.rungs() == ["480p.m3u8"]
    assert media_line(bench.get("480p.m3u8")) != line
    twice = select(StageRun.stage).where(StageRun.run_id == run_id, StageRun.attempt > 1)
    assert bench.ask(lambda session: session.scalars(twice).all()) == []


def test_av1_comes_later_beside_what_every_player_can_decode(bench: Bench) -> None:
    before = bench.rungs()
    upkeep(bench.core)
    bench.work()
    assert bench.rungs() == before, "it is off unless it is switched on"
    bench.core = replace(bench.core, settings=replace(bench.core.settings, av1="on"))
    upkeep(bench.core)
    upkeep(bench.core)
    assert (
        bench.ask(
            lambda session: session.scalar(text("SELECT priority FROM procrastinate_jobs ORDER BY id DESC LIMIT 1"))
        )
        < 0
    )
    bench.work(between=lambda: bench.get("360p.m3u8"))
    assert bench.rungs() == [*before, "360p-av1.m3u8", "480p-av1.m3u8"]
    master = bench.get("master.m3u8")
    assert master.index('CODECS="avc1') < master.index('CODECS="av01.0.')
    bench.get(media_line(bench.get("480p-av1.m3u8")), 206, Range="bytes=0-99")
    states = select(Run.workflow, Run.state).order_by(Run.created_at)
    both = [("ingest", RunState.SUCCEEDED), ("av1", RunState.SUCCEEDED)]
    assert [tuple(row) for row in bench.ask(lambda session: session.execute(states).all())] == both
    upkeep(bench.core)
    assert bench.ask(lambda session: len(session.execute(states).all())) == 2, "once is enough"
    # processing again leaves them alone, and the next time round takes them over
    bench.again()
    bench.work()
    assert len(bench.rungs()) == 4
    upkeep(bench.core)
    bench.work()
    newest = bench.ask(lambda session: session.scalars(select(Run.id).order_by(Run.created_at.desc()).limit(1)).one())
    assert bench.ran(newest) == {"plan", "finish"}
    assert len(bench.rungs()) == 4


def test_what_is_not_ready_is_tried_again_and_not_processed_again(core: Core) -> None:
    with core.session() as session:
        recording = World(session).recording(state=RecordingState.FAILED)
        with pytest.raises(Conflict):
            reprocessing.again(session, SYSTEM, recording)
