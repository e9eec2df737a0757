"""Everywhere keeps an admin: whatever is done, in whatever way, and by how many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Actor
from app.core import Core
from app.db.people import Person, Role, RoleAssignment
from app.domain import leavers, people
from app.domain.places import Place
from app.errors import Conflict, VignetteError
from tests.support.world import World

Act = Callable[[Session, Actor, Person], object]


def _role(person: Person) -> RoleAssignment:
    return next(r for r in person.roles if r.role is Role.ADMIN and Place(r.area_id, r.organisation_id) == Place())


WAYS: dict[str, Act] = {
    "take the role": lambda s, who, p: people.take_role(s, who, _role(p)),
    "suspend": people.suspend,
    "leave": leavers.leave,
    "end the role": lambda s, who, p: people.end_role(s, who, _role(p), clock.now() + timedelta(days=1)),
    "give it again with an end": lambda s, who, p: people.give_role(
        s, who, p, Role.ADMIN, Place(), ends_at=clock.now() + timedelta(days=1)
    ),
}


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def load(session: Session, person: Person) -> Actor:
    return access.load(session, person.id, clock.now())


@pytest.mark.parametrize("way", WAYS)
def test_the_last_one_stays(world: World, way: str) -> None:
    last = world.person("last@example.org", Role.ADMIN, None)
    world.person("gone@example.org", Role.ADMIN, None, suspended_at=clock.now())
    world.person("left@example.org", Role.ADMIN, None, left_at=clock.now())
    world.role(world.person("ended@example.org"), Role.ADMIN, ends_at=clock.now())
    world.person("region@example.org", Role.ADMIN, "ENG")
    with pytest.raises(Conflict):
        WAYS[way](world.session, load(world.session, last), last)


@pytest.mark.parametrize("way", WAYS)
def test_one_of_two_can_go(world: World, way: str) -> None:
    one, other = (world.person(f"{n}@example.org", Role.ADMIN, None) for n in "ab")
    WAYS[way](world.session, load(world.session, one), one)
    with pytest.raises(Conflict):
        WAYS[way](world.session, load(world.session, other), other)


def test_one_whose_role_will_end_does_not_stand_in_for_ever(world: World) -> None:
    last = world.person("last@example.org", Role.ADMIN, None)
    world.role(world.person(), Role.ADMIN, ends_at=clock.now() + timedelta(days=9))
    with pytest.raises(Conflict):
        people.suspend(world.session, load(world.session, last), last)


@pytest.mark.parametrize("way", WAYS)
def test_two_who_remove_each_other_at_once(core: Core, world: World, way: str) -> None:
    """Both transactions have read that there are two admins; one of them must fail."""
    one, other = (world.person(f"{n}@example.org", Role.ADMIN, None).id for n in "ab")
    world.session.commit()
    ready, results = threading.Barrier(2, timeout=20), []

    def go(mine: object, theirs: object) -> None:
        try:
            with core.session() as session:
                person = session.get_one(Person, theirs)
                assert _role(person)
                who = access.load(session, mine, clock.now())  # type: ignore[arg-type]
                ready.wait()
                WAYS[way](session, who, person)
                session.commit()
            results.append("done")
        except VignetteError as error:
            results.append(type(error).__name__)

    threads = [threading.Thread(target=go, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["Conflict", "done"]
    world.session.rollback()
    lasting = world.session.scalars(
        select(Person.id)
        .join(RoleAssignment, RoleAssignment.person_id == Person.id)
        .where(RoleAssignment.role == Role.ADMIN, RoleAssignment.ends_at.is_(None), Person.suspended_at.is_(None))
    ).all()
    assert len(lasting) == 1
