"""Uploading in a real Chromium, through both doors: what the form says arrives with the file."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import db
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.domain import sign_in
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.ingest.support import MIB, makers
from tests.support import browser as chromium

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", name="browser")
def _browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue("chromium")
    return found


@pytest.mark.parametrize("door", ["redirect", "proxy"])
def test_upload_from_the_page(
    browser: Browser, settings: Settings, session: Session, storage: Storage, tmp_path: Path, door: str
) -> None:
    there = makers(session)
    film = tmp_path / "the night shift.mp4"
    film.write_bytes(os.urandom(9 * MIB))
    app = create_app(replace(settings, delivery=door))
    with chromium.serving(app) as address:
        storage.allow_browser(address)
        with app.app_context():
            _, token = sign_in.open_session(db.session(), there.person.id, "chromium", timedelta(hours=1), proved=True)
            db.session.commit()
        page: Page = browser.new_page()
        reports = chromium.Reports(page)
        cookie = app.session_interface.cookie  # type: ignore[attr-defined]
        page.context.add_cookies([{"name": cookie, "value": token, "url": address}])
        page.goto(f"{address}/recordings/new?case={there.case.id}")
        page.get_by_label("Title").fill("Night shift, first try")
        page.get_by_label(there.case.terms[1].name).uncheck()
        page.get_by_label("Date of filming (optional)").fill("2026-03-31")
        page.get_by_label("Description (optional)").fill("The handover.")
        page.get_by_label("Video file").set_input_files(film)
        page.get_by_role("button", name="Start upload").click()
        expect(page.get_by_role("link", name="Go to the recording")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Go to the recording").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Night shift, first try")
        expect(page.locator('[data-module="app-live"]')).to_be_visible()
        assert reports.csp == []
        assert reports.errors == []
        page.context.close()
    recording = session.scalars(select(Recording)).one()
    assert recording.state is RecordingState.PROCESSING
    assert [term.id for term in recording.terms] == [there.case.terms[0].id]
    assert (str(recording.recorded_on), recording.description) == ("2026-03-31", "The handover.")
    source = session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.SOURCE)).one()
    assert storage.get_bytes(source.key) == film.read_bytes()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
