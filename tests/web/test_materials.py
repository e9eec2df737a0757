"""Training materials: building, publishing, never wider than their parts; frames on other sites."""

from __future__ import annotations

import re
import uuid

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.materials import Material, MaterialItem
from app.db.people import Person, Role
from app.domain import materials
from app.errors import Invalid
from tests.support.world import Browser, World


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 99), st.integers(0, 999))
def test_clock_round_trip(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    seconds %= 60
    text = f"{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}"
    assert materials.parse_clock(text, "start") == ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds


@given(st.text(max_size=12))
def test_clock_takes_nothing_else(text: str) -> None:
    try:
        found = materials.parse_clock(text, "start")
    except Invalid:
        return
    assert (found is None) == (not text.strip())
    assert found is None or found >= 0


def build(app: Flask, world: World) -> tuple[Browser, str, list[uuid.UUID]]:
    maker = world.person("maker@example.org", Role.FACILITATOR, "NEY")
    first = world.recording(title="First", published=True)
    second = world.recording(title="Second", published=True)
    world.grant(first, area="ENG")
    world.grant(second, area="NEY")
    world.session.commit()
    browser = Browser(app, maker)
    made = browser.post("/materials/new", {"title": "A session", "introduction": "One.\n\nTwo."})
    assert made.status_code == 302
    base = made.location.removesuffix("/edit")
    assert browser.post(f"{base}/publish").status_code == 409, "nothing to show yet"
    assert (
        browser.post(f"{base}/clips", {"recording": str(first.id), "start": "0:05", "end": "0:20"}).status_code == 302
    )
    assert browser.post(f"{base}/notes", {"text": "What would you say?"}).status_code == 302
    assert browser.post(f"{base}/clips", {"recording": str(second.id)}).status_code == 302
    return browser, base, [first.id, second.id]


def test_never_wider_than_its_parts(app: Flask, world: World) -> None:
    maker, base, _ = build(app, world)
    people = [world.person(role=Role.VIEWER, area=area) for area in ("NEY", "SW")]
    world.session.commit()
    near, far = (Browser(app, person) for person in people)
    for browser in (near, far):
        assert browser.get(base).status_code == 404, "not published"
    assert maker.post(f"{base}/publish").status_code == 302
    assert near.get(base).status_code == 200
    assert "A session" in near.get("/materials/").text
    random = far.get(f"/materials/{uuid.uuid4()}")
    denied = far.get(base)
    assert (denied.status_code, denied.data) == (404, random.data)
    assert "A session" not in far.get("/materials/").text
    assert far.get(f"{base}/edit").status_code == 404
    assert near.get(f"{base}/edit").status_code == 403


def test_order_remove_and_bad_input(app: Flask, world: World) -> None:
    maker, base, ids = build(app, world)

    def order() -> list[str]:
        world.session.expire_all()
        items = world.session.scalars(select(MaterialItem).order_by(MaterialItem.position))
        return [item.text or str(item.recording_id) for item in items]

    note = world.session.scalars(select(MaterialItem).where(MaterialItem.text != "")).one().id
    assert maker.post(f"{base}/items/{note}/up").status_code == 302
    assert order() == ["What would you say?", str(ids[0]), str(ids[1])]
    assert maker.post(f"{base}/items/{note}/up").status_code == 302
    for _ in range(3):
        assert maker.post(f"{base}/items/{note}/down").status_code == 302
    assert order() == [str(ids[0]), str(ids[1]), "What would you say?"]
    assert maker.post(f"{base}/items/{note}/remove").status_code == 302
    assert order() == [str(ids[0]), str(ids[1])]
    for bad in ({"start": "0:40", "end": "0:20"}, {"start": "99:00"}, {"start": "x"}, {"end": "1:75"}):
        refused = maker.post(f"{base}/clips", {"recording": str(ids[0]), **bad})
        assert refused.status_code == 400
        assert "There is a problem" in refused.text
    assert maker.post(f"{base}/clips", {"recording": str(uuid.uuid4())}).status_code == 400
    assert maker.post(f"{base}/notes", {"text": "  "}).status_code == 400
    assert len(order()) == 2
    assert maker.post(f"{base}/delete").status_code == 302
    assert maker.get(base).status_code == 404


def test_frame_for_allowed_hosts_only(app: Flask, world: World) -> None:
    maker, base, ids = build(app, world)
    maker.post(f"{base}/publish")
    for bad in ("", "not a host", "evil.example; script-src *", "*"):
        assert maker.post(f"{base}/hosts", {"host": bad}).status_code == 400
    assert maker.post(f"{base}/hosts", {"host": "https://Learning.example.org/"}).status_code == 302
    assert "&lt;iframe" in maker.get(f"{base}/edit").text
    frame = f"/embed{base}"
    visitor = Browser(app)
    invitation = visitor.get(frame)
    assert invitation.status_code == 200
    assert "A session" not in invitation.text
    other = visitor.get(f"/embed/materials/{uuid.UUID(int=1)}").text
    assert re.sub(r"[0-9a-f-]{36}", "ID", invitation.text) == re.sub(r"[0-9a-f-]{36}", "ID", other)

    allowed = maker.post(f"{base}/allow-frame")
    code = re.search(r'data-code="([^"]+)"', allowed.text)
    assert code
    assert allowed.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert visitor.client.post(f"{frame}/session", json={"code": "wrong"}).status_code == 404
    started = visitor.client.post(f"{frame}/session", json={"code": code[1]})
    assert started.status_code == 200
    cookie = next(c for c in started.headers.getlist("Set-Cookie") if "embed" in c)
    assert "Partitioned" in cookie
    assert "Secure" in cookie
    assert visitor.client.post(f"{frame}/session", json={"code": code[1]}).status_code == 404, "a code works once"
    token = cookie.partition("=")[2].partition(";")[0]
    framed = app.test_client()
    framed.set_cookie(app.session_interface.embed_cookie, token)
    shown = framed.get(frame, base_url="https://localhost")
    assert shown.status_code == 200
    assert "A session" in shown.text
    assert "frame-ancestors 'self' https://learning.example.org" in shown.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in shown.headers
    for path in (base, "/library", "/account", f"/recordings/{ids[0]}"):
        assert framed.get(path, base_url="https://localhost").status_code in (302, 404), "a frame opens nothing else"
    elsewhere = Material(title="Other", owner_id=None)
    world.session.add(elsewhere)
    world.session.commit()
    assert framed.get(f"/embed/materials/{elsewhere.id}", base_url="https://localhost").status_code == 404


def test_a_token_makes_no_frame_that_outlives_it(app: Flask, world: World) -> None:
    _, base, _ = build(app, world)
    material = world.session.scalars(select(Material)).one()
    maker = world.session.get_one(Person, material.owner_id)
    token = world.token(maker, "all")
    world.session.commit()
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get(base, headers=headers).status_code == 200
    assert app.test_client().post(f"{base}/allow-frame", headers=headers).status_code == 403
