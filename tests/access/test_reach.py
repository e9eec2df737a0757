"""Whom a recording reaches is whom the policy lets watch it: the same question asked from both sides."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import event
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from app.access.reach import reach
from app.db.people import Role
from tests.access.worlds import random_world
from tests.support.world import World

WORLDS = 40


def test_reach_is_the_policy_read_backwards(session: Session) -> None:
    checks = reached_in_all = 0
    for seed in range(1000, 1000 + WORLDS):
        facts = random_world(session, seed)
        actors = {person: access.load(session, person, facts.now) for person in facts.people}
        may = {
            person: {r.id for r in session.scalars(policy.visible(who, Action.RECORDING_VIEW, facts.now))}
            for person, who in actors.items()
        }
        for recording in facts.recordings:
            people = list(session.scalars(reach(recording, facts.now)))
            assert len(people) == len(set(people)), "each person once"
            assert set(people) & facts.people.keys() == {p for p, seen in may.items() if recording in seen}, seed
            checks += len(facts.people)
            reached_in_all += len(people)
        session.rollback()
    assert checks > 2000
    assert 0.1 < reached_in_all / checks < 0.9, "the worlds ask real questions"


def test_nobody_is_reached_by_what_does_not_exist(session: Session) -> None:
    random_world(session, 3)
    assert list(session.scalars(reach(uuid.uuid4(), clock.now()))) == []


def test_it_is_one_question_however_many_grants_there_are(session: Session) -> None:
    world = World(session)
    recording = world.recording(published=True)
    people = [world.person(role=Role.VIEWER, area="NEY") for _ in range(30)]
    for person in people:
        world.grant(recording, person_id=person.id, starts_at=clock.now() - timedelta(hours=1))
    world.grant(recording, area="ENG")
    session.flush()
    asked: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert set(session.scalars(reach(recording.id, clock.now()))) == {person.id for person in people}
    assert len(asked) == 1
