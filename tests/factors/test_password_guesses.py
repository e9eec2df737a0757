"""Whoever holds a stolen session cannot guess the password without end, and does not make its owner wait at the door."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import clock
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import WebSession
from app.domain import passwords
from tests.factors.support import after_password
from tests.support.world import PASSWORD, Browser, World

NEW = "four other random words"
WAIT = "Too many tries. Wait "


class Stopped:
    """A clock that stands still until the test moves it: how slow the machine is does not matter."""

    def __init__(self) -> None:
        self.moment = clock.now()

    def now(self) -> datetime:
        return self.moment


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    made = Stopped()
    monkeypatch.setattr(clock, "now", made.now)
    return made


@pytest.fixture
def person(session: Session) -> Person:
    made: Person = World(session).person("v@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
    session.commit()
    return made


def stolen(app: Flask, session: Session, person: Person) -> Browser:
    """A session that was opened so long ago that it asks for the password again."""
    browser = after_password(app, person)
    session.rollback()
    session.execute(update(WebSession).values(created_at=clock.now() - timedelta(minutes=11)))
    session.commit()
    return browser


def refused(session: Session) -> int:
    session.rollback()
    query = select(func.count()).select_from(AuditEvent).where(AuditEvent.action == "password:refuse")
    return session.scalar(query) or 0


def change(browser: Browser, old: str) -> int:
    return browser.post("/account", {"old_password": old, "password": NEW}).status_code


def test_guesses_at_the_old_password_make_wait(app: Flask, session: Session, person: Person, stopped: Stopped) -> None:
    browser = stolen(app, session, person)
    assert [change(browser, f"guess {n}") for n in range(5)] == [400] * 5
    told = browser.post("/account", {"old_password": PASSWORD, "password": NEW})
    assert (told.status_code, WAIT in told.text) == (429, True), "the right one waits too"
    assert "<title>Error: " in told.text
    assert refused(session) == 5
    stopped.moment += timedelta(seconds=3)
    assert change(browser, PASSWORD) == 302
    assert change(browser, PASSWORD) == 400, "the count began anew"


def test_both_pages_count_together_and_each_person_apart(app: Flask, session: Session, person: Person) -> None:
    other = World(session).person("o@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
    session.commit()
    browser, second = stolen(app, session, person), stolen(app, session, person)
    assert [change(browser, "guess") for _ in range(3)] == [400] * 3
    assert [second.post("/account/prove", {"password": "guess"}).status_code for _ in range(2)] == [400] * 2
    for page in (second.post("/account/prove", {"password": PASSWORD}), browser.post("/account", {
        "old_password": PASSWORD, "password": NEW,
    })):  # fmt: skip
        assert (page.status_code, WAIT in page.text) == (429, True)
    assert change(stolen(app, session, other), PASSWORD) == 302


def test_the_owner_can_still_sign_in_and_that_forgets_nothing(app: Flask, session: Session, person: Person) -> None:
    browser = stolen(app, session, person)
    for _ in range(5):
        change(browser, "guess")
    door = Browser(app)
    assert door.post("/sign-in", {"email": person.email, "password": PASSWORD}).status_code == 302
    assert change(browser, PASSWORD) == 429


def test_failures_at_the_door_do_not_keep_somebody_from_a_new_password(
    app: Flask, session: Session, person: Person
) -> None:
    browser = stolen(app, session, person)
    for _ in range(5):
        Browser(app).post("/sign-in", {"email": person.email, "password": "guess"})
    assert change(browser, PASSWORD) == 302


def test_guesses_at_once_come_one_after_the_other(app: Flask, session: Session, person: Person) -> None:
    browsers = [stolen(app, session, person) for _ in range(8)]
    tokens = [browser.form_token() for browser in browsers]

    def guess(browser: Browser, token: str) -> int:
        data = {"csrf_token": token, "old_password": "guess", "password": NEW}
        return browser.client.post("/account", data=data).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(guess, browsers, tokens))
    assert answers == [400] * 5 + [429] * 3
    assert refused(session) == 5
