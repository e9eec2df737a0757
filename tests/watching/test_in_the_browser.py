"""Watching in a real Chromium: it plays, captions show, the transcript follows and steers, and pages stay in order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import update
from sqlalchemy.orm import Session

from app import clock
from app.db import db
from app.db.grants import Grant
from app.db.people import Person
from app.db.recordings import WatchPosition
from app.domain import sign_in
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.support import browser as chromium
from tests.watching import film
from tests.watching.conftest import Scene

pytestmark = pytest.mark.browser
#: Where to leave pictures of the pages, for people to look at.
PICTURES = os.environ.get("VIGNETTE_TEST_PICTURES")


@pytest.fixture(scope="module", name="browser")
def _browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue("chromium")
    return found


@contextmanager
def at_work(settings: Settings, delivery: str) -> Iterator[tuple[Flask, str]]:
    """The application behind a real socket, and its address."""
    app = create_app(replace(settings, delivery=delivery))
    with chromium.serving(app) as address:
        yield app, address
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def sign_in_as(page: Page, app: Flask, address: str, person: Person) -> None:
    """Give the page a session, past the form."""
    with app.app_context():
        _, token = sign_in.open_session(db.session(), person.id, "chromium", timedelta(hours=1), proved=True)
        db.session.commit()
    cookie = app.session_interface.cookie  # type: ignore[attr-defined]
    page.context.add_cookies([{"name": cookie, "value": token, "url": address}])


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def put_in_order(page: Page, name: str) -> None:
    """Nothing for axe to find, and no scrolling sideways, wide and narrow."""
    for width, height in ((1280, 900), (320, 700)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(100)
        assert chromium.axe(page) == [], (name, width)
        assert chromium.no_sideways_scroll(page), (name, width)
        picture(page, f"{name}-{width}")
    page.set_viewport_size({"width": 1280, "height": 900})


VIDEO = "document.querySelector('video')"


@pytest.mark.parametrize("delivery", ["redirect", "proxy"])
def test_it_plays_with_captions_and_transcript(
    browser: Browser, settings: Settings, storage: Storage, session: Session, scene: Scene, delivery: str
) -> None:
    with at_work(settings, delivery) as (app, address):
        storage.allow_browser(address)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        reports = chromium.Reports(page)
        sign_in_as(page, app, address, scene.viewer)
        page.goto(f"{address}{scene.path}")
        # The page's own <source> may have a picture before the script has taken over: waited for, not looked at once.
        page.locator("[data-source=hls]").wait_for(state="attached")
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2")
        put_in_order(page, f"watch-first-{delivery}")
        page.get_by_role("button", name="I have read this").click()
        page.wait_for_url(f"{address}{scene.path}")
        assert page.get_by_role("button", name="I have read this").count() == 0
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2")
        page.get_by_role("button", name="Play", exact=True).click()
        chromium.wait_until(page, f"{VIDEO}.currentTime > 2.3")
        shown = page.locator("[data-part=captions-box]")
        assert "missed diagnosis" in shown.inner_text()
        chromium.wait_until(
            page, "document.querySelector('.app-transcript__cue[aria-current]')?.dataset.start === '2.0'"
        )
        page.get_by_role("button", name=re.compile("Nobody answered my letters")).click()
        chromium.wait_until(page, f"{VIDEO}.currentTime >= 7 && {VIDEO}.currentTime < 9")
        chromium.wait_until(page, "document.querySelector('[data-part=captions-box]').innerText.includes('letters')")
        page.get_by_role("button", name="Pause", exact=True).click()
        board = page.evaluate("fetch(document.querySelector('.app-player').dataset.storyboard).then(r => r.json())")
        assert board["count"] == 6
        put_in_order(page, f"watch-{delivery}")
        assert reports.csp == []
        assert reports.errors == []
        page.close()
        session.expire_all()
        kept = session.get(WatchPosition, (scene.viewer.id, scene.recording.id))
        assert kept is not None
        assert kept.position_ms >= 7000


def test_it_goes_on_where_one_was(browser: Browser, settings: Settings, session: Session, scene: Scene) -> None:
    with pytest.MonkeyPatch.context() as patch, at_work(settings, "proxy") as (app, address):
        patch.setattr("app.domain.watching.RESUME_BEFORE_END_MS", 1000)
        session.add(
            WatchPosition(
                person_id=scene.viewer.id, recording_id=scene.recording.id, position_ms=8000, updated_at=clock.now()
            )
        )
        session.commit()
        page = browser.new_page()
        sign_in_as(page, app, address, scene.viewer)
        page.goto(f"{address}/")
        page.get_by_role("link", name=scene.recording.title).click()
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime >= 7.9")
        page.goto(f"{address}{scene.path}")
        assert page.get_by_text("Continues from 0:08").count() == 1
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime >= 7.9")
        page.get_by_role("link", name="Start from the beginning").click()
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime < 1")
        page.goto(f"{address}{scene.path}?t=5")
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime >= 4.9")
        page.close()


def test_a_revoked_grant_stops_the_player(browser: Browser, settings: Settings, session: Session, scene: Scene) -> None:
    with at_work(settings, "proxy") as (app, address):
        page = browser.new_page()
        sign_in_as(page, app, address, scene.viewer)
        page.goto(f"{address}{scene.path}")
        chromium.wait_until(page, f"{VIDEO}.readyState >= 2")
        session.execute(update(Grant).values(revoked_at=clock.now()))
        session.commit()
        statuses = page.evaluate(
            """async (base) => Promise.all(["/master.m3u8", "/480p.m3u8", "/media/480p.mp4", "/captions/en.vtt"]
            .map(async (part) => (await fetch(base + part)).status))""",
            scene.path,
        )
        assert statuses == [404, 404, 404, 404]
        page.reload()
        assert "Page not found" in page.title()
        page.close()


def test_without_scripts_the_small_file_plays(browser: Browser, settings: Settings, scene: Scene) -> None:
    with at_work(settings, "proxy") as (app, address):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        sign_in_as(page, app, address, scene.viewer)
        page.goto(f"{address}{scene.path}?t=5")
        assert page.locator("video[controls] source").get_attribute("src") == f"{scene.path}/video.mp4#t=5"
        assert page.get_by_text("I am so sorry that nobody told you.").is_visible()
        assert page.get_by_role("link", name="0:04 Apology <b>").get_attribute("href") == f"{scene.path}?t=4"
        picture(page, "watch-no-scripts-1280")
        for group in page.get_by_role("group").filter(has=page.get_by_role("radio")).all():
            group.get_by_role("radio").nth(4).check()
        page.get_by_role("button", name="Save scores").click()
        assert page.get_by_text("Your scores have been saved").is_visible()
        assert page.get_by_role("radio", checked=True).count() == 5
        context.close()


def test_the_other_pages_are_in_order(
    browser: Browser, settings: Settings, session: Session, storage: Storage, scene: Scene, reel: film.Reel
) -> None:
    second = scene.world.recording(title="Asking for more time", published=True, case=scene.world.case("Rota gaps"))
    scene.world.grant(second, area="NEY")
    reel.lend(session, second)
    film.caption(session, storage, second)
    third = scene.world.recording(
        scene.world.case("A hard talk", content_notice="Speaks of the death of a child."), title="Breaking bad news",
        published=True,
    )  # fmt: skip
    scene.world.grant(third, area="NEY")
    scene.world.recording(title="Not yet published", owner_id=scene.maker.id)
    scene.world.case("An old case", review_on=clock.now().date() - timedelta(days=3))
    session.add(
        WatchPosition(person_id=scene.maker.id, recording_id=second.id, position_ms=6000, updated_at=clock.now())
    )
    second.duration_ms = 600_000
    session.commit()
    with at_work(settings, "proxy") as (app, address):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        reports = chromium.Reports(page)
        sign_in_as(page, app, address, scene.maker)
        for name, path in (
            ("home", "/"),
            ("library", "/library"),
            ("library-found", "/library?q=missed+diagnosis&drafts=yes"),
            ("library-nothing", "/library?q=zebra"),
            ("watch-note", f"/recordings/{third.id}"),
            ("watch-draft", f"/recordings/{third.id}?shown=yes"),
            ("scores-few", f"{scene.path}/evaluation"),
        ):
            page.goto(f"{address}{path}")
            put_in_order(page, name)
        page.goto(f"{address}{scene.path}")
        page.get_by_role("button", name="Save scores").click()
        assert page.get_by_role("alert").get_by_role("link").count() == 5
        put_in_order(page, "watch-errors")
        page.get_by_role("alert").get_by_role("link").first.click()
        assert page.evaluate("document.activeElement.type") == "radio"
        page.emulate_media(media="print")
        page.goto(f"{address}{scene.path}")
        assert page.get_by_text("I am so sorry that nobody told you.").is_visible()
        assert not page.locator(".app-player").is_visible()
        picture(page, "watch-print")
        assert reports.csp == []
        assert reports.errors == []
        page.close()


def test_the_transcript_gives_links_and_prints_whose_copy_it_is(
    settings: Settings, session: Session, storage: Storage, scene: Scene, browser: Browser
) -> None:
    urdu = [(0, 2_000, "", "مجھے افسوس ہے"), (6_000, 8_000, "", "آپ کا شکریہ")]
    film.caption(session, storage, scene.recording, urdu, language="ur")
    session.commit()
    with at_work(settings, "proxy") as (app, address):
        page = browser.new_page(locale="en-GB")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        sign_in_as(page, app, address, scene.viewer)
        page.goto(f"{address}{scene.path}/transcript?language=ur")
        page.get_by_role("button", name="Copy link to 0:06").click()
        chromium.wait_until(page, "document.querySelector('[data-part=copied]').textContent")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{settings.base_url}{scene.path}?t=6"
        page.emulate_media(media="print")
        mark = page.locator(".app-reading__mark")
        assert mark.is_visible() and "viewer@example.org" in mark.inner_text()
        assert page.get_by_text("Printed by Vera Viewer").is_visible()
        assert page.get_by_text("Confidential. This case is real").is_visible()
        assert not page.get_by_role("button", name="Find").is_visible()
        picture(page, "transcript-printed")
        page.emulate_media(media="screen")
        page.goto(f"{address}{scene.path}?shown=yes")
        chosen = page.locator("[data-part=language]")
        assert chosen.locator("option").all_inner_texts() == ["English", "اردو (Urdu)"]
        page.close()
