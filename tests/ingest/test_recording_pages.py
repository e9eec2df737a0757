"""Makers' pages of recordings: the list, the task list, details, chapters, buttons, deleting, the upload page."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.db.people import Role
from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import chapters
from app.errors import Invalid
from app.storage import keys
from app.storage.s3 import Storage
from tests.ingest.support import Api, Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def browser(app: Flask, there: Makers) -> Browser:
    return Browser(app, there.person)


def recording(there: Makers, **columns: object) -> Recording:
    made: Recording = there.world.recording(there.case, **{"owner_id": there.person.id, **columns})  # type: ignore[arg-type]
    there.world.session.commit()
    return made


def test_my_recordings(browser: Browser, there: Makers) -> None:
    assert "Upload your first recording" in check_page(browser.get("/recordings/mine"), "My recordings")
    recording(there, title="First & <best>", state=RecordingState.FAILED, reason="The sound could not be read.")
    recording(there, title="Second", published=True)
    there.world.recording(there.case, title="Not mine")
    there.world.session.commit()
    page = check_page(browser.get("/recordings/mine?sort=title"), "My recordings")
    assert "First &amp; &lt;best&gt;" in page
    assert "The sound could not be read." in page
    assert "Published" in page
    assert "Not mine" not in page
    failed = browser.get("/recordings/mine?state=failed").text
    assert "First" in failed
    assert "Second" not in failed
    assert "No recordings in this state" in browser.get("/recordings/mine?state=withdrawn").text


@pytest.mark.parametrize("state", list(RecordingState))
def test_manage_page_in_each_state(browser: Browser, there: Makers, session: Session, state: RecordingState) -> None:
    made = recording(there, state=state, reason="A reason." if state in ("failed", "rejected") else "")
    page = check_page(browser.get(f"/recordings/{made.id}/manage"), made.title)
    assert ("A reason." in page) == (state in ("failed", "rejected"))
    assert ("Choose another file" in page) == (state == "rejected")
    assert ("Withdraw the recording" in page) == (state == "ready")
    assert ("Restore the recording" in page) == (state == "withdrawn")


def test_retry_and_cancel(browser: Browser, there: Makers, session: Session, storage: Storage) -> None:
    made = recording(there, state=RecordingState.PROCESSING)
    there.world.artefact(storage, made, ArtefactKind.SOURCE, b"file")
    run = Run(recording_id=made.id, workflow="ingest", state=RunState.RUNNING)
    session.add(run)
    session.flush()
    session.add(StageRun(run_id=run.id, stage="probe", position=0, state=StageState.QUEUED))
    session.commit()
    page = check_page(browser.get(f"/recordings/{made.id}/manage"), made.title)
    assert 'data-module="app-live"' in page
    assert "Checking the file" in page
    assert browser.post(f"/recordings/{made.id}/cancel").status_code == 302
    session.expire_all()
    assert run.state is RunState.CANCELLED
    assert browser.post(f"/recordings/{made.id}/cancel").status_code == 409
    assert "Try again" in browser.get(f"/recordings/{made.id}/manage").text
    assert browser.post(f"/recordings/{made.id}/retry").status_code == 302
    session.expire_all()
    assert run.state is RunState.RUNNING
    assert made.state is RecordingState.PROCESSING


def test_details(browser: Browser, there: Makers, session: Session) -> None:
    made = recording(there, terms=there.case.terms[:1])
    edit = f"/recordings/{made.id}/edit"
    check_page(browser.get(edit), "Details and themes - My recordings")
    wrong = check_page(browser.post(edit, {"title": " ", "recorded_on": "x"}), "Details", 400)
    assert "Enter a title" in wrong
    theme = there.case.terms[1].code
    done = browser.post(edit, {"title": "New", "themes": theme, "recorded_on": "2026-03-31", "description": "D"})
    assert done.status_code == 302
    session.expire_all()
    assert (made.title, made.description, str(made.recorded_on)) == ("New", "D", "2026-03-31")
    assert [term.code for term in made.terms] == [theme]


def test_chapters_page(browser: Browser, there: Makers, session: Session) -> None:
    made = recording(there, duration_ms=120_000)
    path = f"/recordings/{made.id}/chapters"
    assert browser.post(path, {"chapters": "0:00 Start\r\n\r\n1:30 The <end>"}).status_code == 302
    session.expire_all()
    assert [(c.start_ms, c.title) for c in made.chapters] == [(0, "Start"), (90_000, "The <end>")]
    assert "1:30 The &lt;end&gt;" in check_page(browser.get(path), "Chapters")
    wrong = check_page(browser.post(path, {"chapters": "0:00 Start\n2:00 Late"}), "Chapters", 400)
    assert "Line 2 starts after the end of the recording" in wrong
    assert browser.post(path, {"chapters": ""}).status_code == 302
    session.expire_all()
    assert made.chapters == []


@pytest.mark.parametrize(
    "text", ["x", "1:2 a", "0:60 a", "1:60:00 a", "0:01", "-1:00 a", "0:01 a\n0:01 b", f"0:01 {'x' * 201}"]
)
def test_lines_that_are_no_chapters(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        chapters.parse(text)
    assert "chapters" in caught.value.fields


TITLES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(st.dictionaries(st.integers(0, 99 * 3600), TITLES, max_size=20))
def test_chapters_are_read_as_written(wanted: dict[int, str]) -> None:
    rows = sorted((start * 1000, title) for start, title in wanted.items() if start < 100 * 3600)
    assert chapters.parse(chapters.written(rows)) == rows


def test_withdraw_and_restore(app: Flask, browser: Browser, there: Makers, session: Session) -> None:
    made = recording(there, published=True)
    there.world.grant(made, area="NEY")
    viewer = there.world.person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    watch = f"/api/v1/recordings/{made.id}"
    assert Browser(app, viewer).get(watch).status_code == 200
    assert browser.post(f"/recordings/{made.id}/withdraw").status_code == 302
    assert Browser(app, viewer).get(watch).status_code == 404
    assert browser.get(watch).json["state"] == "withdrawn"
    assert browser.post(f"/recordings/{made.id}/restore").status_code == 302
    assert Browser(app, viewer).get(watch).status_code == 200
    assert browser.post(f"/recordings/{made.id}/restore").status_code == 409


def test_delete_a_draft(browser: Browser, there: Makers, session: Session, storage: Storage) -> None:
    made = recording(there)
    there.world.artefact(storage, made, ArtefactKind.SOURCE, b"file")
    session.commit()
    path, prefix = f"/recordings/{made.id}/delete", keys.recording_prefix(made.id)
    check_page(browser.get(path), "Delete recording")
    assert list(storage.objects(prefix))
    assert browser.post(path).status_code == 302
    assert list(storage.objects(prefix)) == []
    session.expire_all()
    assert session.scalar(select(func.count()).select_from(Recording)) == 0


def test_what_is_published_or_processed_is_not_deleted(browser: Browser, there: Makers, session: Session) -> None:
    shown, busy = recording(there, published=True), recording(there, state=RecordingState.PROCESSING)
    session.add(Run(recording_id=busy.id, workflow="ingest", state=RunState.RUNNING))
    session.commit()
    for made in (shown, busy):
        assert "cannot be deleted" in check_page(browser.get(f"/recordings/{made.id}/delete"), "Delete recording")
        assert browser.post(f"/recordings/{made.id}/delete").status_code == 409


def test_upload_page(app: Flask, browser: Browser, there: Makers, session: Session) -> None:
    page = check_page(browser.get("/recordings/new"), "Upload a recording - My recordings")
    assert "Which case is it of?" in page
    page = check_page(browser.get(f"/recordings/new?case={there.case.id}"), "Upload a recording")
    for theme in there.case.terms:
        assert f'value="{theme.code}" checked' in page
    assert page.count(" checked") == len(there.case.terms)
    api = Api(app, there.world.token(there.person, "all"))
    session.commit()
    upload = api.upload(there.case, b"abc", filename='"><img src=x onerror=alert(1)>.mp4')
    page = check_page(browser.get(f"/recordings/new?case={there.case.id}"), "Upload a recording")
    assert f'data-upload="{upload["id"]}"' in page
    assert "<img src=x" not in page
    check_page(browser.get(f"/recordings/{upload['recording']}/manage"), "Night shift")
    assert browser.post(f"/uploads/{upload['id']}/cancel").status_code == 302
    assert f'data-upload="{upload["id"]}"' not in browser.get(f"/recordings/new?case={there.case.id}").text


def test_upload_page_for_a_rejected_recording(browser: Browser, there: Makers) -> None:
    made = recording(there, state=RecordingState.REJECTED, title="Again")
    page = check_page(browser.get(f"/recordings/new?recording={made.id}"), "Choose another file")
    assert f'name="recording_id" value="{made.id}"' in page
    assert browser.get(f"/recordings/new?recording={uuid.uuid4()}").status_code == 404


def test_makers_pages_are_closed_to_others(app: Flask, there: Makers, session: Session) -> None:
    made = recording(there, published=True)
    there.world.grant(made, area="ENG")
    people = (
        there.world.person("v@example.org", Role.VIEWER, "NEY"),
        there.world.person("f@example.org", Role.FACILITATOR, "SW"),
    )
    hidden = recording(there)
    viewer, outsider = (Browser(app, person) for person in people)
    for page in ("manage", "edit", "chapters", "delete", "share"):
        assert viewer.get(f"/recordings/{made.id}/{page}").status_code == 403
        assert outsider.get(f"/recordings/{made.id}/{page}").status_code == 403
        assert outsider.get(f"/recordings/{hidden.id}/{page}").status_code == 404
    for path in ("/recordings/mine", "/recordings/new"):
        assert viewer.get(path).status_code == 403


def test_owner_who_is_no_maker_any_more(app: Flask, there: Makers, session: Session) -> None:
    made = recording(there)
    for role in there.person.roles:
        role.ends_at = clock.now() - timedelta(seconds=1)
    session.commit()
    assert Browser(app, there.person).get(f"/recordings/{made.id}/manage").status_code == 404
