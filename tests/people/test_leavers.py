"""Moving between organisations, leaving, and who may do what to whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Actor
from app.db.audit import AuditEvent
from app.db.grants import Grant
from app.db.materials import Material
from app.db.people import GroupMembership, Person, Role
from app.db.sign_in import ApiToken, LinkPurpose, OneTimeLink, WebSession
from app.domain import groups, leavers, people, sign_in
from app.domain.places import Place
from app.errors import Conflict, Forbidden, Invalid
from tests.support.world import Browser, World


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def actor(world: World, role: Role, area: str | None) -> Actor:
    return access.load(world.session, world.person(role=role, area=area).id, clock.now())


def test_a_move_ends_roles_over_the_old_and_leaves_its_groups_but_those_kept(app: Flask, world: World) -> None:
    old, new = world.organisation("Old", "NEY"), world.organisation("New", "NEY")
    person = world.person("p@example.org", Role.FACILITATOR, organisation=old, organisation_id=old.id)
    world.role(person, Role.VIEWER, "NEY")
    kept, left, of_area = (world.group(name, members=(person,)) for name in ("Kept", "Left", "Area"))
    for group in (kept, left):
        group.area_id, group.organisation_id = None, old.id
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    browser = Browser(app, admin)
    page = browser.get(f"/people/{person.id}/move?organisation={new.id}").text
    assert "Facilitator of Old" in page
    assert "Kept" in page
    assert "Viewer of" not in page
    form = {"organisation": str(new.id), "seen_in": str(old.id), "keep": str(kept.id)}
    assert browser.post(f"/people/{person.id}/move", form).status_code == 302
    assert browser.post(f"/people/{person.id}/move", form).status_code == 409, "what was seen is no more"
    world.session.expire_all()
    now = clock.now()
    assert person.organisation_id == new.id
    assert [r.role for r in person.roles if r.ends_at is None or r.ends_at > now] == [Role.VIEWER]
    inside = set(world.session.scalars(select(GroupMembership.group_id)))
    assert inside == {kept.id, of_area.id}
    assert "person:move" in set(world.session.scalars(select(AuditEvent.action)))


def test_a_move_takes_admins_of_both_ends(world: World) -> None:
    here, there = world.organisation("Here", "NEY"), world.organisation("There", "SW")
    person = world.person(organisation_id=here.id)
    admin = actor(world, Role.ADMIN, "NEY")
    with pytest.raises(Forbidden):
        leavers.move(world.session, admin, person, there, seen_in=here.id)
    closed = world.organisation("Closed", "NEY")
    closed.closed_at = clock.now()
    with pytest.raises(Invalid):
        leavers.move(world.session, admin, person, closed, seen_in=here.id)


def test_leaving_ends_everything(app: Flask, world: World) -> None:
    person = world.person("p@example.org", Role.FACILITATOR, "NEY", password_hash="x")
    world.role(person, Role.VIEWER, "LON")
    heir = world.person("heir@example.org", Role.FACILITATOR, "NEY")
    world.group(members=(person,))
    recording = world.recording(owner_id=person.id)
    world.session.add(Material(title="M", owner_id=person.id, area_id=world.area("NEY").id))
    world.grant(recording, person_id=person.id)
    token = world.token(person)
    sign_in.make_link(world.session, LinkPurpose.INVITATION, timedelta(days=1), person_id=person.id)
    admin = world.person("admin@example.org", Role.ADMIN, "ENG")
    world.session.commit()
    browser, theirs = Browser(app, admin), Browser(app, person)
    assert theirs.get("/account").status_code == 200
    page = browser.get(f"/people/{person.id}/leave").text
    assert "A test recording" in page
    assert browser.post(f"/people/{person.id}/leave", {"successor": heir.email}).status_code == 400, "not confirmed"
    wrong = browser.post(f"/people/{person.id}/leave", {"successor": "nobody@example.org", "sure": "y"})
    assert wrong.status_code == 400
    done = browser.post(f"/people/{person.id}/leave", {"successor": heir.email, "sure": "y"})
    assert done.status_code == 302
    assert theirs.get("/account").status_code == 302
    bearer = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/recordings", headers=bearer).status_code == 401
    world.session.expire_all()
    assert access.load(world.session, person.id, clock.now()) == access.ANONYMOUS
    assert person.left_at is not None
    assert all(r.ends_at is not None for r in person.roles)
    assert recording.owner_id == heir.id
    assert world.session.scalars(select(Material.owner_id)).one() == heir.id
    assert not world.session.scalars(select(GroupMembership).where(GroupMembership.person_id == person.id)).all()
    assert not world.session.scalars(select(WebSession).where(WebSession.person_id == person.id)).all()
    assert not world.session.scalars(select(OneTimeLink).where(OneTimeLink.person_id == person.id)).all()
    assert world.session.scalars(select(ApiToken.revoked_at)).one() is not None
    assert world.session.scalars(select(Grant.revoked_at)).one() is not None
    assert {"person:leave", "recording:hand-over"} <= set(world.session.scalars(select(AuditEvent.action)))


def test_what_belongs_to_other_places_is_not_handed_over(world: World) -> None:
    person = world.person("p@example.org", Role.FACILITATOR, "NEY")
    heir = world.person("heir@example.org", Role.FACILITATOR, "NEY")
    elsewhere = world.recording(area="SW", owner_id=person.id)
    admin = actor(world, Role.ADMIN, "NEY")
    leavers.leave(world.session, admin, person, successor=heir)
    assert elsewhere.owner_id == person.id


def test_whoever_left_comes_back_as_new_and_is_not_restored(world: World) -> None:
    person = world.person("p@example.org", Role.ADMIN, "NEY", password_hash="x")
    leavers.leave(world.session, SYSTEM, person)
    with pytest.raises(Conflict):
        people.restore(world.session, SYSTEM, person)
    with pytest.raises(Conflict):
        people.give_role(world.session, SYSTEM, person, Role.VIEWER, Place())
    admin = actor(world, Role.ADMIN, "SW")
    with pytest.raises(Forbidden):
        people.add(world.session, admin, email=person.email, role=Role.VIEWER, place=Place())
    assert person.left_at is not None, "a refused attempt brings nobody back"
    people.add(world.session, admin, email=person.email, role=Role.VIEWER, place=Place(area_id=world.area("SW").id))
    back = access.load(world.session, person.id, clock.now())
    assert back.over(Role.ADMIN).everywhere is False
    assert not back.over(Role.ADMIN)
    assert back.over(Role.VIEWER)
    assert person.password_hash is None


@pytest.mark.parametrize("way", ["suspend", "restore", "leave", "link"])
@pytest.mark.parametrize("role", [Role.CUSTODIAN, Role.ADMIN])
def test_nobody_stops_somebody_whom_they_could_not_appoint(app: Flask, world: World, way: str, role: Role) -> None:
    """A custodian of the region is out of its admin's reach; an admin of it is not."""
    target = world.person("t@example.org", role, "NEY", suspended_at=clock.now() if way == "restore" else None)
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    answer = Browser(app, admin).post(f"/people/{target.id}/{way}", {"sure": "y"})
    assert (answer.status_code == 403) == (role is Role.CUSTODIAN), answer.status_code


def test_the_end_of_a_role_can_be_changed(app: Flask, world: World) -> None:
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    (held,) = person.roles
    browser, path = Browser(app, admin), f"/people/{person.id}/roles/{held.id}/end"
    field = f"role-{held.id}-until"
    for day, expected in (("2999-07-01", "2999-07-01T23:00"), ("2001-01-01", "2999-07-01T23:00"), ("", None)):
        assert browser.post(path, {field: day}).status_code == 302
        world.session.expire_all()
        assert (held.ends_at.isoformat()[:16] if held.ends_at else None) == expected
    other = world.person("sw@example.org", Role.VIEWER, "SW")
    world.session.commit()
    assert browser.post(f"/people/{person.id}/roles/{other.roles[0].id}/end", {field: ""}).status_code == 404


def test_a_leaver_manages_no_group(world: World) -> None:
    person = world.person("p@example.org", Role.VIEWER, "NEY")
    group = world.group()
    groups.name_manager(world.session, SYSTEM, group, person.email)
    leavers.leave(world.session, SYSTEM, person)
    assert groups.managers(world.session, group) == []
    assert world.session.get(Person, person.id) is not None
