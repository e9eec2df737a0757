"""Groups with managers and ends, and the list of people."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.db.audit import AuditEvent
from app.db.people import Group, GroupMembership, Person, Role
from app.domain import directory, groups
from app.domain.directory import PeopleFilter, State
from app.domain.places import Place
from app.errors import Invalid
from tests.support.world import Browser, World


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def test_a_manager_keeps_the_members_and_gets_nothing_else(app: Flask, world: World) -> None:
    manager = world.person("m@example.org", Role.VIEWER, "NEY")
    here = world.person("here@example.org", Role.VIEWER, "NEY")
    away = world.person("away@example.org", Role.VIEWER, "SW")
    group, other = world.group("Mine"), world.group("Other")
    recording = world.recording(published=True, area="SW", case=world.case(area="SW"))
    world.grant(recording, group_id=group.id)
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    theirs, path = Browser(app, manager), f"/groups/{group.id}"
    assert theirs.get(path).status_code == 404
    assert Browser(app, admin).post(f"{path}/managers", {"manager": manager.email}).status_code == 302
    assert "Groups that you manage" in theirs.get("/").text
    assert "Mine" in theirs.get("/groups").text
    assert "Other" not in theirs.get("/groups").text
    assert theirs.get(path).status_code == 200
    assert theirs.post(path, {"email": here.email}).status_code == 302
    unknown = theirs.post(path, {"email": "nobody@example.org"})
    elsewhere = theirs.post(path, {"email": away.email})
    assert unknown.status_code == elsewhere.status_code == 400
    assert unknown.text.count(groups.NOBODY) == elsewhere.text.count(groups.NOBODY) == 2
    assert theirs.post(f"{path}/members/{here.id}/leave").status_code == 302
    for closed in (f"{path}/edit", f"{path}/choose"):
        assert theirs.get(closed).status_code == 403
    for closed in (f"{path}/end", f"{path}/managers", f"{path}/managers/{manager.id}/drop", f"{path}/edit"):
        assert theirs.post(closed, {"manager": here.email, "name": "X"}).status_code == 403
    assert theirs.get(f"/groups/{other.id}").status_code == 404
    assert theirs.get("/people/").status_code == 403
    assert theirs.get(f"/people/{here.id}").status_code == 404
    assert theirs.get(f"/recordings/{recording.id}").status_code == 404, "managing a group is not being in it"
    assert Browser(app, admin).post(f"{path}/managers/{manager.id}/drop").status_code == 302
    assert theirs.get(path).status_code == 404


def test_a_group_that_ended_reaches_nobody(app: Flask, world: World) -> None:
    member = world.person("member@example.org")
    group = world.group(members=(member,))
    recording = world.recording(published=True)
    world.grant(recording, group_id=group.id)
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    theirs, browser = Browser(app, member), Browser(app, admin)
    assert theirs.get(f"/recordings/{recording.id}").status_code == 200
    form = {"name": "Renamed", "place": Place(area_id=world.area("NEY").id).code, "ends": "2001-01-01"}
    assert browser.post(f"/groups/{group.id}/edit", form).status_code == 400
    assert browser.post(f"/groups/{group.id}/edit", form | {"ends": "2999-07-01"}).status_code == 302
    assert browser.post(f"/groups/{group.id}/edit", form | {"ends": "", "place": "all"}).status_code == 400
    assert theirs.get(f"/recordings/{recording.id}").status_code == 200
    assert browser.post(f"/groups/{group.id}/end").status_code == 302
    assert theirs.get(f"/recordings/{recording.id}").status_code == 404
    assert browser.post(f"/groups/{group.id}/edit", form | {"ends": ""}).status_code == 302
    assert theirs.get(f"/recordings/{recording.id}").status_code == 200
    world.session.rollback()
    assert world.session.scalars(select(Group.name)).one() == "Renamed"


def test_pasting_says_what_became_of_each(app: Flask, world: World) -> None:
    inside, new = (world.person(f"{n}@example.org", Role.VIEWER, "NEY") for n in ("inside", "new"))
    world.person("away@example.org", Role.VIEWER, "SW")
    group = world.group(members=(inside,))
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    text = "Inside <INSIDE@example.org>; new@example.org,new@example.org\naway@example.org nobody@example.org"
    assert groups.addresses(text) == [f"{n}@example.org" for n in ("inside", "new", "away", "nobody")]
    browser = Browser(app, admin)
    assert browser.post(f"/groups/{group.id}/paste", {"addresses": "nothing"}).status_code == 400
    page = browser.post(f"/groups/{group.id}/paste", {"addresses": text}).text
    assert page.count(groups.NOBODY) == 2
    assert "2 of 4 addresses are in the group" in page
    world.session.rollback()
    assert set(world.session.scalars(select(GroupMembership.person_id))) == {inside.id, new.id}
    with pytest.raises(Invalid):
        groups.addresses(" ".join(f"p{n}@example.org" for n in range(groups.MOST_PASTED + 1)))


def test_choosing_from_the_list_puts_in_only_whom_one_may(app: Flask, world: World) -> None:
    here, away = (
        world.person("here@example.org", Role.VIEWER, "NEY"),
        world.person("away@example.org", Role.VIEWER, "SW"),
    )
    group = world.group()
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    browser = Browser(app, admin)
    page = browser.get(f"/groups/{group.id}/choose").text
    assert here.email in page
    assert away.email not in page
    chosen = {"person": [str(here.id), str(away.id), str(uuid.uuid4()), "x"]}
    assert browser.post(f"/groups/{group.id}/choose", chosen).status_code == 302
    world.session.rollback()
    assert list(world.session.scalars(select(GroupMembership.person_id))) == [here.id]


# -- the list of people ----------------------------------------------------------------------------------------------------


def test_all_boxes_count_and_each_account_is_in_one_state(world: World) -> None:
    now = clock.now()
    trust = world.organisation("Trust", "NEY")
    long_ago = now - directory.DORMANT_AFTER - timedelta(days=1)
    made = {
        State.INVITED: world.person("invited@example.org", Role.VIEWER, "NEY"),
        State.ACTIVE: world.person("active@example.org", Role.FACILITATOR, "NEY", last_signed_in_at=now),
        State.DORMANT: world.person("dormant@example.org", Role.ADMIN, "NEY", last_signed_in_at=long_ago),
        State.SUSPENDED: world.person("stopped@example.org", Role.VIEWER, "NEY", suspended_at=now),
        State.LEFT: world.person("left@example.org", organisation_id=trust.id, suspended_at=now, left_at=now),
    }
    world.role(made[State.ACTIVE], Role.CUSTODIAN, "NEY", ends_at=now)
    group = world.group("G", "NEY", (made[State.INVITED],))
    theirs = world.group("Theirs", "SW", (made[State.INVITED],))
    admin = access.load(world.session, world.person("z@example.org", Role.ADMIN, "NEY", last_signed_in_at=now).id, now)

    def found(**wanted: tuple[object, ...]) -> set[str]:
        page = directory.people(world.session, admin, PeopleFilter(**wanted))  # type: ignore[arg-type]
        return {person.email.partition("@")[0] for person in page.rows}

    assert found() == {"invited", "active", "dormant", "stopped", "left", "z"}
    assert found(roles=(Role.VIEWER, Role.FACILITATOR)) == {"invited", "stopped", "active"}
    assert found(roles=(Role.CUSTODIAN,)) == set(), "a role that ended counts no more"
    for state, person in made.items():
        assert directory.state_of(person, now) is state
        assert person.email.partition("@")[0] in found(states=(state,))
    assert found(states=(State.DORMANT, State.LEFT)) == {"dormant", "left"}
    assert found(organisation_ids=(trust.id,)) == {"left"}
    assert found(area_ids=(world.area("NEY").id,), roles=(Role.ADMIN,)) == {"dormant", "z"}
    assert found(area_ids=(world.area("SW").id,)) == set()
    assert found(group_ids=(group.id,)) == {"invited"}
    assert found(group_ids=(theirs.id,)) == set(), "nothing is told of groups that one does not keep"
    assert found(words="dorm") == {"dormant"}  # type: ignore[arg-type]


@pytest.mark.parametrize("sorting", directory.SORTINGS, ids=lambda s: s.name)
def test_pages_of_the_list_meet_in_every_order(
    world: World, monkeypatch: pytest.MonkeyPatch, sorting: directory.Sorting
) -> None:
    monkeypatch.setattr(directory, "PAGE", 3)
    now = clock.now()
    for n in range(8):
        world.person(
            f"P{n}@example.org",
            Role.VIEWER,
            "NEY",
            name="Same" if n % 2 else "",
            last_signed_in_at=now if n % 3 else None,
        )
    seen: list[uuid.UUID] = []
    after = ""
    while True:
        page = directory.people(world.session, access.SYSTEM, PeopleFilter(), sorting=sorting, after=after)
        seen += [person.id for person in page.rows]
        after = page.after
        if not after:
            break
    assert len(seen) == len(set(seen)) == 8


def test_the_export_holds_the_list_and_is_written_down(app: Flask, world: World) -> None:
    world.person("=evil@example.org", Role.VIEWER, "NEY", name="@SUM(1)")
    world.person("maker@example.org", Role.FACILITATOR, "NEY")
    world.person("away@example.org", Role.VIEWER, "SW")
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    answer = Browser(app, admin).post("/people/export", {"role": ["viewer", "facilitator"]})
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [row[:2] for row in rows[1:]] == [["'=evil@example.org", "'@SUM(1)"], ["maker@example.org", "maker"]]
    event = world.session.scalars(select(AuditEvent).where(AuditEvent.action == "people:export")).one()
    assert event.detail["rows"] == 2
    assert world.session.scalar(select(Person.id).where(Person.email == "away@example.org")) is not None
