"""API tokens: made on a page, shown once, revoked by their owner or an admin."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import ApiToken
from app.domain import days, second_factors, tokens
from app.settings import Settings
from tests.factors.support import add_app
from tests.support.world import Browser, World


@pytest.fixture
def viewer(session: Session) -> Person:
    person: Person = World(session).person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    return person


def typed(**changes: object) -> dict[str, object]:
    """A form for a token that is in order."""
    return {"name": "nightly report", "scopes": ["read"], "until": days.today().isoformat(), **changes}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_token_is_shown_once_and_works(app: Flask, session: Session, viewer: Person) -> None:
    browser = Browser(app, viewer)
    shown = browser.post("/account/tokens", typed())
    secret = re.search(r'value="(vgn_[^"]+)"', shown.text)
    assert secret
    token = session.scalars(select(ApiToken)).one()
    assert token.expires_at == days.end_of(days.today())
    page = browser.get("/account/tokens").text
    assert "nightly report" in page
    assert "vgn_" not in page
    client = app.test_client()
    assert client.get("/api/v1/recordings", headers=bearer(secret[1])).status_code == 200
    session.expire_all()
    assert token.last_used_at is not None
    assert browser.post(f"/account/tokens/{token.id}/revoke").location == "/account/tokens"
    assert client.get("/api/v1/recordings", headers=bearer(secret[1])).status_code == 401
    actions = list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
    assert [action for action in actions if action.startswith("token:")] == ["token:create", "token:revoke"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "}, {"scopes": []}, {"scopes": ["everything"]}, {"until": ""}, {"until": "soon"},
        {"until": "2020-01-01"}, {"until": "9999-12-31"},
        {"until": (days.today() + timedelta(days=366)).isoformat()},
    ],
)  # fmt: skip
def test_what_is_no_token(app: Flask, session: Session, viewer: Person, wrong: dict[str, object]) -> None:
    answer = Browser(app, viewer).post("/account/tokens", typed(**wrong))
    assert answer.status_code == 400
    assert "<title>Error: " in answer.text
    assert not session.scalars(select(ApiToken)).all()


def test_over_the_api(app: Flask, session: Session, viewer: Person) -> None:
    world = World(session)
    whole, narrow = world.token(viewer, "all"), world.token(viewer, "read")
    strange = world.token(world.person("other@example.org"), "all")
    session.commit()
    client = app.test_client()
    listed = client.get("/api/v1/tokens", headers=bearer(whole)).json["items"]
    assert sorted(item["scopes"] for item in listed) == [["all"], ["read"]]
    assert client.get("/api/v1/tokens", headers=bearer(narrow)).status_code == 403
    assert client.get("/api/v1/tokens").status_code == 401
    mine = next(item["id"] for item in listed if item["scopes"] == ["read"])
    assert client.delete(f"/api/v1/tokens/{mine}", headers=bearer(strange)).status_code == 404
    for _ in range(2):
        assert client.delete(f"/api/v1/tokens/{mine}", headers=bearer(whole)).status_code == 204
    assert client.get("/api/v1/recordings", headers=bearer(narrow)).status_code == 401
    assert len(Browser(app, viewer).get("/api/v1/tokens").json["items"]) == 1


def test_tokens_stop_with_suspension_and_not_with_a_password(app: Flask, session: Session, viewer: Person) -> None:
    secret = World(session).token(viewer, "read")
    session.commit()
    client = app.test_client()
    viewer.password_hash = "another"
    session.commit()
    assert client.get("/api/v1/recordings", headers=bearer(secret)).status_code == 200
    for column in ("suspended_at", "left_at"):
        setattr(viewer, column, clock.now())
        session.commit()
        assert client.get("/api/v1/recordings", headers=bearer(secret)).status_code == 401
        setattr(viewer, column, None)
        session.commit()


def test_an_admin_sees_and_revokes_those_of_their_people(app: Flask, session: Session, viewer: Person) -> None:
    world = World(session)
    admin = world.person("ada@example.org", Role.ADMIN, "NEY")
    stranger = world.person("sw@example.org", Role.ADMIN, "SW")
    secret = world.token(viewer, "read")
    session.commit()
    token = tokens.working(session, viewer.id)[0]
    browser = Browser(app, admin)
    assert "Read: look at cases" in browser.get(f"/people/{viewer.id}/sign-in").text
    other = Browser(app, stranger)
    assert other.get(f"/people/{viewer.id}/sign-in").status_code == 404
    assert other.post(f"/people/{viewer.id}/tokens/{token.id}/revoke").status_code == 404
    assert browser.post(f"/people/{admin.id}/tokens/{token.id}/revoke").status_code == 404, "it is another person's"
    assert browser.post(f"/people/{viewer.id}/tokens/{token.id}/revoke").status_code == 302
    assert app.test_client().get("/api/v1/recordings", headers=bearer(secret)).status_code == 401


def test_an_admin_resets_second_factors(app: Flask, session: Session, settings: Settings, viewer: Person) -> None:
    world = World(session)
    admin = world.person("ada@example.org", Role.ADMIN, "NEY")
    keeper = world.person("keeper@example.org", Role.CUSTODIAN, "NEY")
    session.commit()
    for person in (viewer, keeper):
        add_app(session, settings.secret_key, person)
    browser, theirs = Browser(app, admin), Browser(app, viewer)
    assert "Reset second factors" in browser.get(f"/people/{viewer.id}/sign-in").text
    assert "Reset second factors" not in browser.get(f"/people/{keeper.id}/sign-in").text
    assert browser.post(f"/people/{keeper.id}/second-factors/reset").status_code == 403
    assert browser.post(f"/people/{viewer.id}/second-factors/reset").status_code == 302
    assert not second_factors.has_any(session, viewer.id)
    assert second_factors.has_any(session, keeper.id)
    assert theirs.get("/library").location.startswith("/sign-in"), "they were signed out"
