"""Explaining access on pages: who can see a recording, one person's answer, and what a person can see."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action
from app.db.cases import CaseStatus
from app.db.grants import Grant
from app.db.people import Person, Role
from app.db.recordings import Recording
from app.domain import explaining
from tests.support.world import Browser, World


@pytest.fixture
def world(app: Flask, session: Session) -> World:
    return World(session)


@pytest.fixture
def recording(world: World) -> Recording:
    return world.recording(published=True, owner_id=world.person("owner@example.org", Role.FACILITATOR, "SW").id)


def actor(world: World, person: Person) -> access.Actor:
    world.session.flush()
    return access.load(world.session, person.id, clock.now())


@contextmanager
def counted(session: Session) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(*arguments: object) -> None:
        asked.append(str(arguments[2]))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def test_rules_and_heads_are_counted(world: World, recording: Recording) -> None:
    trust, other = world.organisation("Our Trust", "NEY"), world.organisation("Their Trust", "SW")
    maker = world.person("maker@example.org", Role.FACILITATOR, "NEY")
    world.person("keeper@example.org", Role.CUSTODIAN, "NEY")
    for number in range(3):
        world.person(f"ours{number}@example.org", organisation_id=trust.id)
    theirs = world.person("theirs@example.org", organisation_id=other.id)
    world.person("gone@example.org", organisation_id=trust.id, suspended_at=clock.now())
    world.grant(recording, organisation_id=trust.id, reason="A course")
    world.grant(recording, person_id=theirs.id)
    world.grant(recording, area="SW", starts_at=clock.now() + timedelta(days=2))
    world._add(Grant(case_id=recording.case_id, area_id=world.area("NEY").id, starts_at=clock.now()))
    found = explaining.picture(world.session, actor(world, maker), recording, "North East and Yorkshire")
    lines = [(line.people, line.standing, line.of_case) for line in found.lines]
    assert lines[:3] == [(1, "is in force", False)] * 3, "the owner, makers, custodians"
    assert sorted(lines[3:]) == sorted(
        [
            (3, "is in force", False),  # the trust, without the one suspended
            (1, "is in force", False),  # by name
            (0, "has not begun", False),
            (5, "is in force", True),  # the region by the case: three at the trust, maker and keeper
        ]
    )
    assert {(h.organisation, h.people) for h in found.heads} == {
        ("Our Trust", 3),
        (explaining.OTHER_ORGANISATIONS, 1),
        (explaining.NO_ORGANISATION, 2),
        (explaining.NO_ORGANISATION, 1),
    }
    assert found.total == 7


def test_a_closed_recording_counts_nobody_of_its_audience(world: World, recording: Recording) -> None:
    owner = recording.owner
    assert owner is not None
    world.person("viewer@example.org", Role.VIEWER, "NEY")
    world.grant(recording, area="NEY")
    for change in ({"published_at": None}, {"watchable_at": None}):
        kept = {name: getattr(recording, name) for name in change}
        for name, value in change.items():
            setattr(recording, name, value)
        found = explaining.picture(world.session, actor(world, owner), recording, "x")
        assert (found.total, found.lines[-1].people, found.lines[-1].standing) == (1, 1, "is not open yet")
        assert found.missing == ["It is not so that it is published and can be watched."]
        for name, value in kept.items():
            setattr(recording, name, value)
    recording.case.status = CaseStatus.RETIRED
    world.session.flush()
    assert explaining.missing_for_audience(world.session, recording.id, clock.now()) == [
        "It is not so that its case is live."
    ]


def test_the_answer_for_a_person_says_what_is_missing(world: World, recording: Recording) -> None:
    near, far = world.person("n@example.org", Role.VIEWER, "NEY"), world.person("f@example.org", Role.VIEWER, "SW")
    ended = world.grant(recording, area="NEY", revoked_at=clock.now() - timedelta(minutes=1))
    waiting = world.grant(recording, area="NEY", needs_approval=True)

    def ask(person: Person) -> explaining.Answer:
        return explaining.answer(world.session, person, Action.RECORDING_VIEW, recording.id)

    area = ended.audience_name
    assert ask(far).missing == ["No grant in force reaches them."]
    assert ask(near).missing == [
        "No grant in force reaches them.",
        f"A grant to {area} names them, but it was ended.",
        f"A grant to {area} names them, but it waits for approval.",
    ]
    waiting.approved_at = clock.now()
    world.session.flush()
    opened = ask(near)
    assert opened.allowed and opened.missing == []
    assert [v.rule for v in opened.verdicts if v.holds and v.role == "allow"] == ["in-audience"]
    near.suspended_at = clock.now()
    world.session.flush()
    assert ask(near).sentences == ["n may not watch this recording: the account is suspended."]
    near.suspended_at, near.left_at = None, clock.now()
    world.session.flush()
    assert ask(near).sentences == ["n may not watch this recording: they have left."]


def test_the_page_knows_only_those_whom_the_asker_may_know(
    app: Flask, session: Session, world: World, recording: Recording
) -> None:
    maker = world.person("maker@example.org", Role.FACILITATOR, "NEY")
    near = world.person("known@example.org", Role.VIEWER, "NEY")
    far = world.person("hidden@example.org", Role.VIEWER, "SW", name="Hidden Person")
    world.grant(recording, person_id=near.id)
    session.commit()
    browser, path = Browser(app, maker), f"/recordings/{recording.id}/access"
    assert "known may watch this recording, because it is published" in browser.get(f"{path}?q=KNOWN@").text

    def said(query: str) -> str:
        page = browser.get(f"{path}?{query}")
        assert page.status_code == 200
        return re.sub(
            r'(csrf-token" content|csrf_token" value|session-ends" content|name="q"|value)="[^"]*"', "", page.text
        )

    unknown = said(f"person={uuid.uuid4()}")
    assert "There is nobody by that name here." in unknown
    assert said(f"person={far.id}") == unknown
    assert said("q=hidden%40example.org") == said("q=nobodyatall%40example.org")
    assert said("q=Hidden+Person") == said("q=%25")
    assert "example.org" in said("q=example.org"), "several are offered to choose from"
    assert "hidden@" not in said("q=example.org")
    assert Browser(app, near).get(path).status_code == 403
    assert Browser(app, far).get(path).status_code == 404


def test_what_a_person_sees_is_cut_to_what_the_asker_sees(app: Flask, session: Session, world: World) -> None:
    admin = world.person("admin@example.org", Role.ADMIN, "NEY")
    viewer = world.person("viewer@example.org", Role.VIEWER, "NEY")
    shared = world.recording(title="Shared with the region", published=True)
    theirs = world.recording(title="Theirs alone", area="SW", published=True)
    world.recording(title="Not shared", published=True)
    world.grant(shared, area="NEY")
    world.grant(theirs, person_id=viewer.id)
    session.commit()
    text = Browser(app, admin).get(f"/people/{viewer.id}/access").text
    area = world.area("NEY").name
    assert "Shared with the region" in text and f"(everyone in {area})" in text
    assert "Theirs alone" not in text and "Not shared" not in text
    assert "neither listed nor counted" in text
    assert Browser(app, viewer).get(f"/people/{admin.id}/access").status_code == 404


def test_the_questions_do_not_grow_with_people(session: Session, world: World, recording: Recording) -> None:
    trust = world.organisation("Our Trust", "NEY")
    maker = world.person("maker@example.org", Role.FACILITATOR, "NEY")
    world.grant(recording, area="NEY")
    who = actor(world, maker)
    asked = []
    for more in (1, 400):
        session.execute(
            insert(Person),
            [
                {"id": uuid.uuid4(), "email": f"{uuid.uuid4()}@example.org", "organisation_id": trust.id}
                for _ in range(more)
            ],
        )
        for _ in range(more // 40):
            person_id = session.scalar(select(Person.id).where(Person.email.like("%-%")).limit(1))
            world.grant(recording, person_id=person_id)
        session.expire_all()
        with counted(session) as queries:
            found = explaining.picture(session, who, recording, "x")
        asked.append(len(queries))
    assert found.total == 403
    assert asked[0] == asked[1] <= 9
