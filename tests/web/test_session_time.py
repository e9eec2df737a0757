"""Idle and absolute end of a session: what puts it off, what does not, and that nothing typed is lost by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import clock
from app.db.cases import Case
from app.db.people import Person, Role
from app.db.sign_in import WebSession
from app.domain import passwords
from app.settings import Settings
from tests.factors.support import add_app, after_password
from tests.support.browser import Reports, axe, serving, wait_until
from tests.support.world import PASSWORD, Browser, World

HALF = timedelta(minutes=30)


@pytest.fixture
def person(session: Session) -> Person:
    made: Person = World(session).person(
        "maker@example.org", Role.FACILITATOR, "NEY", password_hash=passwords.hashed(PASSWORD)
    )
    session.commit()
    return made


def back_date(session: Session, by: timedelta) -> datetime:
    """As if the session had last been used so long ago. Returns when that was."""
    session.rollback()
    seen = clock.now() - by
    session.execute(update(WebSession).values(seen_at=seen))
    session.commit()
    return seen


def seen_at(session: Session) -> datetime:
    session.rollback()
    return session.scalars(select(WebSession.seen_at)).one()


def test_pages_and_playing_put_the_end_off_and_polling_does_not(app: Flask, session: Session, person: Person) -> None:
    world = World(session)
    recording = world.recording(owner_id=person.id, published=True)
    session.commit()
    browser = Browser(app, person)
    token = {"X-CSRF-Token": browser.form_token()}
    polls = [f"/api/v1/recordings/{recording.id}", "/api/v1/session", "/api/v1/search?q=x", "/healthz"]
    for path in polls:
        before = back_date(session, HALF)
        assert browser.get(path).status_code == 200, path
        assert seen_at(session) == before, f"{path} kept the session alive"
    for method, path, body in (
        ("GET", "/cases/", None),
        ("GET", f"/recordings/{recording.id}/master.m3u8", None),
        ("POST", f"/api/v1/recordings/{recording.id}/position", {"seconds": 3}),
        ("POST", "/api/v1/session", None),
    ):
        before = back_date(session, HALF)
        browser.client.open(path, method=method, json=body, headers=token)
        assert seen_at(session) > before + HALF - timedelta(minutes=1), path


def test_what_the_page_says_is_when_the_server_ends_it(app: Flask, session: Session, person: Person) -> None:
    browser = Browser(app, person)
    browser.form_token()  # the first page with a form writes its token into the session
    idle = app.session_interface.idle  # type: ignore[attr-defined]
    for ago in (timedelta(seconds=40), HALF):
        back_date(session, ago)
        shown = re.search(r'name="session-ends" content="([^"]+)"', browser.get("/cases/").text)
        assert shown
        early = seen_at(session) + idle - datetime.fromisoformat(shown[1])
        assert timedelta(seconds=-1) < early < timedelta(minutes=1), "it never promises more than the server keeps"
    back_date(session, HALF)
    asked = browser.get("/api/v1/session").json
    assert asked is not None
    assert abs(datetime.fromisoformat(asked["ends"]) - (seen_at(session) + idle)) < timedelta(seconds=2)


def test_the_absolute_end_is_never_put_off(app: Flask, session: Session, person: Person) -> None:
    browser = Browser(app, person)
    ends = clock.now() + timedelta(minutes=5)
    session.rollback()
    session.execute(update(WebSession).values(expires_at=ends))
    session.commit()
    answer = browser.send("POST", "/api/v1/session")
    assert datetime.fromisoformat(answer.json["ends"]) <= ends
    session.execute(update(WebSession).values(expires_at=clock.now()))
    session.commit()
    assert browser.get("/api/v1/session").status_code == 401


@pytest.mark.parametrize("has_one", [True, False])
def test_before_the_second_factor_one_can_stay_signed_in(
    app: Flask, session: Session, settings: Settings, has_one: bool
) -> None:
    admin = World(session).person("ada@example.org", Role.ADMIN, "NEY")
    session.commit()
    if has_one:
        add_app(session, settings.secret_key, admin)
    browser = after_password(app, admin)
    page = browser.get("/account/prove", follow_redirects=True).text
    assert 'name="session-ends"' in page, "the warning is offered there"
    token = {"X-CSRF-Token": browser.form_token()}
    before = back_date(session, HALF)
    assert browser.get("/api/v1/session").status_code == 200
    assert seen_at(session) == before
    assert browser.client.post("/api/v1/session", headers=token).status_code == 200
    assert seen_at(session) > before + HALF - timedelta(minutes=1)
    assert browser.get("/library").location.startswith("/account/prove"), "it opens nothing else"


def test_a_form_sent_into_a_dead_session_leads_to_sign_in_and_back(
    app: Flask, session: Session, person: Person
) -> None:
    browser = Browser(app, person)
    token = browser.form_token()
    session.rollback()
    session.execute(delete(WebSession))
    session.commit()
    for referrer, back in (
        ("http://localhost/cases/new?x=1", "/cases/new?x=1"),
        ("https://evil.example//evil.example/x", "/"),
        ("", "/"),
    ):
        answer = browser.client.post(
            "/cases/new", data={"csrf_token": token, "title": "typed"}, headers={"Referer": referrer}
        )
        assert answer.status_code == 302
        path, _, query = answer.location.partition("?")
        assert (path, parse_qs(query)["next"]) == ("/sign-in", [back])
    assert Browser(app).client.post("/cases/new", data={}).status_code == 400, "a visitor had no session"


# -- in a real browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tab(app: Flask, chromium: Chromium, person: Person) -> Iterator[tuple[Page, str]]:
    with serving(app) as address:
        context = chromium.new_context(locale="en-GB")
        context.set_default_timeout(15_000)
        page = context.new_page()
        sign_in(page, address, "/cases/new")
        yield page, address
        context.close()


def sign_in(page: Page, address: str, target: str) -> None:
    page.goto(f"{address}/sign-in?next={target}")
    fill_in(page)


def fill_in(page: Page, email: str = "maker@example.org") -> None:
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(re.compile(r"/(cases/new)?$"))


def type_a_case(page: Page) -> None:
    page.get_by_label("Title").fill("A case that took long to write")
    page.locator("main textarea").first.fill("First line.\nSecond line.")
    page.locator("main input[type=checkbox]").first.check()


def typed(page: Page) -> list[Any]:
    return [
        page.get_by_label("Title").input_value(),
        page.locator("main textarea").first.input_value(),
        page.locator("main input[type=checkbox]").first.is_checked(),
    ]


WRITTEN = ["A case that took long to write", "First line.\nSecond line.", True]


@pytest.mark.browser
def test_what_was_typed_comes_back_after_the_session_ended_unseen(
    tab: tuple[Page, str], session: Session, person: Person
) -> None:
    page, _ = tab
    reports = Reports(page)
    type_a_case(page)
    session.execute(delete(WebSession))
    session.commit()
    page.get_by_role("button", name="Save case").click()
    page.wait_for_url(re.compile("/sign-in"))
    fill_in(page)
    page.locator("[data-typed=back]").wait_for()
    assert typed(page) == WRITTEN
    assert axe(page) == []
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_role("button", name="Save case").click()
    page.wait_for_url(re.compile(r"/cases/[0-9a-f-]{36}"))
    session.rollback()
    assert session.scalars(select(Case.title)).all() == WRITTEN[:1]
    assert page.evaluate("sessionStorage.length") == 0, "what arrived is not kept"
    assert reports.csp == []
    assert reports.errors == []


@pytest.mark.browser
def test_after_the_warning_ran_out_too(tab: tuple[Page, str], session: Session, person: Person) -> None:
    page, address = tab
    page.clock.install()
    page.goto(f"{address}/cases/new")
    wait_until(page, "document.querySelector('dialog') !== null")
    type_a_case(page)
    page.clock.fast_forward(timedelta(minutes=58, seconds=5).seconds * 1000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Stay signed in").wait_for()
    assert axe(page) == []
    session.execute(delete(WebSession))
    session.commit()
    page.clock.fast_forward(timedelta(minutes=2, seconds=5).seconds * 1000)
    again = dialog.get_by_role("link", name="Sign in again")
    again.wait_for()
    assert axe(page) == []
    again.click()
    page.wait_for_url(re.compile("/sign-in"))
    fill_in(page)
    page.locator("[data-typed=back]").wait_for()
    assert typed(page) == WRITTEN


@pytest.mark.browser
def test_the_page_that_asks_for_the_second_factor_can_be_stayed_on(
    tab: tuple[Page, str], session: Session, settings: Settings, person: Person
) -> None:
    page, address = tab
    add_app(session, settings.secret_key, person)
    page.clock.install()
    page.goto(f"{address}/account/prove")
    wait_until(page, "document.querySelector('dialog') !== null")
    before = seen_at(session)
    page.clock.fast_forward(timedelta(minutes=58, seconds=5).seconds * 1000)
    dialog = page.get_by_role("dialog")
    with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
        dialog.get_by_role("button", name="Stay signed in").click()
    assert (sent.value.url, sent.value.status) == (f"{address}/api/v1/session", 200)
    assert dialog.get_by_role("link", name="Sign in again").count() == 0
    assert seen_at(session) > before


@pytest.mark.browser
def test_nobody_else_gets_what_was_typed(tab: tuple[Page, str], session: Session, person: Person) -> None:
    page, _ = tab
    World(session).person("other@example.org", Role.FACILITATOR, "NEY", password_hash=passwords.hashed(PASSWORD))
    session.commit()
    type_a_case(page)
    session.execute(delete(WebSession))
    session.commit()
    page.get_by_role("button", name="Save case").click()
    page.wait_for_url(re.compile("/sign-in"))
    fill_in(page, "other@example.org")
    wait_until(page, "sessionStorage.length === 0")
    assert typed(page) == ["", "", False]
    assert page.locator("[data-typed=back]").count() == 0


@pytest.mark.browser
def test_signing_out_forgets(tab: tuple[Page, str], person: Person) -> None:
    page, _ = tab
    type_a_case(page)
    page.evaluate("import('/static/js/typed.js').then(typed => typed.keep(true))")
    wait_until(page, "sessionStorage.length === 1")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/sign-in"))
    assert page.evaluate("sessionStorage.length") == 0
