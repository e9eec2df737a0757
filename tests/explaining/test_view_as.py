"""Looking at the pages as somebody else does: read-only, never more than either may see, for a while, written down."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app import access, clock
from app.access import VIEW_AS_ACTIONS, Action, policy
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.recordings import Recording, WatchPosition
from app.db.sign_in import IdempotencyKey, WebSession
from app.db.viewings import Viewing
from app.domain import view_as, viewings
from app.errors import Forbidden
from tests.access.worlds import random_world
from tests.support.routes import UNSAFE, path_of, routes
from tests.support.world import Browser, World

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class Looking:
    """An admin who looks as a viewer of the same region."""

    app: Flask
    world: World
    admin: Person
    viewer: Person
    shared: Recording
    browser: Browser

    def token(self) -> str:
        found = _TOKEN.search(self.browser.get("/").text)
        assert found
        return found[1]

    def send(self, method: str, path: str, **data: str) -> TestResponse:
        return self.browser.client.open(path, method=method, data={"csrf_token": self.token(), **data})

    def events(self, action: str) -> list[AuditEvent]:
        self.world.session.rollback()
        return list(self.world.session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


@pytest.fixture
def there(app: Flask, session: Session) -> Looking:
    world = World(session)
    admin = world.person("admin@example.org", Role.ADMIN, "NEY", name="Ada Admin")
    viewer = world.person("viewer@example.org", Role.VIEWER, "NEY", name="Vera Viewer")
    shared = world.recording(title="Shared with the region", published=True)
    world.recording(title="A draft of the region")
    world.grant(shared, area="NEY")
    hers = world.recording(title="For her alone", area="SW", published=True)
    world.grant(hers, person_id=viewer.id)
    session.commit()
    return Looking(app, world, admin, viewer, shared, Browser(app, admin))


@pytest.fixture
def looking(there: Looking) -> Looking:
    started = there.browser.post(f"/people/{there.viewer.id}/view-as", {"reason": "She says that it is missing"})
    assert (started.status_code, started.location) == (302, "/")
    return there


def test_she_is_seen_without_what_the_admin_may_not_see(looking: Looking) -> None:
    page = looking.browser.get("/library").text
    assert "You see Vignette as <strong>Vera Viewer</strong> does" in page
    assert "Shared with the region" in page
    assert "A draft of the region" not in page, "the admin's own rights are not hers"
    assert "For her alone" not in page, "hers are not the admin's"
    assert "People and places" not in page
    assert looking.browser.get(f"/people/{looking.viewer.id}").status_code == 404
    refused = looking.browser.get("/account")
    assert (refused.status_code, "theirs alone" in refused.text) == (403, True)
    [start] = looking.events("view-as:start")
    assert (start.person_id, start.subject_id) == (looking.admin.id, looking.viewer.id)
    assert start.reason == "She says that it is missing"
    looks = looking.events("view-as:look")
    assert {event.detail["page"] for event in looks} == {"library.index"}
    assert {(e.person_id, e.actor_kind, e.detail["seen_as"]) for e in looks} == {
        (looking.admin.id, "view-as", str(looking.viewer.id))
    }


def test_every_unsafe_route_is_refused(looking: Looking) -> None:
    client = looking.browser.client
    tried = 0
    for rule, method in routes(looking.app):
        if method not in UNSAFE or rule.endpoint in ("view_as.stop", "auth.sign_out"):
            continue
        headers = {"Idempotency-Key": "once"}
        answer = client.open(path_of(looking.app, rule), method=method, headers=headers)
        if rule.rule.startswith("/embed/"):
            assert answer.status_code == 404, "a frame has a session of its own: this one counts for nothing there"
            continue
        assert answer.status_code == 403, (method, rule)
        assert "Stop that first" in answer.text, (method, rule)
        tried += 1
    assert tried > 40
    session = looking.world.session
    for table in (WatchPosition, IdempotencyKey, Viewing):
        assert session.scalar(select(func.count()).select_from(table)) == 0


def test_what_is_watched_is_watched_by_the_admin(looking: Looking) -> None:
    session = looking.world.session
    whose = access.load(session, looking.viewer.id, clock.now())
    both = whose.looked_at_by(access.load(session, looking.admin.id, clock.now()))
    viewings.opened(session, both, looking.shared)
    viewings.played_part(session, both, looking.shared)
    session.commit()
    [viewing] = session.scalars(select(Viewing))
    assert (viewing.person_id, viewing.actor_kind) == (looking.admin.id, "view-as")
    assert [event.person_id for event in looking.events("recording:watch")] == [looking.admin.id]


def test_stop_and_sign_out_still_work(looking: Looking) -> None:
    stopped = looking.send("POST", "/view-as/stop")
    assert stopped.location == f"/people/{looking.viewer.id}"
    assert "You see Vignette as yourself again" in looking.browser.get(stopped.location).text
    assert len(looking.events("view-as:stop")) == 1
    assert looking.send("POST", "/view-as/stop").status_code == 302, "twice is once"
    assert len(looking.events("view-as:stop")) == 1
    looking.browser.post(f"/people/{looking.viewer.id}/view-as", {"reason": "Again"})
    assert looking.send("POST", "/sign-out").status_code == 302
    assert [e.person_id for e in looking.events("session:end")] == [looking.admin.id]
    assert looking.browser.get("/library").status_code == 302


@pytest.mark.parametrize("end", ["time", "role", "suspended", "promoted"])
def test_it_ends_by_itself(looking: Looking, end: str) -> None:
    session = looking.world.session
    row = session.scalars(select(WebSession)).one()
    if end == "time":
        row.view_as_until = clock.now()
    elif end == "role":
        session.delete(looking.admin.roles[0])
        looking.world.role(looking.admin, Role.VIEWER, "NEY")
    elif end == "suspended":
        looking.viewer.suspended_at = clock.now()
    else:
        looking.world.role(looking.viewer, Role.CUSTODIAN, "NEY")
    session.commit()
    page = looking.browser.get("/library")
    assert page.status_code == 200
    assert "You see Vignette as" not in page.text
    assert "Ada Admin" in page.text


def test_it_lasts_half_an_hour(looking: Looking) -> None:
    row = looking.world.session.scalars(select(WebSession)).one()
    assert row.view_as_until is not None
    assert timedelta(minutes=29) < row.view_as_until - clock.now() <= timedelta(minutes=30)


def test_an_error_page_carries_the_banner_without_a_form(looking: Looking) -> None:
    one, other = (looking.browser.get(f"/recordings/{id_}") for id_ in (uuid.uuid4(), uuid.uuid4()))
    assert one.status_code == 404
    assert one.data == other.data
    assert "You see Vignette as" in one.text


def test_who_may_not(app: Flask, session: Session, there: Looking) -> None:
    world = there.world
    custodian = world.person("keeper@example.org", Role.CUSTODIAN, "NEY")
    far = world.person("far@example.org", Role.VIEWER, "SW")
    session.commit()
    for person, status in ((there.admin, 403), (custodian, 403), (far, 404)):
        assert there.browser.get(f"/people/{person.id}/view-as").status_code == status
        assert there.browser.post(f"/people/{person.id}/view-as", {"reason": "x"}).status_code == status
    empty = there.browser.post(f"/people/{there.viewer.id}/view-as", {"reason": " "})
    assert (empty.status_code, "Enter why" in empty.text) == (400, True)
    client = app.test_client()
    headers = {"Authorization": f"Bearer {world.token(there.admin)}"}
    session.commit()
    refused = client.post(f"/people/{there.viewer.id}/view-as", data={"reason": "x"}, headers=headers)
    assert refused.status_code == 403
    who = access.load(session, there.admin.id, clock.now())
    with pytest.raises(Forbidden):
        view_as.start(session, who.narrowed("token", set(Action)), uuid.uuid4(), there.viewer, "x")
    assert there.events("view-as:start") == []


def test_a_token_beside_the_session_acts_as_its_own_person(app: Flask, looking: Looking) -> None:
    token = looking.world.token(looking.admin)
    looking.world.session.commit()
    answer = looking.browser.get(
        "/api/v1/recordings/" + str(looking.shared.id), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200
    assert looking.events("view-as:look") == []


def test_it_is_exactly_what_both_may_see(session: Session) -> None:
    seen = 0
    for seed in range(2000, 2006):
        facts = random_world(session, seed)
        actors = [who for who in (access.load(session, p, facts.now) for p in facts.people) if who.active]
        for whose in actors[:4]:
            for real in actors[:4]:
                if real is whose:
                    continue
                both = whose.looked_at_by(real)
                for action in policy.POLICIES:
                    rows = [
                        {row.id for row in session.scalars(policy.visible(who, action, facts.now))}
                        for who in (both, whose, real)
                    ]
                    assert rows[0] == (rows[1] & rows[2] if action in VIEW_AS_ACTIONS else set()), (seed, action)
                    seen += len(rows[0])
                for action in policy.CAPABILITIES:
                    assert policy.can(both, action) == (
                        action in VIEW_AS_ACTIONS and policy.can(whose, action) and policy.can(real, action)
                    )
        session.rollback()
    assert seen > 50
