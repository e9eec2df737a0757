"""Invitations from a file: reading it, what each row would do, and doing it."""

from __future__ import annotations

import base64
import csv
import io
import re
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Actor
from app.access.places import may_appoint
from app.db.audit import AuditEvent
from app.db.people import GroupMembership, Person, Role, RoleAssignment
from app.domain import imports, spreadsheets
from app.domain.imports import Kind, Row
from app.errors import Invalid, TooLarge
from tests.support.world import Browser, World

CELL = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x00"), max_size=30).map(str.strip)


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def admin_of(world: World, area: str | None) -> Actor:
    return access.load(world.session, world.person(role=Role.ADMIN, area=area).id, clock.now())


def kinds(report: imports.Report) -> list[Kind]:
    return [outcome.kind for outcome in report.outcomes]


# -- the file --------------------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8),
    delimiter=st.sampled_from(spreadsheets.DELIMITERS),
    order=st.permutations(["email", "name", "role"]),
    mark=st.booleans(),
)
def test_what_a_spreadsheet_writes_is_read_as_it_was(
    rows: list[tuple[str, str, str]], delimiter: str, order: list[str], mark: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, order, delimiter=delimiter)
    writer.writerow({name: name.upper() for name in order})
    expected = []
    for email, name, role in rows:
        row = {"email": f"{email}@", "name": name, "role": role[:32]}
        writer.writerow(row)
        expected.append((row["email"], name, role[:32]))
    read = imports.parse(text.getvalue().encode("utf-8-sig" if mark else "utf-8"))
    assert [(r.email, r.name, r.role) for r in read] == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    try:
        rows = imports.parse(b"email,role\n" + data)
    except Invalid as error:
        assert str(error)
    else:
        assert all(isinstance(row, Row) and row.line > 1 for row in rows)


def test_old_excel_and_line_numbers() -> None:
    data = "Name;E-mail\r\n".replace("E-mail", "Email") + '"Zoë\r\nMüller";z@example.org\r\n\r\nY;y@example.org\r\n'
    rows = imports.parse(data.encode("cp1252"))
    assert [(r.line, r.name, r.email) for r in rows] == [
        (2, "Zoë\r\nMüller", "z@example.org"),
        (5, "Y", "y@example.org"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"name\nx\n", b"email\n", b"email,email\na@b.cd,c@d.ef\n", b"email,untill\na@b.cd,2030-01-01\n",
        b"email\n\x00\n", b'email\n"a@b.cd\n', b"\x81\x8d\xff",
    ],
)  # fmt: skip
def test_files_that_are_no_such_list(data: bytes) -> None:
    with pytest.raises(Invalid):
        imports.parse(data)


def test_limits() -> None:
    assert len(imports.parse(b"email\n" + b"a@example.org\n" * imports.MOST_ROWS)) == imports.MOST_ROWS
    with pytest.raises(TooLarge):
        imports.parse(b"email\n" + b"a@example.org\n" * (imports.MOST_ROWS + 1))
    with pytest.raises(TooLarge):
        imports.parse(b"email\n" + b"a" * imports.MOST_BYTES)
    (long,) = imports.parse(b"email,name\na@example.org," + b"x" * 201 + b"\n")
    assert long.fault
    (wide,) = imports.parse(b"email\na@example.org,more\n")
    assert wide.fault


@given(st.text(max_size=20))
def test_no_cell_that_is_written_is_a_formula(text: str) -> None:
    cell = spreadsheets.guarded(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.removeprefix("'") == text.removeprefix("'")


# -- what rows do ----------------------------------------------------------------------------------------------------------


def test_outcomes(world: World) -> None:
    trust, other = world.organisation("Trust", "NEY"), world.organisation("Other", "NEY")
    world.organisation("Theirs", "SW")
    group = world.group("Cohort", "NEY")
    here = world.person("here@example.org", Role.VIEWER, "NEY", organisation_id=trust.id)
    member = world.person("member@example.org", Role.VIEWER, "NEY")
    world.group("Twice", "NEY", (member,))
    world.group("Twice", "NEY")
    table: list[tuple[dict[str, str], Kind]] = [
        ({"email": "new@example.org", "role": "viewer", "area": "ney"}, Kind.INVITE),
        ({"email": "NEW@example.org", "role": "Facilitator", "organisation": "trust"}, Kind.ROLE),
        ({"email": "new@example.org", "role": "viewer", "area": "NEY"}, Kind.SAME),
        ({"email": "here@example.org", "role": "viewer", "area": "NEY"}, Kind.SAME),
        ({"email": "here@example.org", "role": "viewer", "area": "NEY", "until": "31/03/2999"}, Kind.CHANGE),
        ({"email": "here@example.org", "role": "admin", "organisation": "Trust"}, Kind.ROLE),
        ({"email": "here@example.org", "group": "cohort"}, Kind.CHANGE),
        ({"email": "here@example.org", "group": "Cohort"}, Kind.SAME),
        ({"email": "here@example.org", "organisation": "Other"}, Kind.REFUSED),
        ({"email": "member@example.org", "organisation": "Other"}, Kind.CHANGE),
        ({"email": "stranger@example.org", "group": "Cohort"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "boss", "area": "NEY"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "Nowhere"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "NEY", "until": "2001-01-01"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "NEY", "until": "soon"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "SW"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "all"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "custodian", "area": "NEY"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "organisation": "Theirs"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "organisation": "No such"}, Kind.REFUSED),
        ({"email": "a@example.org", "role": "viewer", "area": "NEY", "group": "Twice"}, Kind.REFUSED),
        ({"email": "no address", "role": "viewer", "area": "NEY"}, Kind.REFUSED),
    ]  # fmt: skip
    rows = [Row(line, **cells) for line, (cells, _) in enumerate(table, 2)]
    who = admin_of(world, "NEY")
    before = [world.session.scalar(select(func.count()).select_from(t)) for t in (Person, RoleAssignment, AuditEvent)]
    dry = imports.dry_run(world.session, who, rows)
    assert kinds(dry) == [kind for _, kind in table]
    world.session.flush()
    after = [world.session.scalar(select(func.count()).select_from(t)) for t in (Person, RoleAssignment, AuditEvent)]
    assert after == before, "looking writes nothing"
    theirs, unknown = (o.detail for o in dry.outcomes if o.email == "a@example.org" and "organisation of" in o.detail)
    assert theirs == unknown
    done = imports.carry_out(world.session, who, rows, digest="d")
    assert kinds(done) == kinds(dry)
    assert [p.email for p in done.invited] == ["new@example.org"]
    new = done.invited[0]
    assert {r.role for r in new.roles} == {Role.VIEWER, Role.FACILITATOR}
    assert world.session.get(GroupMembership, (group.id, here.id)) is not None
    assert member.organisation_id == other.id
    again = imports.dry_run(world.session, who, rows[:1])
    assert kinds(again) == [Kind.SAME]


def test_a_row_about_somebody_elsewhere_reads_as_one_about_somebody_new(world: World) -> None:
    """Before and after, whatever there is about them elsewhere, and it gives their account nothing but the role."""
    group = world.group("Cohort", "NEY")
    hidden = [
        world.person("away0@example.org", Role.VIEWER, "SW", name=""),
        world.person("away1@example.org", Role.ADMIN, None, password_hash="x"),
        world.person("away2@example.org", Role.VIEWER, "SW", suspended_at=clock.now()),
        world.person("away3@example.org"),
        world.person("away4@example.org", Role.VIEWER, "SW"),
        world.person("away5@example.org", left_at=clock.now(), suspended_at=clock.now()),
    ]
    world.role(hidden[4], Role.VIEWER, "NEY")
    world.session.add(GroupMembership(group_id=group.id, person_id=hidden[4].id))
    who = admin_of(world, "NEY")

    def rows(prefix: str) -> list[Row]:
        found = []
        for n in range(len(hidden)):
            common: dict[str, Any] = {"email": f"{prefix}{n}@example.org", "name": "Given", "area": "NEY"}
            found += [
                Row(2, **common, group="Cohort"),
                Row(3, **common, role="viewer"),
                Row(4, **common, role="viewer", group="Cohort"),
                Row(5, **common, role="facilitator"),
                Row(6, **common, role="viewer", until="2999-01-01"),
            ]
        return found

    def told(report: imports.Report) -> list[tuple[int, Kind, str]]:
        return [(o.line, o.kind, o.detail) for o in report.outcomes]

    assert told(imports.dry_run(world.session, who, rows("away"))) == told(
        imports.dry_run(world.session, who, rows("new"))
    )
    known = imports.carry_out(world.session, who, rows("away"), digest="d")
    assert told(known) == told(imports.carry_out(world.session, who, rows("new"), digest="d"))
    assert hidden[0].name == ""
    assert hidden[2].suspended_at is not None
    assert hidden[0].organisation_id is None
    sendable = [p.email for p in known.invited if imports.can_be_invited(world.session, who, p)]
    assert "away1@example.org" not in sendable, "whoever holds a link to this account could be an admin of everywhere"
    assert "away2@example.org" not in sendable


@pytest.mark.parametrize("holder", list(Role))
@pytest.mark.parametrize("area", [None, "NEY", "NEY-locality"])
def test_every_role_everywhere_is_given_only_by_whoever_may(world: World, holder: Role, area: str | None) -> None:
    locality = world.session.scalars(select(access.actor.Area.code).where(access.actor.Area.code.like("NEY-%"))).first()
    code = locality if area == "NEY-locality" else area
    who = access.load(world.session, world.person(role=holder, area=code).id, clock.now())
    trust = world.organisation("Trust", "NEY")
    places = [("all", None), ("ENG", "ENG"), ("NEY", "NEY"), ("SW", "SW"), (str(locality), locality)]
    for role in Role:
        for word, at in places:
            area_id = world.area(at).id if at else None
            report = imports.dry_run(world.session, who, [Row(2, email="n@example.org", role=role.value, area=word)])
            expected = may_appoint(world.session, who, role, area_id=area_id)
            assert (kinds(report) == [Kind.INVITE]) == expected, (role, word)
        row = Row(2, email="n@example.org", role=role.value, organisation="Trust")
        given = kinds(imports.dry_run(world.session, who, [row])) == [Kind.INVITE]
        if given:
            assert may_appoint(world.session, who, role, organisation_id=trust.id)


def test_the_last_admin_gets_no_end_by_a_file(world: World) -> None:
    chief = world.person("chief@example.org", Role.ADMIN, None)
    row = Row(2, email=chief.email, role="admin", area="all", until="2999-01-01")
    assert kinds(imports.carry_out(world.session, SYSTEM, [row], digest="d")) == [Kind.REFUSED]
    assert chief.roles[0].ends_at is None


# -- the pages -------------------------------------------------------------------------------------------------------------


def test_a_file_is_looked_at_and_then_done(app: Flask, world: World) -> None:
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    world.session.commit()
    browser = Browser(app, admin)
    data = b"email,name,role,area\n=cmd@example.org,=1+1,viewer,NEY\nb@example.org,B,viewer,SW\n"
    assert browser.post("/people/import/", {}).status_code == 400
    page = browser.post("/people/import/", {"file": (io.BytesIO(data), "people.csv")})
    assert page.status_code == 200
    assert "Will be invited: 1" in page.text
    world.session.rollback()
    assert world.session.scalar(select(func.count()).select_from(Person)) == 1
    found = {name: re.search(rf'name="{name}" value="([^"]+)"', page.text) for name in ("packed", "digest")}
    form = {name: match[1] for name, match in found.items() if match}
    assert browser.post("/people/import/confirm", {**form, "digest": "0" * 64}).status_code == 409
    assert browser.post("/people/import/confirm", {**form, "packed": "nothing"}).status_code == 409
    done = browser.post("/people/import/confirm", form)
    assert done.status_code == 200
    saved = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', done.text)
    assert saved
    table = list(csv.reader(io.StringIO(base64.b64decode(saved[1]).decode("utf-8-sig"))))
    assert table[1][:3] == ["2", "'=cmd@example.org", "Invited"]
    assert table[2][:3] == ["3", "b@example.org", "Refused"]
    world.session.rollback()
    assert world.session.scalar(select(Person.name).where(Person.email == "=cmd@example.org")) == "=1+1"
    event = world.session.scalars(select(AuditEvent).where(AuditEvent.action == "people:import")).one()
    assert event.detail["digest"] == form["digest"]
    assert event.detail["rows"]["invite"] == 1
