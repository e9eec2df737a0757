"""The policy against the reference over many small random worlds.

In each world one person is asked every action on every row of it. `make test` asks some; all 40,000 with

    WORLDS=40000 .venv/bin/python -m pytest -q -n 2 tests/access/test_many_worlds.py
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from tests.access.questions import QUESTIONS
from tests.access.reference import Facts, Reference
from tests.access.worlds import SMALL, draw, parents_of, store

WORLDS = int(os.environ.get("WORLDS", "800"))
PARTS = 4
#: Worlds that are in the database at once. They share nothing but the areas.
BATCH = 100
#: Actions by the table that they are about: one query asks them all.
ABOUT: dict[type[Any], list[Action]] = defaultdict(list)
for _action, _policy in policy.POLICIES.items():
    ABOUT[_policy.table].append(_action)


def differences(session: Session, seed: int, facts: Facts) -> tuple[list[Any], int, int]:
    """Answers of the policy that are not the reference's; how many were asked, and how many were yes."""
    reference, wrong, asked, yes = Reference(facts), [], 0, 0
    for person in list(facts.people)[:1]:
        who = access.load(session, person, facts.now)
        for table, actions in ABOUT.items():
            ids = list(QUESTIONS[actions[0]][1](facts))
            answers = session.execute(
                select(
                    table.id, *(policy.where(who, action, facts.now).label(f"a{n}") for n, action in enumerate(actions))
                ).where(table.id.in_(ids))
            ).all()
            assert len(answers) == len(ids)
            for row_id, *got in answers:
                for action, answer in zip(actions, got, strict=True):
                    expected = QUESTIONS[action][0](reference, person, row_id)
                    asked, yes = asked + 1, yes + expected
                    if bool(answer) != expected:
                        wrong.append((seed, str(action), person, row_id, f"expected {expected}"))
    return wrong, asked, yes


@pytest.mark.parametrize("part", range(PARTS))
def test_small_worlds(session: Session, part: int, record_property: Any) -> None:
    seeds = range(part, WORLDS, PARTS)
    parents, asked, yes = parents_of(session), 0, 0
    session.rollback()
    compiled: dict[Any, Any] = {}  # predicates come in a few hundred shapes; each is compiled once
    for start in range(0, len(seeds), BATCH):
        session.connection(execution_options={"compiled_cache": compiled})
        now = clock.now()
        worlds = [(seed, *draw(seed, parents, now, SMALL)) for seed in seeds[start : start + BATCH]]
        store(session, [rows for _, _, rows in worlds])
        for seed, facts, _ in worlds:
            wrong, more, more_yes = differences(session, seed, facts)
            assert not wrong, wrong[:10]
            asked, yes = asked + more, yes + more_yes
        session.rollback()
    record_property("worlds", len(seeds))
    record_property("checks", asked)
    # the worlds must ask real questions: neither nearly all yes nor nearly all no
    assert 0.05 < yes / asked < 0.6
