"""Dormant accounts and the roles that are due: who is listed to whom, several at once, and undoing."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from app.access.places import appointable, may_appoint
from app.db.audit import AuditEvent
from app.db.people import Person, Role, RoleAssignment
from app.domain import certification, dormant
from tests.access.reference import Reference
from tests.access.worlds import random_world
from tests.support.world import Browser, World


@pytest.fixture
def world(app: Flask, session: Session) -> World:
    return World(session)


@pytest.fixture
def admin(world: World) -> Person:
    return world.person("admin@example.org", Role.ADMIN, "NEY", name="Ada Admin", last_signed_in_at=clock.now())


def ago(days: float) -> datetime:
    return clock.now() - timedelta(days=days)


def listed(browser: Browser, path: str) -> set[str]:
    page = browser.get(path)
    assert page.status_code == 200
    main = page.text[page.text.index("<main") :]
    return {found for found in re.findall(r"[\w.-]+@example\.org", main) if found != "admin@example.org"}


def actions(session: Session, action: str) -> list[AuditEvent]:
    session.rollback()
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


def test_who_is_dormant(app: Flask, session: Session, world: World, admin: Person) -> None:
    def person(name: str, **columns: object) -> Person:
        return world.person(f"{name}@example.org", Role.VIEWER, str(columns.pop("area", "NEY")), **columns)

    person("long-ago", last_signed_in_at=ago(91), created_at=ago(400))
    person("never", created_at=ago(91))
    person("lately", last_signed_in_at=ago(89), created_at=ago(400))
    person("new", created_at=ago(89))
    person("stopped", created_at=ago(400), suspended_at=ago(1))
    person("elsewhere", created_at=ago(400), area="SW")
    session.commit()
    assert listed(Browser(app, admin), "/people/dormant") == {"long-ago@example.org", "never@example.org"}
    viewer = session.scalars(select(Person).where(Person.email == "new@example.org")).one()
    assert Browser(app, viewer).get("/people/dormant").status_code == 403


def test_several_are_suspended_and_let_in_again(app: Flask, session: Session, world: World, admin: Person) -> None:
    gone = [world.person(f"gone{n}@example.org", Role.VIEWER, "NEY", created_at=ago(100)) for n in range(3)]
    far = world.person("far@example.org", Role.VIEWER, "SW", created_at=ago(100))
    fresh = world.person("fresh@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser = Browser(app, admin)
    ids = [str(person.id) for person in (gone[0], gone[1], far, fresh)]
    assert browser.post("/people/dormant", {"people": ids}).status_code == 302

    def suspended() -> set[str]:
        session.rollback()
        return set(session.scalars(select(Person.email).where(Person.suspended_at.is_not(None))))

    assert suspended() == {"gone0@example.org", "gone1@example.org"}, "neither who is not ours nor who is not dormant"
    assert "You suspended gone0@example.org, gone1@example.org." in browser.get("/people/dormant").text
    assert len(actions(session, "person:suspend")) == 2
    assert browser.post("/people/dormant/undo").status_code == 302
    assert suspended() == set()
    assert len(actions(session, "person:restore")) == 2
    assert "You suspended" not in browser.get("/people/dormant").text
    nobody = browser.post("/people/dormant")
    assert (nobody.status_code, dormant.CHOOSE in nobody.text) == (400, True)
    assert browser.post("/people/dormant", {"people": "rubbish"}).status_code == 404


def test_one_who_cannot_be_suspended_does_not_stop_the_others(
    app: Flask, session: Session, world: World, admin: Person
) -> None:
    keeper = world.person("keeper@example.org", Role.CUSTODIAN, "NEY", created_at=ago(100))
    plain = world.person("plain@example.org", Role.VIEWER, "NEY", created_at=ago(100))
    session.commit()
    browser = Browser(app, admin)
    browser.post("/people/dormant", {"people": [str(keeper.id), str(plain.id)]})
    page = browser.get("/people/dormant").text
    assert "1 account suspended" in page
    assert "keeper: " in page
    session.rollback()
    assert (keeper.suspended_at, plain.suspended_at is not None) == (None, True)


def role(world: World, name: str, given: float, confirmed: float | None = None, area: str = "NEY") -> RoleAssignment:
    person = world.person(f"{name}@example.org", last_signed_in_at=clock.now())
    held = world.role(person, Role.VIEWER, area)
    held.created_at = ago(given)
    held.confirmed_at = ago(confirmed) if confirmed is not None else None
    return held


def test_which_roles_are_due(app: Flask, session: Session, world: World, admin: Person) -> None:
    role(world, "overdue", 200)
    role(world, "soon", 160)
    role(world, "later", 150)
    role(world, "confirmed", 400, confirmed=10)
    role(world, "confirmed-long-ago", 400, confirmed=190)
    role(world, "elsewhere", 400, area="SW")
    role(world, "over", 400).ends_at = ago(1)
    role(world, "stopped", 400).person.suspended_at = ago(1)
    session.commit()
    browser = Browser(app, admin)
    due = {"overdue@example.org", "soon@example.org", "confirmed-long-ago@example.org"}
    assert listed(browser, "/people/recertify") == due
    assert listed(browser, "/people/recertify?area=NEY") == due
    assert listed(browser, "/people/recertify?area=SW") == set()
    assert browser.get("/people/recertify").text.count("Overdue") == 2


def test_roles_are_confirmed_and_ended(app: Flask, session: Session, world: World, admin: Person) -> None:
    kept, gone = role(world, "kept", 200), role(world, "gone", 200)
    far = role(world, "far", 200, area="SW")
    own = admin.roles[0]
    own.created_at = ago(300)
    session.commit()
    ids = {held: str(held.id) for held in (kept, gone, far, own)}
    browser = Browser(app, admin)
    assert "Somebody else must confirm yours" in browser.get("/people/recertify").text
    browser.post("/people/recertify", {"act": "confirm", "roles": [ids[kept], ids[far], ids[own]]})
    assert "1 role confirmed" in browser.get("/people/recertify").text
    session.rollback()
    assert (kept.confirmed_at is not None, kept.confirmed_by_id) == (True, admin.id)
    assert (far.confirmed_at, own.confirmed_at) == (None, None), "nobody confirms their own, or another place's"
    assert len(actions(session, "role:confirm")) == 1
    browser.post("/people/recertify", {"act": "end", "roles": [ids[gone], ids[own]]})
    remaining = {str(held) for held in session.scalars(select(RoleAssignment.id))}
    assert ids[gone] not in remaining
    assert ids[own] in remaining
    assert listed(browser, "/people/recertify") == set()
    assert browser.post("/people/recertify", {"act": "confirm"}).status_code == 400


def test_custodians_look_at_custodians(app: Flask, session: Session, world: World) -> None:
    """A custodian who is no admin: exactly the custodians whom they could appoint, and not themselves."""
    trust = world.organisation("Our Trust", "NEY")
    keeper = world.person("keeper@example.org", Role.CUSTODIAN, "NEY")
    below = world.person("below@example.org", Role.CUSTODIAN, organisation=trust)
    beside = world.person("beside@example.org", Role.CUSTODIAN, "NEY")
    for person in (
        world.person("above@example.org", Role.CUSTODIAN),
        world.person("wider@example.org", Role.CUSTODIAN, "ENG"),
        world.person("far@example.org", Role.CUSTODIAN, "SW"),
        world.person("boss@example.org", Role.ADMIN, "NEY"),
        world.person("maker@example.org", Role.FACILITATOR, "NEY"),
        world.person("viewer@example.org", Role.VIEWER, organisation=trust),
    ):
        assert person.roles
    for held in session.scalars(select(RoleAssignment)):
        held.created_at = ago(200)
    session.commit()
    browser = Browser(app, keeper)
    home = browser.get("/").text
    assert 'href="/people/recertify"' in home
    page = browser.get("/people/recertify").text
    assert listed(browser, "/people/recertify") == {"below@example.org", "beside@example.org"}
    assert "Somebody else must confirm yours" in page
    assert 'href="/people/dormant"' not in page, "no tabs to pages that are closed to them"
    assert browser.get("/people/").status_code == 403
    ids = [str(held.id) for held in session.scalars(select(RoleAssignment))]
    for act, wanted, words in (("confirm", [below], "1 role confirmed"), ("end", [beside], "1 role ended")):
        mine = {str(person.roles[0].id) for person in wanted}
        others = [one for one in ids if one not in {str(below.roles[0].id), str(beside.roles[0].id)}]
        assert browser.post("/people/recertify", {"act": act, "roles": [*mine, *others]}).status_code == 302
        assert words in browser.get("/people/recertify").text
    assert [event.subject_id for event in actions(session, "role:confirm")] == [below.id]
    assert [event.subject_id for event in actions(session, "role:take")] == [beside.id]
    assert session.scalars(select(RoleAssignment.id).where(RoleAssignment.confirmed_at.is_not(None))).all() == [
        below.roles[0].id
    ]
    assert len(session.scalars(select(RoleAssignment)).all()) == len(ids) - 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FACILITATOR])
def test_who_can_give_no_role_looks_at_none(app: Flask, session: Session, world: World, role: Role) -> None:
    person = world.person("p@example.org", role, "NEY")
    session.commit()
    browser = Browser(app, person)
    assert "/people/recertify" not in browser.get("/").text
    assert browser.get("/people/recertify").status_code == 403
    assert browser.post("/people/recertify", {"act": "confirm"}).status_code == 403


def test_everybody_looks_at_exactly_what_they_could_give(session: Session) -> None:
    """Against the reference, which knows nothing of the policy's tables, and over everybody's page at once."""
    shown = of_custodians = 0
    for seed in range(3100, 3130):
        facts = random_world(session, seed)
        reference = Reference(facts)
        session.execute(update(RoleAssignment).values(created_at=ago(200)))
        rows = session.scalars(select(RoleAssignment)).all()
        for person in facts.people:
            who = access.load(session, person, facts.now)
            expected = {
                held.id
                for held in rows
                if reference.active(person)
                and reference.active(held.person_id)
                and (held.ends_at is None or held.ends_at > facts.now)
                and could_give(reference, person, held)
            }
            got = {held.id for held in certification.roles(session, who).rows}
            assert got == expected, (seed, person)
            if expected:
                assert policy.can(who, Action.ROLES_CERTIFY)
            shown += len(got)
            of_custodians += bool(got) and not policy.can(who, Action.PEOPLE_ADMINISTER)
        session.rollback()
    assert shown > 40
    assert of_custodians > 5, "custodians who are no admins are asked about"


def could_give(reference: Reference, person: uuid.UUID, held: RoleAssignment) -> bool:
    """As docs/access.md says it: an admin all roles but a custodian's, which takes one, or an admin of everywhere."""
    place: tuple[str | None, uuid.UUID | None] = (None, None)
    if held.area_id is not None:
        place = ("area", held.area_id)
    elif held.organisation_id is not None:
        place = ("org", held.organisation_id)
    if held.role is not Role.CUSTODIAN:
        return reference.has_over(person, {"admin"}, place)
    return reference.has_over(person, {"custodian"}, place) or reference.has_over(person, {"admin"}, (None, None))


def test_parts_count_what_is_listed(session: Session, world: World) -> None:
    boss = world.person("boss@example.org", Role.ADMIN)
    trust = world.organisation("Our Trust", "NEY")
    for number, place in enumerate([{"area": "NEY"}, {"organisation": trust}, {"area": "SW"}, {}]):
        held = world.role(world.person(f"p{number}@example.org"), Role.VIEWER, **place)  # type: ignore[arg-type]
        held.created_at = ago(200)
    session.flush()
    who = access.load(session, boss.id, clock.now())
    found = {part.code: part.roles for part in certification.parts(session, who)}
    assert found == {"all": 1, "NEY": 2, "SW": 1}
    for code, number in found.items():
        assert len(certification.roles(session, who, area=code).rows) == number


def test_appointable_is_may_appoint(session: Session) -> None:
    checks = 0
    for seed in range(3000, 3006):
        facts = random_world(session, seed)
        for person in facts.people:
            who = access.load(session, person, facts.now)
            listed = set(session.scalars(select(RoleAssignment.id).where(appointable(who))))
            for held in session.scalars(select(RoleAssignment)):
                single = may_appoint(
                    session, who, held.role, area_id=held.area_id, organisation_id=held.organisation_id
                )
                assert (held.id in listed) == single, (seed, person, held.role)
                checks += 1
        session.rollback()
    assert checks > 300
