"""Layout, components and error pages: what is in them, and what a browser and axe say of them."""

from __future__ import annotations

import re

import pytest
from flask import Flask, render_template_string
from playwright.sync_api import Browser, Page

from tests.frontend.harness import make_app
from tests.support.browser import Reports, axe, no_sideways_scroll, serving, sideways_overflow, wait_until

WIDTHS = [1280, 320]
PAGES = ["/page/components", "/page/errors", "/page/flash", "/page/live", "/upload", "/error/404", "/error/503"]


def fetch(app: Flask, path: str) -> str:
    return app.test_client().get(path).text


def test_titles_language_and_order(app: Flask) -> None:
    html = fetch(app, "/page/components")
    assert '<html lang="en-GB">' in html
    assert "<title>Components - Library - Vignette</title>" in html
    body = html[html.index("<body") :]
    first_link = re.search(r"<a\b[^>]*>", body)
    assert first_link is not None
    assert 'href="#maincontent"' in first_link[0]


def test_a_failed_form_says_so_in_title_and_summary(app: Flask) -> None:
    html = fetch(app, "/page/errors")
    assert "<title>Error: Details - My recordings - Vignette</title>" in html
    for field, sentence in (("title", "Enter a title"), ("clear", "Select how clear the explanation was")):
        assert re.search(rf'<a href="#{field}"\s*>\s*{sentence}', html)
        assert f'id="{field}"' in html


def test_brand_decides_on_the_logo() -> None:
    plain, nhs, organisation = (fetch(make_app(brand), "/page/flash") for brand in ("plain", "nhs", "organisation"))
    assert "nhsuk-header__logo" not in plain
    assert "nhsuk-header__logo" in nhs
    assert "nhsuk-header__logo" not in organisation
    assert "Northmoor Teaching Hospitals" in organisation
    assert "Northmoor" not in plain
    for html in (plain, nhs, organisation):
        assert "Sign out" in html
        assert 'value="token-for-tests"' in html


def test_user_text_is_never_markup(app: Flask) -> None:
    evil = "<img src=x onerror=alert(1)>"
    template = """
      {% from "components/error_summary.html" import error_summary %}{{ error_summary({"a": evil}) }}
      {% from "components/task_list.html" import task_list %}{{ task_list([{"text": evil, "hint": evil, "state": evil}]) }}
      {% from "components/recording_card.html" import recording_card %}
      {{ recording_card({"title": evil, "href": "/", "case": evil, "notes": [evil], "hits": [{"at": 1, "href": "/", "parts": [{"text": evil, "match": true}]}]}) }}
      {% from "components/transcript.html" import transcript %}{{ transcript("p", [{"start": 0, "end": 1, "text": evil, "speaker": evil}]) }}
      {% from "components/rating.html" import rating %}{{ rating("q", evil, evil, evil, error=evil, hint=evil) }}
      {% from "components/filters.html" import filters %}{{ filters("/", [{"name": "a", "legend": evil, "items": [{"value": evil, "text": evil}]}], query=evil, hidden={"x": evil}) }}
      {% from "components/empty_state.html" import empty_state %}{{ empty_state(evil, evil) }}
      {% from "components/case_notice.html" import case_notice %}{{ case_notice(evil) }}
      {% from "components/messages.html" import messages %}{{ messages([("message", evil)]) }}
      {% from "components/progress.html" import progress %}{{ progress([{"name": evil, "title": evil, "state": evil}]) }}
      {% from "components/player.html" import player %}{{ player({"id": "p", "title": evil, "watermark": evil, "chapters": [{"start": 0, "title": evil}]}) }}
      {% from "components/upload.html" import upload %}{{ upload(1, [{"id": "1", "filename": evil, "title": evil, "size": 1, "sent": 0, "last_modified": 1}]) }}
    """
    with app.test_request_context():
        html = render_template_string(template, evil=evil)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") > 20


def test_error_pages_are_the_same_for_the_same_input(app: Flask) -> None:
    client = app.test_client()
    client.get("/page/flash")  # leaves nothing behind that an error page could show
    pages = [client.get(f"/error/404?session_ends=2026-11-23T20:0{n}:00Z").data for n in range(3)]
    assert len(set(pages)) == 1
    assert b"csrf" not in pages[0]
    assert b"session-ends" not in pages[0]
    assert b"reference" not in pages[0]
    assert b"<code>abc</code>" in client.get("/error/500?id=abc").data


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 429, 500, 503])
def test_every_error_says_what_to_do(app: Flask, status: int) -> None:
    html = fetch(app, f"/error/{status}")
    main = html[html.index("<main") : html.index("</main>")]
    assert main.count("<h1>") == 1
    assert len(re.findall(r"<p>[^<]{20,}</p>", main)) == 2


def test_an_unknown_state_is_shown_as_written(app: Flask) -> None:
    with app.test_request_context():
        html = render_template_string(
            '{% from "components/status_tag.html" import status_tag %}{{ status_tag("very_odd") }}{{ status_tag("live") }}'
        )
    assert "Very odd" in html
    assert "nhsuk-tag--green" in html


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
def test_pages_pass_axe_reflow_and_policy(page: Page, reports: Reports, base: str, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(base + path)
    wait_until(page, "document.body.classList.contains('nhsuk-frontend-supported')")
    assert axe(page) == []
    assert no_sideways_scroll(page), sideways_overflow(page)
    assert page.locator("h1").count() == 1
    assert reports.csp == []
    assert reports.errors == []
    assert reports.hosts == {base.removeprefix("http://")}


@pytest.mark.browser
@pytest.mark.parametrize("brand", ["nhs", "organisation"])
@pytest.mark.parametrize("width", WIDTHS)
def test_brands_pass_axe_and_reflow(page: Page, brand: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    with serving(make_app(brand)) as base:  # type: ignore[arg-type]
        page.goto(base + "/page/flash")
        assert axe(page) == []
        assert no_sideways_scroll(page)


@pytest.mark.browser
def test_text_at_twice_its_size_still_reflows(page: Page, base: str) -> None:
    page.set_viewport_size({"width": 640, "height": 800})
    page.goto(base + "/page/components")
    wait_until(page, "document.body.classList.contains('nhsuk-frontend-supported')")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    wait_until(page, "document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.browser
def test_the_skip_link_is_the_first_stop_and_leads_to_main(page: Page, base: str) -> None:
    page.goto(base + "/page/components")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "maincontent"


@pytest.mark.browser
def test_pages_make_sense_without_scripts(chromium: Browser, base: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base + "/page/components")
    assert page.get_by_role("button", name="Apply filters").is_visible()
    page.goto(base + "/upload")
    assert page.get_by_text("Uploading needs scripts").is_visible()
    page.goto(base + "/watch")
    assert page.locator("video").get_attribute("controls") is not None
    assert page.locator("[data-part=bar]").is_hidden()
    assert page.get_by_text("Thank you for coming in today.").is_visible()
    context.close()


@pytest.mark.browser
def test_progress_follows_the_recording_and_stops(app: Flask, page: Page, reports: Reports, base: str) -> None:
    page.clock.install()
    page.goto(base + "/page/live")
    wait_until(page, "document.querySelector('[data-live=percent]').textContent === '5%'")
    state = app.extensions["recording"]
    state["stages"] = [s | {"state": "done"} for s in state["stages"]]
    state["stages"].append({"name": "stills", "label": "Previews", "state": "failed"})
    state |= {"progress": 1, "state": "ready"}
    page.clock.run_for(2500)
    page.get_by_text("The recording is ready.").first.wait_for()
    assert page.locator("[data-live=percent]").inner_text() == "100%"
    assert page.locator("[data-stage=transcribe]").inner_text().split("\n")[-1].strip().endswith("Done")
    assert page.locator("[data-stage=stills]").inner_text().split() == ["Previews", "Failed"]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(10_000)
    assert asked == []
    assert axe(page) == []
    assert reports.errors == []


@pytest.mark.browser
def test_the_session_warning_comes_two_minutes_ahead_and_renews(page: Page, reports: Reports, base: str) -> None:
    page.clock.install(time="2026-11-23T20:00:00Z")
    page.goto(base + "/page/errors?session_ends=2026-11-23T20:10:00Z")
    wait_until(page, "document.querySelector('dialog') !== null")
    page.get_by_label("Title").fill("typed before the warning")
    page.clock.run_for(7 * 60_000 + 45_000)  # the clock also runs by itself
    assert page.get_by_role("dialog").count() == 0
    page.clock.run_for(16_000)
    dialog = page.get_by_role("dialog", name="You will soon be signed out")
    dialog.wait_for()
    assert axe(page) == []
    dialog.get_by_role("button", name="Stay signed in").click()
    dialog.wait_for(state="hidden")
    assert page.get_by_label("Title").input_value() == "typed before the warning"
    assert page.evaluate("document.querySelector('meta[name=session-ends]').content") == "2099-01-01T00:00:00Z"
    assert reports.csp == []
