"""Approving, refusing, and answering those who ask, over the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from app.db.audit import AuditEvent
from app.db.grants import AccessRequest, Grant
from app.db.people import Person, Role
from app.db.recordings import Recording
from app.domain import days
from tests.ingest.support import Api, Makers, makers


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def made(there: Makers) -> Recording:
    recording: Recording = there.world.recording(there.case, owner_id=there.person.id, published=True)
    there.world.session.commit()
    return recording


def watches(session: Session, person: Person, recording: Recording) -> bool:
    session.expire_all()
    now = clock.now()
    found = policy.allows(session, access.load(session, person.id, now), Action.RECORDING_VIEW, recording.id, now)
    session.commit()
    return found


def program(app: Flask, there: Makers, person: Person, scope: str = "all") -> Api:
    token = there.world.token(person, scope)
    there.world.session.commit()
    return Api(app, token)


@pytest.mark.parametrize("kind", ["recordings", "cases"])
def test_an_admin_of_the_wider_place_answers(
    kind: str, app: Flask, there: Makers, made: Recording, session: Session
) -> None:
    world = there.world
    viewer = world.person("far@example.org", Role.VIEWER, "SW")
    far, near = world.person("a@example.org", Role.ADMIN, "SW"), world.person("b@example.org", Role.ADMIN, "NEY")
    maker, admin, other = (program(app, there, person) for person in (there.person, far, near))
    path = f"/{kind}/{made.case_id if kind == 'cases' else made.id}/grants"
    asked = maker.call("POST", path, {"to": "region:SW", "reason": "They film it next"}).json
    assert other.call("GET", "/approvals").json["items"] == []
    assert program(app, there, far, "read").call("GET", "/approvals").status_code == 403
    item = admin.call("GET", "/approvals").json["items"][0]
    assert (item["id"], item["grant"]["reason"], item["grant"]["status"]) == (
        asked["id"], "They film it next", "waiting",
    )  # fmt: skip
    assert [item["recording_id"] is None, item["case_id"] is None] == [kind == "cases", kind != "cases"]
    one = f"/approvals/{asked['id']}"
    for somebody in (other, maker):
        assert somebody.call("POST", f"{one}/approve", {}).status_code == 404
    assert admin.call("POST", f"{one}/refuse", {}).status_code == 400
    assert admin.call("POST", f"{one}/approve", {"answer": "x" * 5000}).status_code == 400
    assert not watches(session, viewer, made)
    assert admin.call("POST", f"{one}/approve", {"answer": "Gladly"}).status_code == 204
    assert watches(session, viewer, made)
    assert maker.call("GET", path).json["items"][0]["answer"] == "Gladly"
    assert admin.call("POST", f"{one}/refuse", {"answer": "no"}).status_code == 404, "answered once"


def test_a_no_is_read_by_whoever_asked(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    far = there.world.person("a@example.org", Role.ADMIN, "SW")
    maker, admin = program(app, there, there.person), program(app, there, far)
    path = f"/recordings/{made.id}/grants"
    asked = maker.call("POST", path, {"to": "region:SW", "reason": "x"}).json
    assert admin.call("POST", f"/approvals/{asked['id']}/refuse", {"answer": "Not this year"}).status_code == 204
    assert maker.call("GET", f"{path}?ended=yes").json["items"][0]["answer"] == "Not this year"
    assert admin.call("GET", "/approvals").json["items"] == []


def test_requests_are_answered(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    world = there.world
    askers = [world.person(f"{name}@example.org", Role.VIEWER, "SW") for name in "ab"]
    rows = [AccessRequest(recording_id=made.id, person_id=asker.id, reason="A course") for asker in askers]
    session.add_all(rows)
    stranger = world.person("o@example.org", Role.FACILITATOR, "SW")
    owner, other = program(app, there, there.person), program(app, there, stranger)
    assert other.call("GET", "/requests").json["items"] == []
    items = sorted(owner.call("GET", "/requests").json["items"], key=lambda item: str(item["email"]))
    assert [(item["email"], item["reason"], item["recording_id"]) for item in items] == [
        (asker.email, "A course", str(made.id)) for asker in askers
    ]
    first, second = (f"/requests/{item['id']}" for item in items)
    until = days.today() + timedelta(days=9)
    assert other.call("POST", f"{first}/grant", {"until": until.isoformat()}).status_code == 404
    for wrong in ({}, {"until": "soon"}, {"until": (days.today() - timedelta(days=1)).isoformat()}):
        assert owner.call("POST", f"{first}/grant", wrong).status_code == 400
    assert owner.call("POST", f"{first}/grant", {"until": until.isoformat()}).status_code == 204
    assert owner.call("POST", f"{second}/refuse", {"answer": " "}).status_code == 400
    assert owner.call("POST", f"{second}/refuse", {"answer": "We do not know them"}).status_code == 204
    assert owner.call("POST", f"{second}/grant", {"until": None}).status_code == 404, "answered once"
    assert [watches(session, asker, made) for asker in askers] == [True, False]
    assert session.scalars(select(Grant.ends_at)).all() == [days.end_of(until)]
    said = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert [name for name in said if name.startswith("access:")] == ["access:grant", "access:refuse"]
