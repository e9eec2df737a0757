"""The watch page as a person without scripts has it, the notice, and where people were."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from app.db import db
from app.db.audit import AuditEvent
from app.db.recordings import NoticeAcknowledgement, RecordingState, WatchPosition
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.support.world import Browser
from tests.watching import film
from tests.watching.conftest import Scene


def test_scripts_off_it_is_all_there(app: Flask, scene: Scene) -> None:
    page = Browser(app, scene.viewer).get(scene.path).text
    assert "<h1" in page
    assert "Saying sorry to a relative" in page
    assert f'<source src="{scene.path}/video.mp4" type="video/mp4">' in page
    assert f'src="{scene.path}/captions/en.vtt"' in page
    assert " controls" in page
    for _, _, speaker, words in film.CUES:
        assert speaker in page
        assert words.replace("\n", " ") in page
    assert "not yet checked" not in page, "a person has checked these"
    assert "How useful was the session?" in page
    assert "The case is real and has been anonymised." in page
    assert "You are not asked to act on it." in page
    assert "Vera Viewer · viewer@example.org" in page
    assert "Apology &lt;b&gt;" in page
    assert "Only makers see this" not in page


def test_unchecked_captions_are_for_makers_who_are_told_so(
    app: Flask, session: Session, storage: Storage, scene: Scene
) -> None:
    film.caption(session, storage, scene.recording, [(0, 1000, "", "Unheard of words.")], number=2, checked=False)
    session.commit()
    viewer, maker = Browser(app, scene.viewer), Browser(app, scene.maker)
    page = viewer.get(scene.path).text
    assert "Nobody has checked the captions of this recording yet" in page
    assert "Unheard of words." not in page
    assert "captions/en.vtt" not in page
    assert viewer.get(f"{scene.path}/captions/en.vtt").status_code == 404
    assert viewer.get("/api/v1/search?q=unheard").json["hits"] == []
    page = maker.get(scene.path).text
    assert "Automatic captions, not yet checked" in page
    assert "Unheard of words." in page
    assert "Nobody has checked them yet." in maker.get(f"{scene.path}/captions/en.vtt").text
    assert len(maker.get("/api/v1/search?q=unheard").json["hits"]) == 1


def test_a_setting_shows_unchecked_captions_to_viewers_marked(
    settings: Settings, session: Session, storage: Storage, scene: Scene
) -> None:
    film.caption(session, storage, scene.recording, [(0, 1000, "", "Unheard of words.")], number=2, checked=False)
    session.commit()
    page = Browser(create_app(replace(settings, captions_unreviewed="show")), scene.viewer).get(scene.path).text
    assert "Automatic captions, not yet checked" in page
    assert "Unheard of words." in page


def test_no_speech_is_said(app: Flask, session: Session, storage: Storage, scene: Scene) -> None:
    film.caption(session, storage, scene.recording, (), number=2)
    session.commit()
    page = Browser(app, scene.viewer).get(scene.path).text
    assert "No speech was found" in page
    assert "missed diagnosis." not in page, "an older version's words"


def test_older_versions_are_not_shown(app: Flask, session: Session, storage: Storage, scene: Scene) -> None:
    film.caption(session, storage, scene.recording, [(0, 1000, "", "Quite other words.")], number=2)
    session.commit()
    page = Browser(app, scene.viewer).get(scene.path).text
    assert "Quite other words." in page
    assert "Nobody answered my letters." not in page


def test_draft_processing_and_withdrawn_say_so(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.maker)
    draft = scene.world.recording(title="Draft")
    early = scene.world.recording(title="Early", state=RecordingState.PROCESSING)
    gone = scene.world.recording(title="Gone", state=RecordingState.WITHDRAWN)
    broken = scene.world.recording(title="Broken", state=RecordingState.FAILED, reason="The sound could not be read.")
    session.commit()
    assert "Only makers see this" in browser.get(f"/recordings/{draft.id}").text
    assert "as soon as the first picture is ready" in browser.get(f"/recordings/{early.id}").text
    assert "has been withdrawn" in browser.get(f"/recordings/{gone.id}").text
    assert "The sound could not be read." in browser.get(f"/recordings/{broken.id}").text


def test_the_content_note_comes_before_the_poster(app: Flask, session: Session, scene: Scene) -> None:
    scene.recording.case.content_notice = "Speaks of the death of a child."
    session.commit()
    browser = Browser(app, scene.viewer)
    first = browser.get(f"{scene.path}?t=7")
    assert "Speaks of the death of a child." in first.text
    for hidden in ("<video", "poster.jpg", "I complained about"):
        assert hidden not in first.text
    assert 'name="t" value="7"' in first.text
    after = browser.get(f"{scene.path}?shown=yes&t=7").text
    assert 'data-start="7.0"' in after
    assert after.index("<video") < after.index("Speaks of the death of a child.")
    browser.send("POST", f"/api/v1{scene.path}/position", json={"seconds": 1})
    assert "<video" in browser.get(scene.path).text, "who has watched some of it has seen the note"


def test_the_notice_is_confirmed_once_per_version(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    first = browser.get(scene.path).text
    assert "I have read this" in first
    assert "<video" in first
    for _ in range(2):
        answer = browser.post("/notice/acknowledge", {"next": scene.path})
        assert (answer.status_code, answer.location) == (302, scene.path)
    after = browser.get(scene.path).text
    assert "I have read this" not in after
    assert "This case is real and has been anonymised. You are not asked to act on it." in after
    assert session.scalar(select(func.count()).select_from(NoticeAcknowledgement)) == 1
    events = session.scalars(select(AuditEvent.action).where(AuditEvent.action == "notice:acknowledge")).all()
    assert len(events) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.domain.watching.NOTICE_VERSION", 2)
        assert "I have read this" in browser.get(scene.path).text
    answer = browser.post("/notice/acknowledge", {"next": "https://evil.example/"})
    assert answer.location == "/"


def test_invented_cases_ask_for_no_confirmation(app: Flask, session: Session, scene: Scene) -> None:
    scene.recording.case.invented = True
    session.commit()
    page = Browser(app, scene.viewer).get(scene.path).text
    assert "I have read this" not in page
    assert "This case is invented" in page


def test_positions_are_kept_and_clamped(app: Flask, session: Session, scene: Scene) -> None:
    scene.recording.duration_ms = 60_000
    session.commit()
    browser = Browser(app, scene.viewer)
    url = f"/api/v1{scene.path}/position"
    for sent, kept in ((31.5, 31_500), (-5, 0), (10**9, 60_000), (12, 12_000)):
        assert browser.send("POST", url, json={"seconds": sent}).status_code == 204
        session.expire_all()
        assert session.scalars(select(WatchPosition.position_ms)).one() == kept
    page = browser.get(scene.path).text
    assert "Continues from 0:12" in page
    assert 'data-start="12.0"' in page
    assert "/video.mp4#t=12" in page
    asked = browser.get(f"{scene.path}?t=40").text
    assert 'data-start="40.0"' in asked
    assert "Continues from" not in asked
    assert 'data-start="0"' in browser.get(f"{scene.path}?t=0").text
    for nonsense in ("nan", "inf", "-3", "x", "1e999"):
        assert browser.get(f"{scene.path}?t={nonsense}").status_code == 200
    beacon = browser.post(url, {"seconds": "33"})
    assert beacon.status_code == 204
    for bad in ("x", "nan", None, True, [1]):
        answer = browser.send("POST", url, json={"seconds": bad})
        assert answer.status_code == 400
        assert answer.content_type == "application/problem+json"
    assert browser.client.post(url, json={"seconds": 1}).status_code == 400, "no form token"


def test_no_position_of_what_one_may_not_view(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.stranger)
    answer = browser.send("POST", f"/api/v1{scene.path}/position", json={"seconds": 3})
    other = browser.send("POST", f"/api/v1/recordings/{uuid.uuid4()}/position", json={"seconds": 3})
    assert answer.status_code == other.status_code == 404
    assert answer.data == other.data
    assert session.scalar(select(func.count()).select_from(WatchPosition)) == 0


def test_the_end_and_the_beginning_are_not_resumed(app: Flask, session: Session, scene: Scene) -> None:
    scene.recording.duration_ms = 60_000
    session.commit()
    browser = Browser(app, scene.viewer)
    for seconds in (2, 55):
        browser.send("POST", f"/api/v1{scene.path}/position", json={"seconds": seconds})
        assert "Continues from" not in browser.get(scene.path).text


def test_queries_do_not_grow_with_cues(app: Flask, session: Session, storage: Storage, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    browser.get("/account")
    with app.app_context():
        engine = db.engine
    asked: list[str] = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    browser.get(scene.path)
    few = len(asked)
    many = [(n * 2000, n * 2000 + 1500, "", f"Cue {n}") for n in range(200)]
    film.caption(session, storage, scene.recording, many, number=2)
    session.commit()
    asked.clear()
    assert "Cue 199" in browser.get(scene.path).text
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) == few
    assert few <= 28, "\n".join(asked)
