"""Links by mail, as the people who get them use them: asked for, opened by a scanner, used once, dead afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app import clock
from app.core import Core
from app.db import db
from app.db.audit import AuditEvent
from app.db.mails import Mail
from app.db.people import Person, Role
from app.db.sign_in import LinkPurpose, OneTimeLink, WebSession
from app.domain import invitations, mailed_links, passwords
from app.settings import Settings
from app.web import create_app
from tests.support.postbox import Postbox, postbox
from tests.support.world import PASSWORD, Browser, World
from workers.mailing import send_due

NOT_TOLD_APART = re.compile(r'value="[^"]*"|content="[^"]*"')


@dataclass
class Post:
    """The application with a mail server."""

    app: Flask
    core: Core
    box: Postbox
    world: World

    def deliver(self) -> int:
        """What the worker does."""
        return send_due(self.core)

    def link(self) -> str:
        """The path of the link in the last mail."""
        found = re.search(r"^http://127\.0\.0\.1:8000(/\S+)$", self.box.text(), re.MULTILINE)
        assert found, self.box.text()
        return found[1]

    def ask(self, path: str, email: str, **options: Any) -> TestResponse:
        """Fill the form of a visitor in."""
        return Browser(self.app).post(path, {"email": email}, **options)


@pytest.fixture
def post(settings: Settings, session: Session) -> Iterator[Post]:
    with postbox() as box:
        app = create_app(box.settings(settings))
        yield Post(app, app.extensions["vignette"], box, World(session))
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def people(post: Post) -> dict[str, Person]:
    made = {
        "known": post.world.person(
            "known@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed("another password")
        ),
        "no password": post.world.person("bare@example.org", Role.VIEWER, "NEY"),
        "suspended": post.world.person("gone@example.org", Role.VIEWER, "NEY", suspended_at=clock.now()),
    }
    post.world.session.commit()
    return made


def listen(app: Flask, queries: list[str]) -> None:
    """Write down every statement that the application sends to the database."""
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda c, cur, statement, *rest: queries.append(statement))


def sessions_of(world: World, person: Person) -> list[WebSession]:
    world.session.rollback()
    return list(world.session.scalars(select(WebSession).where(WebSession.person_id == person.id)))


def test_sign_in_by_a_link(post: Post, people: dict[str, Person]) -> None:
    assert "Email me a link" in Browser(post.app).get("/sign-in").text
    assert post.ask("/sign-in/link?next=/library", "KNOWN@example.org").status_code == 200
    assert post.world.session.scalar(select(func.count()).select_from(OneTimeLink)) == 0, "no link before it is sent"
    assert post.deliver() == 1
    link = post.link()
    visitor = Browser(post.app)
    for _ in range(3):  # a mail scanner
        page = visitor.get(link)
        assert page.status_code == 200
        assert page.text.count("<h1>") == 1
        assert "known@example.org" in page.text
    assert visitor.client.head(link).status_code == 200
    assert sessions_of(post.world, people["known"]) == []
    done = visitor.post(link)
    assert (done.status_code, done.location) == (302, "/library")
    row = sessions_of(post.world, people["known"])[0]
    assert (row.method, row.address, row.second_factor_at) == ("link", "127.0.0.1", None)
    again = Browser(post.app)
    assert again.get(link).status_code == 404
    assert again.post(link).status_code == 404
    event_row = post.world.session.scalars(select(AuditEvent).where(AuditEvent.action == "session:start")).one()
    assert event_row.detail == {"method": "link"}


@pytest.mark.parametrize("change", ["old", "suspended", "left", "new password"])
def test_a_link_dies(post: Post, people: dict[str, Person], change: str) -> None:
    person = people["known"]
    post.ask("/sign-in/link", person.email)
    post.deliver()
    link = post.link()
    if change == "old":
        post.world.session.execute(update(OneTimeLink).values(expires_at=clock.now()))
    elif change == "suspended":
        person.suspended_at = clock.now()
    elif change == "left":
        person.left_at = clock.now()
    post.world.session.commit()
    if change == "new password":
        answer = Browser(post.app, person).post("/account", {"old_password": "another password", "password": PASSWORD})
        assert answer.status_code == 302
    visitor = Browser(post.app)
    unknown = visitor.get("/sign-in/link/" + "x" * 43)
    dead = visitor.get(link)
    assert (dead.status_code, dead.data) == (unknown.status_code, unknown.data) == (404, unknown.data)
    assert visitor.post(link).status_code == 404


def test_the_next_page_never_leaves_the_site(post: Post, people: dict[str, Person]) -> None:
    post.ask("/sign-in/link?next=https://evil.example/", "known@example.org")
    post.deliver()
    assert "evil" not in post.box.text()
    answer = Browser(post.app).post(post.link() + "?next=//evil.example")
    assert answer.location == "/"


def test_links_begin_with_the_public_address_whatever_the_request_says(post: Post, people: dict[str, Person]) -> None:
    evil = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    browser = Browser(post.app)
    token = browser.form_token()
    browser.client.post("/sign-in/link", data={"csrf_token": token, "email": "known@example.org"}, headers=evil)
    browser.client.set_cookie(post.app.session_interface.visitor_cookie, "", domain="evil.example")  # type: ignore[attr-defined]
    assert post.deliver() == 1
    assert "evil" not in post.box.text()
    assert post.link().startswith("/sign-in/link/")
    admin = post.world.person("admin@example.org", Role.ADMIN, "NEY")
    post.world.session.commit()
    Browser(post.app, admin).post(f"/people/{people['no password'].id}/invite", headers=evil)
    assert post.deliver() == 1
    assert "evil" not in post.box.text()


def test_a_forgotten_password(post: Post, people: dict[str, Person]) -> None:
    person = people["known"]
    elsewhere = Browser(post.app, person)
    post.ask("/forgotten-password", person.email)
    assert post.deliver() == 1
    link = post.link()
    visitor = Browser(post.app)
    assert visitor.get(link).status_code == 200
    assert elsewhere.get("/account").status_code == 200
    assert visitor.post(link, {"password": "short"}).status_code == 400
    assert visitor.post(link, {"password": PASSWORD}).status_code == 302
    assert elsewhere.get("/account").status_code == 302, "whoever knew the old password is out"
    assert visitor.get("/account").status_code == 200
    assert Browser(post.app).get(link).status_code == 404
    expires = post.world.session.scalars(
        select(OneTimeLink.expires_at).where(OneTimeLink.purpose == LinkPurpose.SET_PASSWORD)
    ).one()
    assert expires - clock.now() <= timedelta(minutes=15)


WHO = ("known@example.org", "bare@example.org", "gone@example.org", "nobody@example.org", "o'no+body@no.such.example")


@pytest.mark.parametrize("path", ["/sign-in/link", "/forgotten-password"])
def test_every_address_gets_the_same_answer_by_the_same_work(
    post: Post, people: dict[str, Person], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[str] = []
    listen(post.app, queries)
    seen = []
    for email in WHO:
        browser = Browser(post.app)
        token = browser.form_token()
        queries.clear()
        answer = browser.client.post(path, data={"csrf_token": token, "email": email})
        headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date")}
        seen.append((answer.status_code, NOT_TOLD_APART.sub("", answer.text), headers, list(queries)))
    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == 200
    assert not any("FROM people" in statement for statement in seen[0][3]), "nobody is looked up while they wait"
    assert post.world.session.scalar(select(func.count()).select_from(Mail)) == len(WHO)
    post.deliver()
    got = sorted(to[0] for to in post.box.recipients)
    assert got == ["bare@example.org", "known@example.org"]


def test_signing_in_costs_the_same_for_everybody(
    post: Post, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    queries: list[str] = []
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda stored, typed: hashes.append("x") or real(stored, typed))
    listen(post.app, queries)
    seen = []
    for email in WHO:
        browser = Browser(post.app)
        token = browser.form_token()
        hashes.clear()
        queries.clear()
        answer = browser.client.post("/sign-in", data={"csrf_token": token, "email": email, "password": "wrong one"})
        headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date", "Content-Length")}
        seen.append((answer.status_code, NOT_TOLD_APART.sub("", answer.text), headers, len(hashes), list(queries)))
        post.world.session.rollback()
    assert all(one == seen[0] for one in seen[:4])
    assert seen[0][0] == 400
    assert seen[0][3] == 1


def test_asking_too_often_looks_the_same(post: Post, people: dict[str, Person]) -> None:
    answers = [post.ask("/sign-in/link", "known@example.org") for _ in range(mailed_links.MOST_FOR_ADDRESS + 2)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({NOT_TOLD_APART.sub("", answer.text) for answer in answers}) == 1
    assert post.deliver() == mailed_links.MOST_FOR_ADDRESS
    assert post.ask("/sign-in/link", "no address").status_code == 400


def test_an_invitation_by_mail(post: Post, people: dict[str, Person]) -> None:
    keeper = post.world.person("admin@example.org", Role.ADMIN, "NEY")
    post.world.session.commit()
    admin = Browser(post.app, keeper)
    person = people["no password"]
    page = admin.get(f"/people/{person.id}").text
    assert "no invitation is open" in page
    assert admin.post(f"/people/{person.id}/invite").status_code == 302
    first = _delivered(post)
    assert "It was sent by email" in admin.get(f"/people/{person.id}").text
    assert admin.post(f"/people/{person.id}/invite").status_code == 302
    second = _delivered(post)
    visitor = Browser(post.app)
    assert visitor.get(first).status_code == 404, "inviting again stops the older link"
    assert admin.post(f"/people/{person.id}/invitation/cancel").status_code == 302
    assert visitor.get(second).status_code == 404
    admin.post(f"/people/{person.id}/invite")
    third = _delivered(post)
    assert visitor.get(third).status_code == 200
    assert visitor.post(third, {"password": "short"}).status_code == 400
    assert visitor.post(third, {"how": "link"}).status_code == 302
    assert visitor.get("/account").status_code == 200
    assert Browser(post.app).get(third).status_code == 404
    post.world.session.rollback()
    post.world.session.expire_all()
    assert post.world.session.get_one(Person, person.id).password_hash is None
    assert admin.post(f"/people/{person.id}/invite").status_code == 409, "they have been here"
    assert "Invitation" not in re.sub(r"<nav.*?</nav>", "", admin.get(f"/people/{person.id}").text, flags=re.DOTALL)
    actions = set(post.world.session.scalars(select(AuditEvent.action)))
    assert {"invitation:send", "invitation:cancel", "invitation:accept"} <= actions


def test_what_waits_is_withdrawn_with_the_invitation(post: Post, people: dict[str, Person]) -> None:
    admin = post.world.person("admin@example.org", Role.ADMIN, "NEY")
    post.world.session.commit()
    browser = Browser(post.app, admin)
    browser.post(f"/people/{people['no password'].id}/invite")
    browser.post(f"/people/{people['no password'].id}/invitation/cancel")
    assert post.deliver() == 0


def test_nobody_invites_whom_they_could_not_appoint(post: Post, people: dict[str, Person]) -> None:
    world = post.world
    custodian = world.person("custodian@example.org", Role.CUSTODIAN, "NEY")
    elsewhere = world.person("sw@example.org", Role.VIEWER, "SW")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    browser = Browser(post.app, admin)
    assert browser.post(f"/people/{custodian.id}/invite").status_code == 403
    assert browser.post(f"/people/{elsewhere.id}/invite").status_code == 404
    assert browser.post(f"/people/{people['suspended'].id}/invite").status_code == 409
    assert post.deliver() == 0


def test_without_a_mail_server_pages_say_so(app: Flask, session: Session) -> None:
    world = World(session)
    person = world.person("new@example.org", Role.VIEWER, "NEY")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    session.commit()
    visitor = Browser(app)
    assert "Email me a link" not in visitor.get("/sign-in").text
    for path in ("/sign-in/link", "/forgotten-password"):
        assert "Email is not set up here" in visitor.get(path).text
        assert "Email is not set up here" in visitor.post(path, {"email": "new@example.org"}).text
    page = Browser(app, admin).post(f"/people/{person.id}/invite")
    found = re.search(r'value="http://127\.0\.0\.1:\d+(/invitation/[^"]+)"', page.text)
    assert found
    welcome = visitor.get(found[1]).text
    assert "without a password" not in welcome, "they could never come back"
    assert visitor.post(found[1], {"how": "link"}).status_code == 400
    assert visitor.post(found[1], {"password": PASSWORD}).status_code == 302
    assert session.scalar(select(func.count()).select_from(Mail)) == 0


def test_of_two_who_accept_at_once_one_wins(post: Post, people: dict[str, Person]) -> None:
    person = people["no password"]
    admin = post.world.person("admin@example.org", Role.ADMIN, "NEY")
    post.world.session.commit()
    Browser(post.app, admin).post(f"/people/{person.id}/invite")
    link = _delivered(post)
    both = [Browser(post.app), Browser(post.app)]
    answers = [browser.post(link, {"password": PASSWORD}).status_code for browser in both]
    assert answers == [302, 404]


def test_paths_agree_with_the_routes(app: Flask) -> None:
    with app.test_request_context():
        adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
        for purpose, endpoint in (
            (LinkPurpose.SIGN_IN, "links.enter"),
            (LinkPurpose.SET_PASSWORD, "auth.set_password"),
            (LinkPurpose.INVITATION, "links.invitation"),
        ):
            assert adapter.match(mailed_links.path(purpose, "x"))[0] == endpoint


def _delivered(post: Post) -> str:
    assert post.deliver() == 1
    return post.link()


def test_an_invitation_lasts_a_week(post: Post, people: dict[str, Person]) -> None:
    person = people["no password"]
    admin = post.world.person("admin@example.org", Role.ADMIN, "NEY")
    post.world.session.commit()
    Browser(post.app, admin).post(f"/people/{person.id}/invite")
    until = invitations.open_until(post.world.session, [person.id])[person.id]
    assert timedelta(days=6, hours=23) < until - clock.now() <= timedelta(days=7)
