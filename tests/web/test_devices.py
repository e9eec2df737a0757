"""Devices: one's own list, the admin's list, ending them, and what ends them by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import WebSession
from app.domain import devices, passwords, people
from tests.support.world import PASSWORD, Browser, World

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 "
    "Edg/140.0"
)
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile Safari/604.1"


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def rows(world: World, person: Person) -> list[WebSession]:
    world.session.rollback()
    return list(world.session.scalars(select(WebSession).where(WebSession.person_id == person.id)))


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("curl/8.9", "Unknown browser"),
        ("", "Unknown browser"),
        ("Something/1 (Windows NT 10.0)", "Browser on Windows"),
    ],
)
def test_browsers_in_words(user_agent: str, words: str) -> None:
    assert devices.in_words(user_agent) == words


def test_my_devices(app: Flask, world: World) -> None:
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    world.session.commit()
    here, there, third = (Browser(app, person) for _ in range(3))
    page = here.get("/account").text
    assert page.count("(this device)") == 1
    assert page.count("Sign out<span") == 2
    other = next(row.id for row in rows(world, person) if f"/account/sessions/{row.id}/end" in page)
    assert here.post(f"/account/sessions/{other}/end").status_code == 302
    answers = [browser.get("/account").status_code for browser in (here, there, third)]
    assert sorted(answers) == [200, 200, 302]
    assert here.post("/account/sessions/end-others").status_code == 302
    assert [browser.get("/account").status_code for browser in (here, there, third)] == [200, 302, 302]
    assert "end-others" not in here.get("/account").text


def test_nobody_ends_a_session_of_somebody_else(app: Flask, world: World) -> None:
    one, two = world.person("a@example.org", Role.VIEWER, "NEY"), world.person("b@example.org", Role.VIEWER, "NEY")
    world.session.commit()
    mine, theirs = Browser(app, one), Browser(app, two)
    row = rows(world, two)[0].id
    assert mine.post(f"/account/sessions/{row}/end").status_code == 404
    assert mine.post(f"/sessions/{row}/end").status_code == 403
    assert mine.get("/sessions").status_code == 403
    assert theirs.get("/account").status_code == 200


def test_an_admin_sees_and_ends_the_sessions_of_their_people_only(app: Flask, world: World) -> None:
    ours = world.person("ours@example.org", Role.VIEWER, "NEY")
    not_ours = world.person("not-ours@example.org", Role.VIEWER, "SW")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    viewer, stranger, browser = Browser(app, ours), Browser(app, not_ours), Browser(app, admin)
    page = browser.get("/sessions").text
    assert "ours@example.org" in page
    assert "not-ours@example.org" not in page
    assert "(this device)" in page
    assert "No sessions found" in browser.get("/sessions?q=nobody").text
    assert "ours@example.org" in browser.get(f"/sessions?person={ours.id}&q=OURS").text
    foreign, known = rows(world, not_ours)[0].id, rows(world, ours)[0].id
    unknown = browser.post("/sessions/00000000-0000-4000-8000-000000000000/end")
    refused = browser.post(f"/sessions/{foreign}/end")
    assert (refused.status_code, refused.data) == (unknown.status_code, unknown.data)
    assert refused.status_code == 404
    assert browser.post(f"/sessions/{known}/end").status_code == 302
    assert viewer.get("/account").status_code == 302
    assert stranger.get("/account").status_code == 200
    event = world.session.scalars(select(AuditEvent).where(AuditEvent.action == "session:end")).one()
    assert (event.person_id, event.subject_id) == (admin.id, ours.id)


def test_the_list_of_sessions_has_pages(app: Flask, world: World) -> None:
    person = world.person("ours@example.org", Role.VIEWER, "NEY")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    now = clock.now()
    for n in range(60):
        world.session.add(
            WebSession(
                token_hash=f"{n}", person_id=person.id, expires_at=now + timedelta(hours=1),
                created_at=now, seen_at=now - timedelta(seconds=n), user_agent=FIREFOX,
            )
        )  # fmt: skip
    world.session.commit()
    actor = people_actor(world, admin)
    seen: list[object] = []
    after = ""
    for _ in range(5):
        page = devices.of_people(world.session, actor, timedelta(hours=1), after=after)
        seen += [device.session.id for device in page.rows]
        if not (after := page.after):
            break
    assert len(seen) == len(set(seen)) == 60


def people_actor(world: World, person: Person):
    from app import access

    return access.load(world.session, person.id, clock.now())


@pytest.mark.parametrize("how", ["password", "password by command line", "suspended", "left", "idle", "over"])
def test_sessions_are_dead_at_the_next_request(app: Flask, world: World, how: str) -> None:
    person = world.person("p@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed("an older password"))
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    here, there = Browser(app, person), Browser(app, person)
    assert there.get("/account").status_code == 200
    if how == "password":
        changed = here.post("/account", {"old_password": "an older password", "password": PASSWORD})
        assert changed.status_code == 302
        assert here.get("/account").status_code == 200, "the one in which it was changed goes on"
    elif how == "password by command line":
        people.set_password(world.session, SYSTEM, person, PASSWORD)
    elif how == "suspended":
        assert Browser(app, admin).post(f"/people/{person.id}/suspend").status_code == 302
    elif how == "left":
        person.left_at = clock.now()
        person.suspended_at = clock.now()
    elif how == "idle":
        idle = app.session_interface.idle  # type: ignore[attr-defined]
        world.session.execute(update(WebSession).values(seen_at=clock.now() - idle))
    else:
        world.session.execute(update(WebSession).values(expires_at=clock.now()))
    world.session.commit()
    answer = there.get("/account")
    assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/sign-in")
    assert there.get("/api/v1/recordings/00000000-0000-4000-8000-000000000000").status_code == 401
