"""Admin pages of people, organisations and groups."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.audit import AuditEvent
from app.db.people import Group, GroupMembership, Person, Role
from app.db.places import Organisation
from app.domain.places import Place
from tests.support.world import PASSWORD, Browser, World


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def admin_of(world: World, app: Flask, area: str | None) -> Browser:
    person = world.person(f"admin-{area}@example.org", Role.ADMIN, area)
    world.session.commit()
    return Browser(app, person)


def test_add_a_person_who_then_signs_in_with_the_link(app: Flask, world: World) -> None:
    browser = admin_of(world, app, "NEY")
    place = Place(area_id=world.area("NEY").id).code
    page = browser.post(
        "/people/new", {"name": "New Viewer", "email": "v@example.org", "role": "viewer", "place": place}
    )
    assert page.status_code == 200
    link = re.search(r'value="http://[^/]+(/invitation/[^"]+)"', page.text)
    assert link
    visitor = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(link[1]).text)
    assert token
    done = visitor.post(link[1], data={"csrf_token": token[1], "password": PASSWORD})
    assert done.status_code == 302
    assert "Viewer: North East and Yorkshire" in visitor.get("/account").text
    assert app.test_client().get(link[1]).status_code == 404
    actions = set(world.session.scalars(select(AuditEvent.action)))
    assert {"person:create", "role:give", "person:set-password", "invitation:send", "invitation:accept"} <= actions


@pytest.mark.parametrize(("role", "area"), [("admin", None), ("viewer", "SW"), ("custodian", "NEY"), ("viewer", "ENG")])
def test_nobody_gives_more_than_they_hold(app: Flask, world: World, role: str, area: str | None) -> None:
    browser = admin_of(world, app, "NEY")
    place = Place(area_id=world.area(area).id).code if area else "all"
    answer = browser.post("/people/new", {"name": "X", "email": "x@example.org", "role": role, "place": place})
    assert answer.status_code in (400, 403)
    world.session.rollback()
    assert world.session.scalar(select(Person.id).where(Person.email == "x@example.org")) is None


def test_people_of_other_places_are_not_found(app: Flask, world: World) -> None:
    other = world.person("sw@example.org", Role.VIEWER, "SW")
    both = world.person("both@example.org", Role.VIEWER, "SW")
    world.role(both, Role.VIEWER, "NEY")
    browser = admin_of(world, app, "NEY")
    page = browser.get("/people/?q=example").text
    assert "sw@example.org" not in page
    assert "both@example.org" not in page
    for person in (other, both):
        assert browser.get(f"/people/{person.id}").status_code == 404
        assert browser.post(f"/people/{person.id}/suspend").status_code == 404


def test_suspend_restore_and_roles(app: Flask, world: World) -> None:
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    browser = admin_of(world, app, "ENG")
    assert browser.get("/people/?role=viewer&state=invited").text.count("p@example.org") == 1
    their = Browser(app, person)
    assert their.get("/account").status_code == 200
    assert browser.post(f"/people/{person.id}/suspend").status_code == 302
    assert their.get("/account").status_code == 302
    assert browser.post(f"/people/{person.id}/restore").status_code == 302
    given = browser.post(
        f"/people/{person.id}/roles", {"role": "facilitator", "place": Place(area_id=world.area("LON").id).code}
    )
    assert given.status_code == 302
    world.session.expire_all()
    held = next(r for r in person.roles if r.role is Role.FACILITATOR)
    assert browser.post(f"/people/{person.id}/roles/{held.id}/take").status_code == 302
    world.session.expire_all()
    assert [r.role for r in person.roles] == [Role.VIEWER]


def test_the_last_admin_stays(app: Flask, world: World) -> None:
    browser = admin_of(world, app, None)
    admin = world.session.scalars(select(Person).where(Person.email == "admin-None@example.org")).one()
    assert browser.post(f"/people/{admin.id}/suspend").status_code == 409
    assert browser.post(f"/people/{admin.id}/roles/{admin.roles[0].id}/take").status_code == 409


def test_organisations_and_groups(app: Flask, world: World) -> None:
    member = world.person("member@example.org", Role.VIEWER, "NEY")
    browser = admin_of(world, app, "NEY")
    area = str(world.area("NEY").id)
    assert browser.post("/organisations", {"name": "Invented Trust", "area": area}).status_code == 302
    assert browser.post("/organisations", {"name": "invented trust", "area": area}).status_code == 400
    assert browser.post("/organisations", {"name": "Other", "area": str(world.area("SW").id)}).status_code == 400
    assert "Invented Trust" in browser.get("/organisations").text
    trust = world.session.scalars(select(Organisation).where(Organisation.name == "Invented Trust")).one()
    place = Place(organisation_id=trust.id).code
    made = browser.post("/groups", {"name": "Spring cohort", "place": place})
    assert made.status_code == 302
    group = world.session.scalars(select(Group)).one()
    assert browser.post(made.location, {"email": "nobody@example.org"}).status_code == 400
    assert browser.post(made.location, {"email": member.email, "until": "2999-13-01"}).status_code == 400
    assert browser.post(made.location, {"email": member.email, "until": "2999-07-01"}).status_code == 302
    world.session.expire_all()
    membership = world.session.get(GroupMembership, (group.id, member.id))
    assert membership is not None
    assert membership.ends_at is not None
    assert membership.ends_at.isoformat().startswith("2999-07-01T23:00"), "the end of a summer day in London"
    assert browser.post(f"/groups/{group.id}/members/{member.id}/leave").status_code == 302
    assert admin_of(world, app, "SW").get(f"/groups/{group.id}").status_code == 404


def test_viewers_may_not_administer(app: Flask, world: World) -> None:
    viewer = world.person("v@example.org", Role.VIEWER, "NEY")
    world.session.commit()
    browser = Browser(app, viewer)
    for path in ("/people/", "/people/new", "/people/import/", "/organisations", "/places/areas/"):
        assert browser.get(path).status_code == 403
    assert "You manage no group" in browser.get("/groups").text
    assert browser.post("/groups", {"name": "Mine", "place": "all"}).status_code == 403


def test_a_link_never_gives_more_than_its_maker_holds(app: Flask, world: World) -> None:
    """Whoever holds the link can become the person, so an invited chief or a custodian is out of a regional admin's
    reach, also by way of giving them a further role."""
    chief = world.person("chief@example.org", Role.ADMIN, None)
    custodian = world.person("custodian@example.org", Role.CUSTODIAN, "NEY")
    colleague = world.person("colleague@example.org", Role.FACILITATOR, "NEY")
    browser = admin_of(world, app, "NEY")
    place = Place(area_id=world.area("NEY").id).code
    added = browser.post("/people/new", {"name": "X", "email": chief.email, "role": "viewer", "place": place})
    assert added.status_code == 302
    assert "/set-password/" not in browser.get(added.location).text
    assert "/invitation/" not in browser.get(added.location).text
    assert browser.post(f"/people/{custodian.id}/link").status_code == 403
    assert "/set-password/" in browser.post(f"/people/{colleague.id}/link").text
    assert browser.post(f"/people/{chief.id}/link").status_code == 404
