"""The policy against an independent reference, over random worlds: list, single answer, require and explanation agree."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy.orm import Session

from app import access
from app.access import ANONYMOUS, SCOPES, SYSTEM, Action, policy
from app.db.cases import Case
from app.db.grants import AccessRequest, Grant
from app.db.materials import Material
from app.db.people import Group, Person
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from app.errors import Forbidden, NotFound
from tests.access.questions import QUESTIONS
from tests.access.reference import Reference
from tests.access.worlds import random_world

WORLDS = 6


def test_every_row_action_is_asked() -> None:
    assert QUESTIONS.keys() == policy.POLICIES.keys()
    assert policy.POLICIES.keys() | policy.CAPABILITIES.keys() == set(Action)
    assert not policy.POLICIES.keys() & policy.CAPABILITIES.keys()


def test_list_single_explain_and_reference_agree(session: Session) -> None:
    checks = allowed = 0
    for seed in range(WORLDS):
        facts = random_world(session, seed)
        reference = Reference(facts)
        for person in facts.people:
            who = access.load(session, person, facts.now)
            for action, (ask, rows) in QUESTIONS.items():
                table = policy.POLICIES[action].table
                listed = {row.id for row in session.scalars(policy.visible(who, action, facts.now))}
                for row_id in rows(facts):
                    expected = ask(reference, person, row_id)
                    assert (row_id in listed) == expected, (seed, action, person, row_id)
                    checks += 1
                    allowed += expected
                # a single row, its explanation and `require`, for one row of each list
                for row_id in list(rows(facts))[:1]:
                    expected = ask(reference, person, row_id)
                    assert policy.allows(session, who, action, row_id, facts.now) == expected
                    verdict, reasons = policy.explain(session, who, action, row_id, facts.now)
                    assert verdict == expected
                    if who.active:
                        opened = any(v.holds for v in reasons if v.role == "allow")
                        met = all(v.holds for v in reasons if v.role == "need")
                        assert (opened and met) == expected, (seed, action, reasons)
                    first = QUESTIONS[policy.POLICIES[action].first][0](reference, person, row_id)
                    if expected:
                        assert policy.require(session, who, action, table, row_id, facts.now).id == row_id
                    else:
                        with pytest.raises(Forbidden if first else NotFound):
                            policy.require(session, who, action, table, row_id, facts.now)
        session.rollback()
    # the worlds must ask real questions: neither nearly all yes nor nearly all no
    assert checks > 3_000
    assert 0.05 < allowed / checks < 0.6


def test_nobody_and_system(session: Session) -> None:
    facts = random_world(session, 1)
    for action, (_, rows) in QUESTIONS.items():
        assert not list(session.scalars(policy.visible(ANONYMOUS, action, facts.now)))
        everything = {row.id for row in session.scalars(policy.visible(SYSTEM, action, facts.now))}
        assert everything >= set(rows(facts))
    for action in policy.CAPABILITIES:
        assert not policy.can(ANONYMOUS, action)
        assert policy.can(SYSTEM, action)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_only_narrows(session: Session, scope: str) -> None:
    for seed in range(3):
        facts = random_world(session, seed)
        for person in facts.people:
            whole = access.load(session, person, facts.now)
            narrowed = whole.narrowed("token", SCOPES[scope]) if whole.active else whole
            for action in QUESTIONS:
                full = {row.id for row in session.scalars(policy.visible(whole, action, facts.now))}
                part = {row.id for row in session.scalars(policy.visible(narrowed, action, facts.now))}
                assert part == (full if action in SCOPES[scope] else set())
            for action in policy.CAPABILITIES:
                assert policy.can(narrowed, action) == (policy.can(whole, action) and action in SCOPES[scope])
        session.rollback()


def test_an_embed_sees_its_own_material_only(session: Session) -> None:
    seen = 0
    for seed in range(8):
        facts = random_world(session, seed)
        for person in facts.people:
            whole = access.load(session, person, facts.now)
            if not whole.active:
                continue
            for material, fact in facts.materials.items():
                embed = whole.narrowed("embed", access.EMBED_ACTIONS, material)
                materials = {m.id for m in session.scalars(policy.visible(embed, Action.MATERIAL_VIEW, facts.now))}
                assert materials <= {material}
                recordings = {r.id for r in session.scalars(policy.visible(embed, Action.RECORDING_VIEW, facts.now))}
                full = {r.id for r in session.scalars(policy.visible(whole, Action.RECORDING_VIEW, facts.now))}
                assert recordings == full & set(fact["recordings"])
                assert not list(session.scalars(policy.visible(embed, Action.CASE_VIEW, facts.now)))
                seen += len(recordings)
        session.rollback()
    assert seen > 5


def test_a_row_of_another_kind_is_a_programming_error(session: Session) -> None:
    with pytest.raises(TypeError):
        policy.require(session, SYSTEM, Action.CASE_VIEW, Recording, uuid.uuid4(), access.actor.datetime.now())
    assert {p.table for p in policy.POLICIES.values()} == {
        Case,
        Recording,
        Material,
        Person,
        Area,
        Organisation,
        Group,
        Grant,
        AccessRequest,
    }
