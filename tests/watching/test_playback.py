"""What a player gets, byte for byte, and who gets it."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from flask import Flask
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from app import clock
from app.access import Action
from app.db import db
from app.db.grants import Grant
from app.db.people import Role
from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.media import playlists
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from app.web.guard import declaration_of
from tests.support.world import Browser, World
from tests.watching import film
from tests.watching.conftest import Scene

SURFACES = (
    "", "/master.m3u8", "/480p.m3u8", "/360p.m3u8", "/audio.m3u8", "/480p.iframes.m3u8", "/media/480p.mp4", "/media/360p.mp4",
    "/media/audio.mp4", "/video.mp4", "/captions/en.vtt", "/chapters.vtt", "/poster.jpg", "/storyboard.json",
    "/storyboard.jpg", "/peaks.json", "/manifest.mpd", "/evaluation",
)  # fmt: skip


@pytest.fixture(params=["redirect", "proxy"])
def delivering(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Flask]:
    """The application with each way of delivery."""
    app = create_app(replace(settings, delivery=request.param))
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def fetch(browser: Browser, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """GET as a browser does: a redirect is followed, with the same Range."""
    answer = browser.get(path, headers=headers)
    if answer.status_code == 302:
        assert "X-Amz-Signature" in answer.location
        far = httpx.get(answer.location, headers=headers)
        return far.status_code, far.content, {k.title(): v for k, v in far.headers.items()}
    return answer.status_code, answer.data, {k.title(): v for k, v in answer.headers.items()}


def test_every_byte_arrives_whichever_way(delivering: Flask, scene: Scene, reel: film.Reel) -> None:
    browser = Browser(delivering, scene.viewer)
    addresses = {
        "480p": "/media/480p.mp4", "360p": "/media/360p.mp4", "audio": "/media/audio.mp4", "download": "/video.mp4",
        "poster": "/poster.jpg", "storyboard": "/storyboard.jpg",
    }  # fmt: skip
    assert reel.parts.keys() - addresses.keys() == {"peaks", "candidate-0", "candidate-1"}
    for label, path in addresses.items():
        body = reel.parts[label].body
        status, got, headers = fetch(browser, scene.path + path)
        assert (status, got) == (200, body), path
        assert headers["Content-Type"] == reel.parts[label].media_type
        status, got, headers = fetch(browser, scene.path + path, Range="bytes=100-299")
        assert (status, got) == (206, body[100:300]), path
        assert headers["Content-Range"] == f"bytes 100-299/{len(body)}"
        status, got, _ = fetch(browser, scene.path + path, Range="bytes=-50")
        assert (status, got) == (206, body[-50:])
        status, got, headers = fetch(browser, scene.path + path, Range=f"bytes={len(body)}-")
        assert status == 416
        assert headers["Content-Range"] == f"bytes */{len(body)}"
        head = browser.client.head(scene.path + path)
        assert (head.status_code, head.data, head.content_length) == (200, b"", len(body))
        for answer in (browser.get(scene.path + path), head):
            assert answer.headers["Cache-Control"] == "private, no-store"


def test_links_live_a_minute_at_most(settings: Settings, scene: Scene) -> None:
    browser = Browser(create_app(replace(settings, delivery="redirect")), scene.viewer)
    link = browser.get(f"{scene.path}/media/480p.mp4").location
    assert 1 <= int(httpx.URL(link).params["X-Amz-Expires"]) <= 60


def test_if_range_of_another_object_gets_the_whole(settings: Settings, scene: Scene, reel: film.Reel) -> None:
    browser = Browser(create_app(replace(settings, delivery="proxy")), scene.viewer)
    path = f"{scene.path}/media/480p.mp4"
    etag = browser.client.head(path).headers["ETag"]
    body = reel.parts["480p"].body
    same = browser.get(path, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (same.status_code, same.data) == (206, body[:10])
    other = browser.get(path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (other.status_code, other.data) == (200, body)
    both = browser.get(path, headers={"Range": "bytes=0-9,20-29"})
    assert both.status_code == 416


def test_playlists_lead_to_the_bytes(app: Flask, scene: Scene, reel: film.Reel) -> None:
    browser = Browser(app, scene.viewer)
    master = browser.get(f"{scene.path}/master.m3u8")
    assert master.status_code == 200
    assert master.mimetype == playlists.MIME_TYPE
    names = [line for line in master.text.splitlines() if line and not line.startswith("#")]
    assert names == ["480p.m3u8", "360p.m3u8"], "480 is what a player starts with"
    assert 'URI="audio.m3u8"' in master.text
    assert "FRAME-RATE=25.000" in master.text
    for name in ("480p", "360p", "audio"):
        playlist = browser.get(f"{scene.path}/{name}.m3u8").text.splitlines()
        body = reel.parts[name].body
        covered = int(next(line for line in playlist if "#EXT-X-MAP" in line).split('BYTERANGE="')[1].split("@")[0])
        seconds = 0.0
        for line, following in itertools.pairwise(playlist):
            if line.startswith("#EXTINF"):
                seconds += float(line.split(":")[1].strip(","))
            if line.startswith("#EXT-X-BYTERANGE"):
                length, offset = map(int, line.split(":")[1].split("@"))
                assert offset == covered
                assert following == f"media/{name}.mp4?v={hashlib.sha256(body).hexdigest()[:16]}"
                covered += length
        assert covered == len(body), "the ranges cover the whole object"
        assert seconds == pytest.approx(film.SECONDS, abs=0.1)
    frames = browser.get(f"{scene.path}/480p.iframes.m3u8")
    assert "#EXT-X-I-FRAMES-ONLY" in frames.text
    assert "media/480p.mp4" in frames.text


def test_playlists_are_never_redirected(settings: Settings, scene: Scene) -> None:
    browser = Browser(create_app(replace(settings, delivery="redirect")), scene.viewer)
    for path in ("/master.m3u8", "/480p.m3u8", "/480p.iframes.m3u8", "/captions/en.vtt", "/storyboard.json"):
        answer = browser.get(scene.path + path)
        assert answer.status_code == 200, path
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_captions_chapters_and_storyboard(app: Flask, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    captions = browser.get(f"{scene.path}/captions/en.vtt")
    assert captions.content_type == "text/vtt; charset=utf-8"
    assert "<v Patient>I complained about the missed diagnosis." in captions.text
    chapters = browser.get(f"{scene.path}/chapters.vtt").text
    assert "00:00:00.000 --> 00:00:04.500\nGreeting" in chapters
    assert "00:00:04.500 --> 00:00:12.000\nApology &lt;b&gt;" in chapters
    board = json.loads(browser.get(f"{scene.path}/storyboard.json").data)
    assert board["images"] == ["storyboard.jpg"]
    assert board["interval"] == 2
    assert board["count"] == 6
    assert board["columns"] * board["rows"] >= board["count"]
    peaks = browser.get(f"{scene.path}/peaks.json")
    assert peaks.mimetype == "application/json"
    assert peaks.json["length"] in (240, 241), "12 s, and what the encoder's last packet adds"
    assert len(peaks.json["data"]) == 2 * peaks.json["length"]


def test_what_is_not_there_is_the_same_404(app: Flask, session: Session, scene: Scene) -> None:
    bare = scene.world.recording(published=True)
    scene.world.grant(bare, area="NEY")
    session.commit()
    browser = Browser(app, scene.viewer)
    random = browser.get(f"/recordings/{uuid.uuid4()}/master.m3u8")
    for path in SURFACES[1:-1]:
        answer = browser.get(f"/recordings/{bare.id}{path}")
        assert (answer.status_code, answer.data) == (404, random.data), path
    for path in (
        "/1080p.m3u8",
        "/media/1080p.mp4",
        "/media/source.mp4",
        "/captions/cy.vtt",
        "/480p.iframes.iframes.m3u8",
    ):
        answer = browser.get(scene.path + path)
        assert (answer.status_code, answer.data) == (404, random.data), path


def test_outsiders_get_what_a_random_id_gets(app: Flask, scene: Scene) -> None:
    stranger = Browser(app, scene.stranger)
    viewer = Browser(app, scene.viewer)
    for path in SURFACES:
        random = stranger.get(f"/recordings/{uuid.uuid4()}{path}")
        answer = stranger.get(scene.path + path)
        assert answer.status_code == random.status_code == 404, path
        assert answer.data == random.data, path
        assert stranger.client.head(scene.path + path).status_code == 404
        wanted = 403 if path == "/evaluation" else 200
        assert viewer.get(scene.path + path, follow_redirects=False).status_code in (wanted, 302), path
        nobody = app.test_client().get(scene.path + path)
        assert nobody.status_code == 302
        assert nobody.location.startswith("/sign-in")


def test_revocation_bites_at_the_next_request(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    paths = [scene.path + path for path in SURFACES[:-1]]
    assert all(browser.get(path).status_code in (200, 302) for path in paths)
    session.execute(update(Grant).where(Grant.id == scene.grant.id).values(revoked_at=clock.now()))
    session.commit()
    assert {browser.get(path).status_code for path in paths} == {404}
    session.execute(update(Grant).where(Grant.id == scene.grant.id).values(revoked_at=None))
    session.execute(update(Recording).values(state=RecordingState.WITHDRAWN))
    session.commit()
    assert {browser.get(path).status_code for path in paths} == {404}


def test_a_recording_in_progress_plays_with_what_is_there(
    app: Flask, session: Session, scene: Scene, reel: film.Reel
) -> None:
    recording = scene.world.recording(state=RecordingState.PROCESSING, published=True, watchable_at=clock.now())
    scene.world.grant(recording, area="NEY")
    reel.lend(session, recording, "480p")
    session.commit()
    browser = Browser(app, scene.viewer)
    master = browser.get(f"/recordings/{recording.id}/master.m3u8")
    assert "480p.m3u8" in master.text
    assert "360p.m3u8" not in master.text
    assert "AUDIO" not in master.text
    page = browser.get(f"/recordings/{recording.id}")
    assert "still being processed" in page.text


def test_a_segment_costs_few_queries_and_holds_no_connection(settings: Settings, scene: Scene) -> None:
    app = create_app(replace(settings, delivery="proxy"))
    browser = Browser(app, scene.viewer)
    browser.get("/account")
    with app.app_context():
        engine = db.engine
    asked: list[str] = []
    held: list[int] = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        asked.append(statement)

    real = Storage.stream

    def stream(self: Storage, *arguments):
        held.append(engine.pool.checkedout())  # type: ignore[attr-defined]
        return real(self, *arguments)

    event.listen(engine, "before_cursor_execute", note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Storage, "stream", stream)
        assert browser.get(f"{scene.path}/media/480p.mp4", headers={"Range": "bytes=0-99"}).status_code == 206
    event.remove(engine, "before_cursor_execute", note)
    assert held == [0], "waiting for S3 with a database connection in hand"
    assert sum("FROM recordings" in s for s in asked) == 1
    assert sum("FROM artefacts" in s for s in asked) == 1
    assert len(asked) <= 9, "\n".join(asked)


def test_auto_redirects_where_the_browser_can_follow(settings: Settings, scene: Scene) -> None:
    chosen = replace(settings, delivery="auto", public_url="http://localhost:8000")
    browser = Browser(create_app(chosen), scene.viewer)
    path = f"{scene.path}/media/480p.mp4"
    assert browser.get(path, base_url="http://localhost:8000").status_code == 302
    browser.client.set_cookie(
        browser.app.session_interface.cookie,  # type: ignore[attr-defined]
        browser.client.get_cookie(browser.app.session_interface.cookie).value,  # type: ignore[attr-defined,union-attr]
        domain="192.0.2.7",
    )
    assert browser.get(path, base_url="http://192.0.2.7:8000").status_code == 200


def test_every_address_asks_the_policy(app: Flask) -> None:
    endpoints = [name for name in app.view_functions if name.startswith("playback.")]
    assert len(endpoints) == 24
    for name in endpoints:
        declared = declaration_of(app.view_functions[name])
        assert declared is not None
        assert declared.action is Action.RECORDING_VIEW
        assert declared.table is Recording


def test_drafts_play_for_makers_only(app: Flask, session: Session, scene: Scene, reel: film.Reel) -> None:
    draft = scene.world.recording(title="A draft")
    scene.world.grant(draft, area="NEY")
    reel.lend(session, draft)
    session.commit()
    path = f"/recordings/{draft.id}/master.m3u8"
    assert Browser(app, scene.maker).get(path).status_code == 200
    assert Browser(app, scene.viewer).get(path).status_code == 404


def test_a_token_opens_what_the_links_name(app: Flask, session: Session, storage: Storage) -> None:
    world = World(session)
    recording = world.recording(published=True)
    world.artefact(storage, recording, ArtefactKind.POSTER, b"a picture", media_type="image/jpeg")
    world.grant(recording, area="NEY")
    near, far = (world.token(world.person(role=Role.VIEWER, area=area), "read") for area in ("NEY", "SW"))
    session.commit()
    client = app.test_client()
    path = f"/recordings/{recording.id}/poster.jpg"

    def ask(authorization: str) -> tuple[int, bytes]:
        answer = client.get(path, headers={"Authorization": authorization})
        return answer.status_code, answer.data

    assert ask(f"Bearer {near}") == (200, b"a picture"), "by proxy: S3 would refuse a second proof beside its signature"
    assert ask(f"Bearer {far}")[0] == 404
    assert ask("Bearer vgn_wrong")[0] == 401
    assert ask("Basic dXNlcjpwYXNz")[0] == 302, "what browsers add by themselves counts for nothing"
