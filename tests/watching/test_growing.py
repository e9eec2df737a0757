"""Watching a recording while it is still being encoded: what there is plays, and more is added while it plays."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser as RealBrowser
from sqlalchemy.orm import Session

from app import clock
from app.db.people import Role
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import growing, playback, runs
from app.media import commands, encode, fmp4, join, ladder, playlists, probe
from app.settings import Settings
from app.storage import keys
from app.storage.s3 import Storage
from tests.support import browser as chromium
from tests.support.world import Browser, World
from tests.watching.test_in_the_browser import VIDEO, at_work, sign_in_as

SECONDS, CHUNK = 24, 8


class Film:
    """A film cut into chunks of 8 s, and its sound, as files."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source.mp4"
        picture = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={SECONDS}"]
        sound = ["-f", "lavfi", "-i", f"sine=f=330:r=48000:d={SECONDS}"]
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "600", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        subprocess.run(
            [commands.ffmpeg_path(), "-loglevel", "error", "-y", *picture, *sound, *coding, str(source)],
            check=True,
            timeout=120,
        )
        found = probe.probe(source, folder / "probe", max_duration_seconds=60)
        self.plan = ladder.plan(found, chunk_seconds=CHUNK, threads=2)
        assert self.plan.grows and len(self.plan.chunks) == 3
        self.rung = self.plan.encoded[0].name
        self.chunks = [
            encode.transcode_chunk(source, self.plan, part.index, folder / "work")[self.rung]
            for part in self.plan.chunks
        ]
        self.whole = folder / "whole.mp4"
        join.join(self.chunks, self.whole)
        heard = encode.encode_audio(source, self.plan, folder / "work")
        assert heard is not None
        self.sound = heard


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return Film(tmp_path_factory.mktemp("growing"))


class Work:
    """A recording whose run goes on as the test says."""

    def __init__(self, session: Session, storage: Storage, film: Film) -> None:
        self.session, self.storage, self.film = session, storage, film
        self.world = World(session)
        self.recording: Recording = self.world.recording(
            title="Still being encoded", state=RecordingState.PROCESSING, published=True, watchable_at=clock.now()
        )
        self.recording.duration_ms, self.recording.width, self.recording.height = SECONDS * 1000, 320, 180
        self.recording.has_audio = True
        self.world.grant(self.recording, area="NEY")
        self.viewer = self.world.person("viewer@example.org", Role.VIEWER, "NEY")
        self.run = Run(recording_id=self.recording.id, workflow="ingest", state=RunState.RUNNING)
        session.add(self.run)
        session.flush()
        self.done = 0
        self._keep(ArtefactKind.AUDIO, "", film.sound, "audio/mp4")
        session.commit()

    def encode_one(self) -> None:
        """The next chunk is there."""
        stored = self._stored(self.film.chunks[self.done], f"chunk-{self.done}")
        self.session.add(
            StageRun(
                run_id=self.run.id,
                stage="transcode",
                chunk=self.done,
                position=4,
                state=StageState.SUCCEEDED,
                outputs={"objects": {self.film.rung: stored}},
            )
        )
        self.done += 1
        self.session.commit()

    def end(self) -> None:
        """The chunks are joined, and gone."""
        self._keep(ArtefactKind.RENDITION, self.film.rung, self.film.whole, "video/mp4")
        self.run.state, self.recording.state = RunState.SUCCEEDED, RecordingState.READY
        self.session.commit()
        self.storage.delete_prefix(keys.scratch_prefix(self.recording.id, self.run.id))

    def _stored(self, file: Path, name: str) -> dict[str, Any]:
        key = keys.scratch_prefix(self.recording.id, self.run.id) + name
        stored = self.storage.put_file(key, file, "video/mp4")
        with file.open("rb") as opened:
            index = fmp4.index(opened).to_json()
        return {"key": key, "size": stored.size, "sha256": stored.sha256, "index": index}

    def _keep(self, kind: ArtefactKind, name: str, file: Path, media_type: str) -> None:
        key = keys.artefact(self.recording.id, uuid.uuid4(), f"{kind.value}.mp4", 1)
        stored = self.storage.put_file(key, file, media_type)
        with file.open("rb") as opened:
            detail = fmp4.index(opened).to_json()
        self.session.add(
            Artefact(
                recording_id=self.recording.id, kind=kind, name=name, key=key, media_type=media_type,
                size=stored.size, sha256=stored.sha256, detail=detail,
            )
        )  # fmt: skip


@pytest.fixture(scope="module", name="browser")
def _browser(request: pytest.FixtureRequest) -> RealBrowser:
    found: RealBrowser = request.getfixturevalue("chromium")
    return found


@pytest.fixture
def work(session: Session, storage: Storage, film: Film) -> Work:
    return Work(session, storage, film)


def lengths(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if line.startswith("#EXTINF")]


def test_the_playlist_grows_and_ends_with_the_same_segments(session: Session, work: Work) -> None:
    name, id_ = work.film.rung, work.recording.id
    seen: list[list[str]] = []
    for number in range(1, 4):
        work.encode_one()
        text = playback.media_playlist(session, id_, name)
        assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text and "#EXT-X-ENDLIST" not in text
        assert text.count("#EXT-X-MAP:") == number
        assert growing.seconds(session, id_) == pytest.approx(CHUNK * number, abs=0.01)
        assert "#EXT-X-ENDLIST" not in playback.media_playlist(session, id_, playback.AUDIO)
        assert "#EXT-X-I-FRAMES-ONLY" in playback.iframe_playlist(session, id_, name)
        seen.append(lengths(text))
    work.end()
    final = playback.media_playlist(session, id_, name)
    assert final.endswith("#EXT-X-ENDLIST\n")
    assert playback.media_playlist(session, id_, playback.AUDIO).endswith("#EXT-X-ENDLIST\n")
    assert seen[-1] == lengths(final)
    assert all(lengths(final)[: len(part)] == part for part in seen)
    assert growing.seconds(session, id_) is None


def test_a_chunk_out_of_turn_waits_for_those_before_it(session: Session, work: Work) -> None:
    work.done = 1
    work.encode_one()
    assert growing.of(session, work.recording.id) is None


def test_the_bytes_of_chunks_are_for_those_who_may_watch(app: Flask, session: Session, work: Work) -> None:
    work.encode_one()
    stranger = work.world.person("stranger@example.org", Role.VIEWER, "SW")
    session.commit()
    address = f"/recordings/{work.recording.id}/media/{work.film.rung}.mp4?chunk=0"
    may, may_not = Browser(app, work.viewer), Browser(app, stranger)
    assert may.get(address).status_code in (200, 302)
    assert may_not.get(address).status_code == 404
    assert may.get(address.replace("chunk=0", "chunk=1")).status_code == 404
    assert may.get(f"/recordings/{work.recording.id}/media/nothing.mp4?chunk=0").status_code == 404
    for nonsense in ("chunk=-1", "chunk=x", "chunk=99999999999", "chunk=²"):
        assert may.get(address.replace("chunk=0", nonsense)).status_code == 404
    page = may.get(f"/recordings/{work.recording.id}").text
    assert "The first 8 seconds can be watched" in page
    work.end()
    assert may.get(address).status_code == 404


def test_an_independent_reader_plays_what_there_is(session: Session, work: Work, tmp_path: Path) -> None:
    work.encode_one()
    work.encode_one()
    found = growing.of(session, work.recording.id)
    assert found is not None
    pieces = found.pieces(work.film.rung)
    text = playlists.growing(pieces, lambda piece: f"{piece.number}.mp4")
    for number, file in enumerate(work.film.chunks[:2]):
        (tmp_path / f"{number}.mp4").write_bytes(file.read_bytes())
    (tmp_path / "v.m3u8").write_text(text + "#EXT-X-ENDLIST\n")
    argv = [commands.ffmpeg_path(), "-v", "error", "-allowed_extensions", "ALL", "-i", "v.m3u8", "-f", "framecrc", "-"]
    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    times = [int(row.split(",")[2]) for row in run.stdout.splitlines() if not row.startswith("#")]
    assert len(times) == 2 * CHUNK * 25
    assert run.stderr == ""


@pytest.mark.browser
def test_in_the_browser_it_plays_on_into_what_comes(
    browser: RealBrowser, settings: Settings, storage: Storage, work: Work
) -> None:
    work.encode_one()
    with at_work(settings, "proxy") as (app, address):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        reports = chromium.Reports(page)
        sign_in_as(page, app, address, work.viewer)
        page.goto(f"{address}/recordings/{work.recording.id}")
        page.locator("[data-source=hls]").wait_for(state="attached")
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime === 0")
        page.evaluate(f"{VIDEO}.muted = true")
        page.get_by_role("button", name="Play", exact=True).click()
        chromium.wait_until(page, f"{VIDEO}.currentTime > 1")
        work.encode_one()
        chromium.wait_until(page, f"{VIDEO}.duration > {CHUNK + 4}")
        page.evaluate(f"{VIDEO}.playbackRate = 4")
        chromium.wait_until(page, f"{VIDEO}.currentTime > {CHUNK + 1}")
        work.encode_one()
        work.end()
        chromium.wait_until(page, f"{VIDEO}.duration > {SECONDS - 0.5} && {VIDEO}.ended")
        assert page.locator("[data-part=problem]").is_hidden()
        assert reports.csp == []
        page.close()


def test_what_failed_while_it_grew_cannot_be_watched(session: Session, work: Work) -> None:
    work.encode_one()
    row = session.query(StageRun).filter_by(run_id=work.run.id).one()
    row.state = StageState.FAILED
    session.flush()
    runs.advance(session, runs.locked(session, work.run.id), runs.locked_stages(session, work.run))
    assert work.recording.state is RecordingState.FAILED
    assert work.recording.watchable_at is None
