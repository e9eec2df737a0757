"""What pages and the API say of captions that are not there yet, the language spoken, and making captions again."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app import clock
from app.db.people import Role
from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import hearing
from app.media.fmp4 import Fragment, Index
from app.storage.s3 import Storage
from tests.ingest.support import Api, Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def browser(app: Flask, there: Makers) -> Browser:
    return Browser(app, there.person)


@pytest.fixture
def api(app: Flask, session: Session, there: Makers) -> Api:
    token = there.world.token(there.person, "read", "upload")
    session.commit()
    return Api(app, token)


@pytest.fixture
def made(there: Makers, storage: Storage) -> Recording:
    """A ready recording with sound, on which nothing runs."""
    recording = there.world.recording(there.case, owner_id=there.person.id, state=RecordingState.READY)
    recording.has_audio = True
    index = Index("audio", "mp4a.40.2", 0, 0, 48_000, 800, (Fragment(800, 1000, 0.0, 2.0, 94, 900),))
    there.world.artefact(storage, recording, ArtefactKind.AUDIO, b"sound", detail=index.to_json())
    there.world.session.commit()
    return recording


def ended_with(session: Session, recording: Recording, state: StageState, why: str = "") -> None:
    """A run whose hearing ended so."""
    now = clock.now()
    run = Run(recording_id=recording.id, workflow="ingest", state=RunState.SUCCEEDED, created_at=now, finished_at=now)
    session.add(run)
    session.flush()
    outputs = {"why": why} if why else {}
    session.add(StageRun(run_id=run.id, stage=hearing.STAGE, position=0, state=state, outputs=outputs))
    session.commit()


@pytest.mark.parametrize(
    ("state", "why", "word", "sentence"),
    [
        (StageState.SKIPPED, hearing.NO_MODEL, "waiting-for-model", "Captions are waiting for a model."),
        (StageState.SKIPPED, hearing.OFF, "off", "Captions are not made by machine here."),
        (StageState.FAILED, "", "failed", "The captions could not be made."),
        (StageState.SKIPPED, hearing.NO_SOUND, "no-sound", "The recording has no sound."),
    ],
)
def test_why_there_are_no_captions_is_said(
    browser: Browser, api: Api, session: Session, made: Recording, state: StageState, why: str, word: str, sentence: str
) -> None:
    made.has_audio = why != hearing.NO_SOUND
    ended_with(session, made, state, why)
    assert sentence in check_page(browser.get(f"/recordings/{made.id}/manage"), made.title)
    assert api.call("GET", f"/recordings/{made.id}").json["caption_state"] == word


def test_the_button_makes_captions_again_and_the_page_says_so(
    browser: Browser, api: Api, session: Session, made: Recording
) -> None:
    manage = f"/recordings/{made.id}/manage"
    assert "Make the captions again" in check_page(browser.get(manage), made.title)
    assert browser.post(f"/recordings/{made.id}/captions/again").status_code == 302
    page = check_page(browser.get(manage), made.title)
    assert "The captions are being made again: 0%" in page
    assert "Make the captions again" not in page
    assert 'data-module="app-live"' not in page, "the recording is ready: nothing to wait for"
    assert api.call("GET", f"/recordings/{made.id}").json["caption_state"] == "making"
    assert browser.post(f"/recordings/{made.id}/captions/again").status_code == 409
    assert browser.post(f"/recordings/{made.id}/cancel").status_code == 302
    session.expire_all()
    assert made.state is RecordingState.READY
    assert "Make the captions again" in browser.get(manage).text


def test_what_became_of_new_captions_says_nothing_about_a_recording_that_is_restored(
    browser: Browser, session: Session, made: Recording
) -> None:
    made.watchable_at = clock.now()
    ended_with(session, made, StageState.SUCCEEDED)
    browser.post(f"/recordings/{made.id}/captions/again")
    browser.post(f"/recordings/{made.id}/cancel")
    assert browser.post(f"/recordings/{made.id}/withdraw").status_code == 302
    assert browser.post(f"/recordings/{made.id}/restore").status_code == 302
    session.expire_all()
    assert made.state is RecordingState.READY


def test_captions_again_over_the_api_also_in_another_language(api: Api, session: Session, made: Recording) -> None:
    path = f"/recordings/{made.id}/captions/again"
    for body in ({"language": "klingon"}, {"language": 3}):
        refused = api.call("POST", path, body)
        assert refused.status_code == 400
        assert "language" in refused.json["errors"]
    begun = api.call("POST", path, {"language": "cy"})
    assert begun.status_code == 202
    assert begun.json == {"id": str(made.id), "caption_state": "making", "language": "cy"}
    assert api.call("GET", f"/recordings/{made.id}").json["language"] == "cy"
    assert api.call("POST", path).status_code == 409
    session.expire_all()
    assert made.spoken_language == "cy"


def test_who_may_not_edit_may_not_make_captions_again(
    app: Flask, session: Session, there: Makers, made: Recording
) -> None:
    viewer = there.world.person("viewer@example.org", Role.VIEWER, "NEY")
    session.commit()
    assert Browser(app, viewer).post(f"/recordings/{made.id}/captions/again").status_code in (403, 404)


def test_the_language_spoken_is_chosen_with_the_details(
    browser: Browser, api: Api, session: Session, there: Makers, made: Recording
) -> None:
    edit, theme = f"/recordings/{made.id}/edit", there.case.terms[0].code
    assert "As usual here (English)" in check_page(browser.get(edit), "Details")
    fields = {"title": made.title, "themes": theme}
    assert browser.post(edit, {**fields, "language": "cy"}).status_code == 302
    assert "Welsh" in check_page(browser.get(f"/recordings/{made.id}/manage"), made.title)
    wrong = check_page(browser.post(edit, {**fields, "language": "klingon"}), "Details", 400)
    assert "Select a language" in wrong
    assert browser.post(edit, fields).status_code == 302
    session.expire_all()
    assert made.spoken_language == "cy", "a form that does not name it leaves it"


def test_the_language_spoken_is_chosen_with_an_upload(
    browser: Browser, api: Api, session: Session, there: Makers
) -> None:
    assert "Find it out from the sound" in browser.get(f"/recordings/new?case={there.case.id}").text
    opened = api.upload(there.case, b"0123456789", language="auto")
    assert session.get_one(Recording, opened["recording"]).spoken_language == "auto"
    wanted = {"case_id": str(there.case.id), "title": "T", "filename": "f.mp4", "size": 10, "language": "klingon"}
    assert api.call("POST", "/uploads", wanted).status_code == 400
