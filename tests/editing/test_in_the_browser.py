"""The editor in a real Chromium: a call corrected by keyboard alone, two people at once, a session that ends."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import delete

from app.captions.cues import lint
from app.captions.wer import word_error_rate
from app.db import db
from app.db.recordings import ArtefactKind
from app.db.sign_in import WebSession
from app.domain import caption_versions, sign_in
from app.media.commands import ffmpeg_path
from tests.editing.conftest import Desk
from tests.support.browser import Reports, axe, no_sideways_scroll, serving, wait_until

pytestmark = pytest.mark.browser
SPOKEN = (
    "Good morning, please sit down. I complained about the missed diagnosis. I am so sorry that nobody told you. "
    "Nobody answered my letters. We will write to you on Thursday."
)


@pytest.fixture(scope="module", name="browser")
def _browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue("chromium")
    return found


def film(folder: Path) -> bytes:
    """Twelve seconds of picture and sound, small."""
    file = folder / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=12", "-f", "lavfi", "-i", "sine=d=12"]
    coding = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-movflags",
        "+faststart",
    ]
    subprocess.run([ffmpeg_path(), "-loglevel", "error", *source, *coding, str(file)], check=True, timeout=60)
    return file.read_bytes()


@pytest.fixture
def address(app: Flask, desk: Desk) -> Iterator[str]:
    """The application behind a real socket."""
    with serving(app) as found:
        yield found


def context_of(browser: Browser, app: Flask, address: str, desk: Desk, name: str) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(20_000)
    with app.app_context():
        _, token = sign_in.open_session(db.session(), desk.people[name].id, "Chromium", timedelta(hours=1), proved=True)
        db.session.commit()
    cookie = app.session_interface.cookie  # type: ignore[attr-defined]
    context.add_cookies([{"name": cookie, "value": token, "url": address}])
    return context


def opened(page: Page, address: str, desk: Desk) -> Page:
    page.goto(f"{address}/recordings/{desk.recording.id}/captions/en")
    ready(page)
    return page


def ready(page: Page) -> None:
    wait_until(page, "document.querySelector('[data-module=app-captions]')?.dataset.ready === 'yes'")


def saved(page: Page) -> None:
    wait_until(page, "document.querySelector('[data-part=saved]').dataset.state === 'saved'")


def said(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('.app-cue [data-part=text]')].map(e => e.value)")
    return found


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement.closest('[role=group]')?.getAttribute('aria-label') ?? ''")
    return found


def put_word(page: Page, word: str, by: str) -> None:
    """Go to the word in the text that has the focus, and type another in its place: keys only."""
    text: str = page.evaluate("document.activeElement.value")
    at = text.index(word)
    page.keyboard.press("Control+Home")
    for _ in range(at):
        page.keyboard.press("ArrowRight")
    for _ in word:
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.type(by)


def test_a_call_is_corrected_to_zero_errors_by_keyboard_alone(
    app: Flask, desk: Desk, browser: Browser, address: str, tmp_path: Path
) -> None:
    desk.world.artefact(desk.storage, desk.recording, ArtefactKind.DOWNLOAD, film(tmp_path), media_type="video/mp4")
    desk.session.commit()
    assert word_error_rate(SPOKEN, " ".join(cue.text for cue in desk.draft.cues)) > 0
    context = context_of(browser, app, address, desk, "ann")
    page = context.new_page()
    reports = Reports(page)
    opened(page, address, desk)
    page.evaluate(
        "() => { for (const name of ['mousedown', 'pointerdown']) addEventListener(name, () => { window.moused = true; }, true); }"
    )
    # from the page's beginning to the first doubtful word
    page.keyboard.press("Tab")
    page.keyboard.press("Alt+n")
    assert focused(page).startswith("Caption 2,"), "the next after the first"
    put_word(page, "mist", "missed")
    page.keyboard.press("Alt+ArrowUp")
    assert focused(page).startswith("Caption 1,")
    put_word(page, "mourning", "morning")
    page.keyboard.press("Alt+r")
    page.keyboard.type("right")
    page.keyboard.press("Tab")
    page.keyboard.type("write")
    page.locator("[data-tool=replace-all]").focus()
    page.keyboard.press("Enter")
    assert "We will write to you on Thursday." in said(page)
    # split where the cursor is, join again, undo, redo
    page.locator("[data-part=text]").nth(2).focus()
    page.keyboard.press("Control+Home")
    for _ in "I am so sorry ":
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Alt+s")
    assert said(page)[2:4] == ["I am so sorry", "that nobody told you."]
    assert focused(page).startswith("Caption 4,")
    page.keyboard.press("Control+z")
    assert said(page)[2] == "I am so sorry that nobody told you."
    page.keyboard.press("Control+y")
    assert len(said(page)) == 6
    page.locator("[data-part=text]").nth(2).focus()
    page.keyboard.press("Alt+m")
    assert said(page)[2] == "I am so sorry\nthat nobody told you."
    page.keyboard.press("Alt+i")
    page.keyboard.type("Not said.")
    page.keyboard.press("Alt+Backspace")
    assert len(said(page)) == 5
    page.locator("[data-tool=fix]").focus()
    page.keyboard.press("Enter")
    wait_until(page, "document.querySelector('[data-part=said]').textContent.startsWith('Timing and lines')")
    # play and tick each in turn
    page.locator("[data-part=text]").first.focus()
    page.keyboard.press("Alt+p")
    wait_until(page, "document.querySelector('video').currentTime > 0.2")
    for _ in said(page):
        page.keyboard.press("Control+Enter")
    saved(page)
    assert page.locator("[data-part=progress-text]").inner_text() == "5 of 5 captions checked"
    assert page.locator("[data-part=problem-count]").inner_text() == "No problems"
    page.keyboard.press("Alt+h")
    assert page.locator("dialog[open] h2").inner_text() == "Keys"
    assert not axe(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Mark as checked and show to viewers").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".nhsuk-notification-banner, .nhsuk-panel, [role=alert]")
    assert "Viewers see them now" in page.locator("main").inner_text()
    ready(page)
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert not axe(page)
        assert no_sideways_scroll(page)
    assert page.evaluate("window.moused") is None
    assert not reports.csp
    assert not reports.errors
    context.close()
    track, draft = desk.track, desk.draft
    assert track.published_version == draft.number
    assert word_error_rate(SPOKEN, " ".join(cue.text for cue in draft.cues)) == 0
    assert [breach for breach in lint(draft.cues, duration=12) if not breach.warning] == []
    assert all(cue.checked for cue in draft.cues)


def test_two_browsers_at_once(app: Flask, desk: Desk, browser: Browser, address: str) -> None:
    contexts = [context_of(browser, app, address, desk, name) for name in ("ann", "bea")]
    ann, bea = (opened(context.new_page(), address, desk) for context in contexts)
    ann.locator("[data-part=text]").nth(0).fill("Good morning, please sit down.")
    ann.locator("[data-part=text]").nth(3).fill("Ann’s fourth.")
    saved(ann)
    bea.locator("[data-part=text]").nth(4).fill("We will write to you on Thursday.")
    bea.locator("[data-part=text]").nth(3).fill("Bea’s fourth.")
    bea.wait_for_selector("dialog[open]")
    assert "Ann saved these captions at" in bea.locator("dialog[open]").inner_text()
    assert not axe(bea)
    bea.get_by_role("button", name="Put both together").click()
    saved(bea)
    assert said(bea)[0] == "Good morning, please sit down."
    assert said(bea)[3:] == ["Bea’s fourth.", "We will write to you on Thursday."]
    assert "The other one has: “Ann’s fourth.”" in bea.locator(".app-cue").nth(3).inner_text()
    # and now Ann is the second: hers is kept as a version, whole
    ann.locator("[data-part=text]").nth(1).fill("Ann’s second.")
    ann.wait_for_selector("dialog[open]")
    ann.keyboard.press("Escape")
    assert "Not saved: choose first" in ann.locator("[data-part=saved]").inner_text()
    ann.get_by_role("button", name="Choose").click()
    ann.get_by_role("button", name="Keep mine as a new version").click()
    saved(ann)
    for context in contexts:
        context.close()
    kept = caption_versions.listing(desk.session, desk.track)
    assert [version.by for version in kept] == ["Ann", "Bea", "Ann", ""]
    words = {v.number: [c.text for c in caption_versions.cues_of(desk.session, desk.track, v.number)] for v in kept}
    assert words[4][1] == "Ann’s second."
    assert words[3][3:] == ["Bea’s fourth.", "We will write to you on Thursday."]
    assert words[2][3] == "Ann’s fourth."


def test_nothing_typed_is_lost_off_line_or_signed_out(app: Flask, desk: Desk, browser: Browser, address: str) -> None:
    context = context_of(browser, app, address, desk, "ann")
    page = opened(context.new_page(), address, desk)
    context.set_offline(True)
    page.locator("[data-part=text]").nth(0).fill("Typed off line.")
    wait_until(page, "document.querySelector('[data-part=saved]').dataset.state === 'failed'")
    assert "Your changes are kept here and sent again." in page.locator("[data-part=saved]").inner_text()
    context.set_offline(False)
    saved(page)
    assert desk.draft.cues[0].text == "Typed off line."
    # the session ends while somebody types
    desk.session.execute(delete(WebSession))
    desk.session.commit()
    page.locator("[data-part=text]").nth(1).fill("Typed when signed out.")
    wait_until(page, "document.querySelector('[data-part=saved]').dataset.state === 'ended'")
    assert desk.draft.cues[1].text != "Typed when signed out."
    page.get_by_role("link", name="Sign in again").click()
    page.wait_for_url(re.compile("/sign-in"))
    other = context_of(browser, app, address, desk, "ann")
    context.add_cookies(other.cookies())  # type: ignore[arg-type]
    opened(page, address, desk)
    saved(page)
    assert said(page)[:2] == ["Typed off line.", "Typed when signed out."]
    for one in (context, other):
        one.close()
    assert desk.draft.cues[1].text == "Typed when signed out."


def test_undoing_goes_by_steps_and_back(app: Flask, desk: Desk, browser: Browser, address: str) -> None:
    context = context_of(browser, app, address, desk, "ann")
    page = opened(context.new_page(), address, desk)
    first = page.locator("[data-part=text]").first
    before = said(page)
    first.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type(" And more")
    page.keyboard.press("Alt+t")
    page.keyboard.type("500")
    page.locator("[data-tool=shift-all]").click()
    assert page.locator("[data-part=start]").nth(1).input_value() == "0:02.500"
    start = page.locator("[data-part=start]").nth(1)
    start.fill("nonsense")
    start.press("Tab")
    assert start.input_value() == "0:02.500", "what is no time changes nothing"
    first.focus()
    page.keyboard.press("Control+z")
    assert page.locator("[data-part=start]").nth(1).input_value() == "0:02.000"
    assert said(page)[0].endswith("And more")
    page.keyboard.press("Control+z")
    assert said(page) == before
    page.keyboard.press("Control+z")
    assert "nothing to undo" in page.locator("[data-part=said]").inner_text()
    page.keyboard.press("Control+Shift+z")
    assert said(page)[0].endswith("And more")
    saved(page)
    assert desk.draft.cues[0].text.endswith("And more")
    context.close()


def test_the_sound_is_drawn_where_there_is_a_picture_of_it(
    app: Flask, desk: Desk, browser: Browser, address: str
) -> None:
    context = context_of(browser, app, address, desk, "ann")
    page = context.new_page()
    page.route(
        "**/peaks.json",
        lambda route: route.fulfill(
            json={"sample_rate": 8000, "samples_per_pixel": 4000, "length": 24, "data": [-64, 64] * 24}
        ),
    )
    opened(page, address, desk)
    assert page.locator("[data-part=wave]").is_hidden(), "this server has none"
    page.evaluate(
        """async () => {
          const { Wave } = await import(document.querySelector('script[src*="captions_editor"]').src.replace('editor', 'wave'));
          const root = document.querySelector('[data-module=app-captions]');
          const canvas = root.querySelector('canvas');
          const video = document.createElement('video');
          const wave = new Wave(canvas, video, '/peaks.json', () => root.vignetteEditor.cues);
          await wave.ready;
          window.inked = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((n) => n > 0);
        }"""
    )
    assert page.evaluate("window.inked")
    assert page.locator("[data-part=wave]").get_attribute("aria-hidden") == "true"
    assert not axe(page)
    context.close()
