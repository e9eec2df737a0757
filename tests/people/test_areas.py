"""The tree of areas: its editor, who may change what, and access that follows at the next request."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Action, policy
from app.db.audit import AuditEvent
from app.db.people import Role
from app.db.places import Area, AreaKind
from app.domain import areas, places, vocabulary
from app.errors import Conflict, Forbidden, Invalid
from tests.support.world import Browser, World


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def actor(world: World, role: Role, area: str | None) -> access.Actor:
    person = world.person(role=role, area=area)
    return access.load(world.session, person.id, clock.now())


def locality_of(world: World, code: str) -> Area:
    query = select(Area).where(Area.parent_id == world.area(code).id).order_by(Area.name)
    return world.session.scalars(query).first() or pytest.fail(f"{code} has no locality")


def test_kinds_follow_from_where_an_area_lies(world: World) -> None:
    chief = actor(world, Role.ADMIN, None)
    country = areas.add(world.session, chief, parent=None, name="Freedonia", code="FRE")
    region = areas.add(world.session, chief, parent=country, name="North", code="FRE-N")
    locality = areas.add(world.session, chief, parent=region, name="Harbour", code="FRE-N-harbour")
    assert [a.kind for a in (country, region, locality)] == list(AreaKind)
    with pytest.raises(Invalid):
        areas.add(world.session, chief, parent=locality, name="Quay", code="QUAY")


def test_countries_are_for_admins_of_everywhere(world: World) -> None:
    of_country = actor(world, Role.ADMIN, "ENG")
    england = world.area("ENG")
    for act in (
        lambda: areas.add(world.session, of_country, parent=None, name="X", code="XX"),
        lambda: areas.edit(world.session, of_country, england, name="Albion", code="ALB"),
        lambda: areas.delete(world.session, of_country, england),
    ):
        with pytest.raises(Forbidden):
            act()
    areas.edit(world.session, actor(world, Role.ADMIN, None), england, name="Albion", code="ALB")


def test_nobody_changes_areas_beyond_their_own(world: World) -> None:
    admin = actor(world, Role.ADMIN, "NEY")
    with pytest.raises(Forbidden):
        areas.add(world.session, admin, parent=world.area("SW"), name="X", code="X1")
    with pytest.raises(Forbidden):
        areas.delete(world.session, admin, world.area("NEY"))
    mine, theirs = locality_of(world, "NEY"), locality_of(world, "SW")
    for area, to in ((mine, world.area("SW")), (theirs, world.area("NEY"))):
        with pytest.raises(Forbidden):
            areas.move(world.session, admin, area, to, seen_in=area.parent_id or area.id)


@pytest.mark.parametrize("code", ["ney", "NEY", "all", "", "a b", "-x", "x" * 65, "SW"])
def test_codes_are_well_formed_and_once_only(world: World, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        areas.add(world.session, SYSTEM, parent=world.area("ENG"), name="New", code=code)
    assert "code" in refused.value.fields


def test_an_old_code_is_refused_and_no_start_brings_it_back(world: World) -> None:
    area = world.area("NEY")
    areas.edit(world.session, SYSTEM, area, name=area.name, code="NORTH")
    assert places.find_area(world.session, "north").id == area.id
    with pytest.raises(Invalid):
        places.find_area(world.session, "NEY")
    vocabulary.seed(world.session)
    with pytest.raises(Invalid):
        places.find_area(world.session, "NEY")


def test_a_move_keeps_kinds_and_makes_no_circle(world: World) -> None:
    region, locality = world.area("NEY"), locality_of(world, "NEY")
    for area, to in ((region, locality), (region, world.area("SW")), (locality, world.area("ENG")), (region, region)):
        with pytest.raises(Invalid):
            areas.effect_of_move(world.session, SYSTEM, area, to)
    with pytest.raises(Conflict):
        areas.move(world.session, SYSTEM, locality, world.area("SW"), seen_in=world.area("LON").id)


def test_access_follows_a_move_at_the_next_request(app: Flask, world: World) -> None:
    locality = locality_of(world, "NEY")
    trust = world.organisation("Trust", "NEY")
    trust.area_id = locality.id
    viewer = world.person("v@example.org", Role.VIEWER, organisation=trust)
    recording = world.recording(published=True)
    world.grant(recording, area="NEY")
    old_admin, new_admin = (world.person(role=Role.ADMIN, area=code) for code in ("NEY", "SW"))
    chief = world.person("chief@example.org", Role.ADMIN, None)
    world.session.commit()
    watching, old, new, boss = (Browser(app, p) for p in (viewer, old_admin, new_admin, chief))

    def seen() -> list[int]:
        return [
            watching.get(f"/recordings/{recording.id}").status_code,
            old.get(f"/organisations/{trust.id}").status_code,
            new.get(f"/organisations/{trust.id}").status_code,
        ]

    assert seen() == [200, 200, 404]
    move = f"/places/areas/{locality.id}/move"
    page = boss.get(f"{move}?to={world.area('SW').id}").text
    assert "Move " in page
    assert "North East and Yorkshire: 1 grant in force" in page
    assert boss.post(move, {"to": str(world.area("SW").id), "seen_in": str(locality.parent_id)}).status_code == 302
    assert seen() == [404, 404, 200]
    world.session.rollback()
    assert "area:move" in set(world.session.scalars(select(AuditEvent.action)))


def test_an_effect_counts_what_moves(world: World) -> None:
    locality = locality_of(world, "NEY")
    trust = world.organisation("Trust", "NEY")
    trust.area_id = locality.id
    world.person(organisation_id=trust.id)
    held = world.person(role=Role.FACILITATOR, organisation=trust)
    world.role(held, Role.VIEWER, locality.code)
    world.role(held, Role.ADMIN, locality.code, ends_at=clock.now())
    effect = areas.effect_of_move(world.session, SYSTEM, locality, world.area("SW"))
    assert (effect.organisations, effect.people, effect.roles) == (1, 2, 2)
    assert [w.area.code for w in effect.leaves] == ["NEY"]
    assert [w.area.code for w in effect.enters] == ["SW"]


def test_only_an_empty_area_is_deleted(world: World) -> None:
    area = areas.add(world.session, SYSTEM, parent=world.area("NEY"), name="Dale", code="DALE")
    person = world.person()
    held = world.role(person, Role.VIEWER, "DALE")
    with pytest.raises(Conflict, match="roles"):
        areas.delete(world.session, SYSTEM, area)
    held.ends_at = clock.now()
    trust = world.organisation("Trust", "DALE")
    with pytest.raises(Conflict, match="organisations"):
        areas.delete(world.session, SYSTEM, area)
    world.session.delete(trust)
    areas.delete(world.session, SYSTEM, area)
    assert world.session.scalar(select(Area.id).where(Area.code == "DALE")) is None


def test_the_tree_counts_each_person_once_and_only_whom_one_administers(world: World) -> None:
    trust = world.organisation("Trust", "NEY")
    both = world.person(role=Role.VIEWER, organisation=trust)
    world.role(both, Role.VIEWER, "NEY")
    elsewhere_too = world.person(role=Role.VIEWER, area="NEY")
    world.role(elsewhere_too, Role.VIEWER, "SW")
    admin = actor(world, Role.ADMIN, "NEY")
    (root,) = areas.tree(world.session, admin)
    assert root.area.code == "NEY"
    assert (root.organisations, root.people) == (1, 2), "the one with a role elsewhere is not this admin's to know"
    (england,) = (n for n in areas.tree(world.session, SYSTEM) if n.area.code == "ENG")
    assert england.people >= 3
    assert {a.code for a in world.session.scalars(policy.visible(admin, Action.AREA_ADMINISTER, clock.now()))} >= {
        "NEY"
    }
