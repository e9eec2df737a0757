"""The player and the transcript in a real Chromium, over a byte-range HLS ladder made for the test."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Reports, axe, no_sideways_scroll, wait_until

pytestmark = pytest.mark.browser

TIME = "document.querySelector('video').currentTime"


def open_watch(page: Page, base: str, query: str = "") -> None:
    page.goto(f"{base}/watch{query}")
    wait_until(page, "document.querySelector('#player').dataset.source !== undefined")
    wait_until(page, "document.querySelector('video').readyState >= 2")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Player").get_by_role("button", name=name, exact=True)


def play_past(page: Page, seconds: float) -> None:
    button(page, "Play").click()
    wait_until(page, f"{TIME} > {seconds}")


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Position")


def now(page: Page) -> float:
    return float(page.evaluate(TIME))


def test_it_plays_hls_with_sound_captions_and_no_complaint(page: Page, reports: Reports, base: str) -> None:
    open_watch(page, base)
    assert page.evaluate("document.querySelector('#player').dataset.source") == "hls"
    play_past(page, 1)
    expect(button(page, "Pause")).to_be_visible()
    captions = page.locator(".app-player__captions")
    expect(captions).to_have_text("Good morning, my name is Ann.")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.app-player__captions span')).backgroundColor")
        == "rgb(0, 0, 0)"
    )
    assert page.evaluate("[...document.querySelector('video').textTracks].map(t => t.mode)") == ["hidden"]
    wait_until(page, "document.querySelector('video').webkitAudioDecodedByteCount > 0")
    expect(page.get_by_label("Quality")).to_contain_text("Automatic (current: ")
    assert page.get_by_label("Quality").locator("option").count() == 3
    button(page, "Pause").click()
    assert reports.csp == []
    assert reports.errors == []
    assert reports.hosts == {base.removeprefix("http://")}


def test_the_slider_by_keyboard(page: Page, base: str) -> None:
    open_watch(page, base)
    seek = slider(page)
    seek.focus()
    expect(seek).to_have_attribute("aria-valuetext", "0 seconds of 20 seconds")
    for key, at in [
        ("ArrowRight", 5),
        ("ArrowUp", 10),
        ("ArrowLeft", 5),
        ("End", 20),
        ("PageDown", 0),
        ("PageUp", 20),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        wait_until(page, f"Math.abs({TIME} - {at}) < 0.3")
    page.keyboard.press("ArrowRight")
    expect(seek).to_have_attribute("aria-valuetext", "5 seconds of 20 seconds")
    preview = page.locator(".app-player__preview")
    expect(preview).to_be_visible()
    expect(preview).to_have_text("0:05")
    tile = "getComputedStyle(document.querySelector('.app-player__tile'))"
    assert page.evaluate(f"{tile}.backgroundPosition") == "-320px 0px"
    assert "storyboard.jpg" in page.evaluate(f"{tile}.backgroundImage")
    page.keyboard.press("Tab")
    expect(preview).to_be_hidden()


def test_no_single_letter_does_anything(page: Page, base: str) -> None:
    open_watch(page, base)
    slider(page).focus()
    for key in "kfmcjl ":
        page.keyboard.press(key)
    assert page.evaluate("document.querySelector('video').paused")
    assert page.evaluate("document.fullscreenElement") is None
    assert now(page) == 0


def test_choices_take_effect_and_are_remembered(page: Page, base: str) -> None:
    open_watch(page, base)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Speed").select_option("1.5")
    page.get_by_label("Caption size").select_option("largest")
    page.get_by_label("Caption colour").select_option("yellow")
    page.get_by_label("Quality").select_option(label="120p")
    play_past(page, 3.4)
    wait_until(page, "document.querySelector('video').videoHeight < 200")  # the larger rung has 240
    open_watch(page, base)
    assert page.evaluate("document.querySelector('video').playbackRate") == 1.5
    play_past(page, 0.6)
    captions = page.locator(".app-player__captions")
    expect(captions).to_have_attribute("data-size", "largest")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.app-player__captions span')).color")
        == "rgb(255, 255, 0)"
    )
    toggle = button(page, "Captions")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    expect(captions).to_be_hidden()
    open_watch(page, base)
    expect(button(page, "Captions")).to_have_attribute("aria-pressed", "false")


def test_spoilt_preferences_do_no_harm(page: Page, reports: Reports, base: str) -> None:
    page.add_init_script('localStorage.setItem(\'vignette.player\', \'{"speed": "fast", "size": 7, "captions"\')')
    open_watch(page, base)
    assert page.evaluate("document.querySelector('video').playbackRate") == 1
    assert reports.errors == []


def test_the_watermark_survives_full_screen_and_moves(page: Page, base: str) -> None:
    open_watch(page, base)
    mark = page.locator(".app-player__watermark")
    expect(mark).to_have_text("Sam Example · sam@example.org")
    button(page, "Full screen").click()
    wait_until(page, "document.fullscreenElement?.id === 'player'")
    assert page.evaluate("document.fullscreenElement.contains(document.querySelector('.app-player__watermark'))")
    expect(mark).to_be_in_viewport(ratio=1)
    expect(button(page, "Leave full screen")).to_be_in_viewport(ratio=1)
    corners = set()
    for _ in range(4):
        corners.add(mark.get_attribute("data-corner"))
        page.evaluate("document.querySelector('#player').vignettePlayer.moveWatermark()")
    assert corners == {"0", "1", "2", "3"}
    mark.evaluate("element => element.remove()")
    page.evaluate("document.querySelector('#player').vignettePlayer.moveWatermark()")
    expect(mark).to_be_visible()
    button(page, "Leave full screen").click()
    wait_until(page, "document.fullscreenElement === null")


def test_it_starts_where_asked_and_tells_where_it_was(app: Flask, page: Page, base: str) -> None:
    open_watch(page, base, "?t=7.5")
    wait_until(page, f"Math.abs({TIME} - 7.5) < 0.3")
    expect(page.locator(".app-player__chapters [aria-current]")).to_contain_text("Apology")
    play_past(page, 8.2)
    button(page, "Pause").click()
    positions: list[int] = app.extensions["positions"]
    expect(page.locator("[data-player-time]")).to_have_value(f"{now(page):.1f}")
    deadline = time.monotonic() + 10
    while not positions and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert positions[-1] == int(now(page))


def test_a_clip_is_a_window(app: Flask, page: Page, base: str) -> None:
    open_watch(page, base, "?t=5&end=6.5")
    expect(slider(page)).to_have_attribute("aria-valuetext", "0 seconds of 1 second")
    button(page, "Play").click()
    wait_until(page, "document.querySelector('[data-part=status]').textContent === 'End of the clip'")
    assert page.evaluate("document.querySelector('video').paused")
    assert abs(now(page) - 6.5) < 0.1
    slider(page).focus()
    page.keyboard.press("Home")
    wait_until(page, f"Math.abs({TIME} - 5) < 0.2")
    page.keyboard.press("ArrowLeft")
    wait_until(page, f"Math.abs({TIME} - 5) < 0.2")
    assert app.extensions["positions"] == []  # a clip in a material is not where I was in the recording


def test_without_a_playlist_the_small_file_plays(page: Page, reports: Reports, base: str) -> None:
    open_watch(page, base, "?mp4&t=3.5")
    assert page.evaluate("document.querySelector('#player').dataset.source") == "file"
    wait_until(page, f"Math.abs({TIME} - 3.5) < 0.3")
    play_past(page, 4)
    expect(page.locator(".app-player__captions")).to_have_text("Thank you for coming in today.")
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("Quality")).to_be_hidden()
    assert reports.csp == []


@pytest.mark.parametrize(
    ("status", "words", "link"),
    [(401, "Your session has ended", True), (404, "This recording is not available to you any more", False)],
)
@pytest.mark.parametrize("query", ["", "?mp4"])
def test_refused_media_is_explained(
    app: Flask, page: Page, base: str, status: int, words: str, link: bool, query: str
) -> None:
    app.config.update(MEDIA_STATUS=status, PLAYLIST_STATUS=status)
    page.goto(f"{base}/watch{query}")
    problem = page.get_by_role("alert").filter(has_text=words)
    problem.wait_for()
    expect(problem.get_by_role("button", name="Try again")).to_be_hidden()
    expect(problem.get_by_role("link", name="Sign in again")).to_be_visible(visible=link)
    assert axe(page) == []


def test_a_failing_service_can_be_tried_again(app: Flask, page: Page, base: str) -> None:
    app.config["PLAYLIST_STATUS"] = 400  # neither a refusal, nor worth trying again without being asked
    page.goto(f"{base}/watch")
    page.get_by_role("alert").filter(has_text="could not be played").wait_for()
    app.config["PLAYLIST_STATUS"] = 200
    page.get_by_role("button", name="Try again").click()
    wait_until(page, f"{TIME} > 0.3")
    expect(page.locator("[data-part=problem]")).to_be_hidden()


def test_revocation_bites_while_playing(app: Flask, page: Page, base: str) -> None:
    open_watch(page, base)
    app.config.update(MEDIA_STATUS=404, PLAYLIST_STATUS=404)
    # The test's recording is short enough to be buffered whole: forget it, as a long one would not have it yet.
    page.evaluate(
        "document.querySelector('#player').vignettePlayer.source.hls.trigger('hlsBufferFlushing', {startOffset: 0, endOffset: Infinity, type: null})"
    )
    slider(page).focus()
    page.keyboard.press("End")
    page.get_by_role("alert").filter(has_text="not available to you").wait_for()


@pytest.mark.parametrize(("width", "query"), [(1280, ""), (320, ""), (320, "?embed")])
def test_axe_and_reflow_in_every_state(page: Page, reports: Reports, base: str, width: int, query: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_watch(page, base, query)
    assert axe(page) == []
    play_past(page, 0.6)
    page.get_by_role("button", name="Chapters", exact=True).click()
    assert axe(page) == []
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Find in transcript").fill("sorry")
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    assert axe(page) == []
    assert no_sideways_scroll(page)
    small = page.evaluate(
        "[...document.querySelectorAll('.app-player button, .app-player select, .app-player input, .app-transcript button')]"
        ".filter(e => e.offsetParent && (e.offsetHeight < 44 || (e.tagName === 'BUTTON' && e.offsetWidth < 44))).map(e => e.outerHTML)"
    )
    assert small == []
    assert reports.csp == []
    assert reports.errors == []


def test_panels_close_by_escape_and_give_the_focus_back(page: Page, base: str) -> None:
    open_watch(page, base)
    settings = page.get_by_role("button", name="Settings")
    settings.click()
    expect(settings).to_have_attribute("aria-expanded", "true")
    page.get_by_label("Speed").focus()
    page.keyboard.press("Escape")
    expect(settings).to_have_attribute("aria-expanded", "false")
    expect(settings).to_be_focused()
    page.get_by_role("button", name="Chapters").click()
    page.get_by_role("button", name="Apology").click()
    wait_until(page, f"Math.abs({TIME} - 6.5) < 0.3")


# -- transcript --------------------------------------------------------------------------------------------------------


def current(page: Page) -> Any:
    return page.evaluate("document.querySelector('.app-transcript [aria-current]')?.dataset.start ?? null")


def test_the_transcript_follows_and_steers(page: Page, base: str) -> None:
    open_watch(page, base)
    page.get_by_role("button", name="We are sorry that nobody told you.").click()
    wait_until(page, f"Math.abs({TIME} - 13.5) < 0.3")
    wait_until(page, "document.querySelector('.app-transcript [aria-current]')?.dataset.start === '13.5'")
    slider(page).focus()
    page.keyboard.press("Home")
    play_past(page, 0.6)
    wait_until(page, "document.querySelector('.app-transcript [aria-current]')?.dataset.start === '0.5'")
    assert page.locator(".app-transcript [aria-current]").count() == 1


def test_the_transcript_follows_until_the_reader_scrolls(page: Page, base: str) -> None:
    open_watch(page, base)
    page.evaluate("document.querySelector('.app-transcript__cues').style.maxHeight = '90px'")
    cues = page.locator(".app-transcript__cues")
    slider(page).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    wait_until(page, "document.querySelector('.app-transcript__cues').scrollTop > 60")
    cues.hover()
    page.mouse.wheel(0, -500)
    follow = page.get_by_role("button", name="Follow the recording again")
    follow.wait_for()
    wait_until(page, "document.querySelector('.app-transcript__cues').scrollTop === 0")
    page.evaluate("document.querySelector('video').currentTime = 10")
    wait_until(page, "document.querySelector('.app-transcript [aria-current]')?.dataset.start === '9.5'")
    assert page.evaluate("document.querySelector('.app-transcript__cues').scrollTop") == 0
    follow.click()
    wait_until(page, "document.querySelector('.app-transcript__cues').scrollTop > 60")
    expect(follow).to_be_hidden()


def test_the_transcript_is_searched_without_reading_patterns(page: Page, base: str) -> None:
    open_watch(page, base)
    find, count = page.get_by_label("Find in transcript"), page.locator(".app-transcript__count")
    find.fill("SORRY")
    expect(count).to_have_text("2 matches")
    find.press("Enter")
    expect(count).to_have_text("1 of 2 matches")
    find.press("Enter")
    expect(count).to_have_text("2 of 2 matches")
    expect(page.locator("mark[data-current]")).to_have_count(1)
    find.press("Shift+Enter")
    expect(count).to_have_text("1 of 2 matches")
    find.fill("[door")
    expect(count).to_have_text("1 match")
    find.fill(".*")
    expect(count).to_have_text("No matches")
    find.fill("")
    expect(count).to_have_text("")
    assert page.locator(".app-transcript mark").count() == 0
    expect(page.get_by_role("button", name="I want to say sorry")).to_be_visible()
