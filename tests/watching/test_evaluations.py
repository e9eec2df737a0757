"""Scores: sending, replacing, counting, and keeping quiet while too few have scored."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.evaluations import Evaluation, Score
from app.db.people import Role
from app.domain import evaluations, vocabulary
from app.domain.evaluations import Results, Tally
from tests.support.world import Browser
from tests.watching.conftest import Scene


def form(session: Session, *values: int, reflection: str = "") -> dict[str, str]:
    questions = vocabulary.evaluation_questions(session)
    assert len(questions) == len(values)
    return {str(q.id): str(v) for q, v in zip(questions, values, strict=True)} | {"reflection": reflection}


def test_scores_are_kept_and_replaced(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    url = f"{scene.path}/evaluation"
    answer = browser.post(url, form(session, 1, 2, 3, 4, 5, reflection="Mine alone"))
    assert answer.status_code == 302
    browser.post(url, form(session, 5, 5, 5, 5, 2, reflection="Second thoughts"))
    assert session.scalar(select(func.count()).select_from(Evaluation)) == 1
    assert sorted(session.scalars(select(Score.value))) == [2, 5, 5, 5, 5]
    page = browser.get(scene.path).text
    assert "Second thoughts" in page
    assert "Your scores" in page
    assert len(re.findall(r'type="radio"[^>]* checked', page)) == 5
    assert "Second thoughts" not in Browser(app, scene.maker).get(scene.path).text
    assert "Second thoughts" not in Browser(app, scene.maker).get(url).text


def test_a_missing_score_is_named_and_nothing_is_lost(app: Flask, session: Session, scene: Scene) -> None:
    browser = Browser(app, scene.viewer)
    data = form(session, 1, 2, 3, 4, 5, reflection="Still here")
    missing = next(iter(data))
    for wrong in (None, "0", "6", "x", "4.5"):
        sent = {k: v for k, v in data.items() if k != missing} | ({missing: wrong} if wrong else {})
        answer = browser.post(f"{scene.path}/evaluation", sent)
        assert answer.status_code == 400
        assert "<title>Error: " in answer.text
        assert f'href="#{missing}"' in answer.text
        assert f'id="{missing}"' in answer.text
        assert "Still here" in answer.text
        assert len(re.findall(r'type="radio"[^>]* checked', answer.text)) == 4
    assert session.scalar(select(func.count()).select_from(Evaluation)) == 0


def test_figures_come_from_five_people_on(app: Flask, session: Session, scene: Scene) -> None:
    people = [scene.world.person(f"p{n}@example.org", Role.VIEWER, "NEY") for n in range(5)]
    session.commit()
    maker, url = Browser(app, scene.maker), f"{scene.path}/evaluation"
    for n, person in enumerate(people):
        page = maker.get(url).text
        assert "Fewer than 5 people" in page
        assert "<table" not in page
        assert "%" not in re.sub(r"<(head|script)[\s\S]*?</\1>", "", page)
        assert Browser(app, person).post(url, form(session, 5, 4, 3, 2, 1 if n else 5)).status_code == 302
    page = maker.get(url).text
    assert "5 people have scored" in page
    # of 25 scores, 5 fives, 5 fours and one more five are good
    assert "<strong>44%</strong>" in page
    cells = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr[\s\S]*?</tr>", page)[1:]]
    assert [row[-7:] for row in cells] == [
        ["5", "100%", "0", "0", "0", "0", "5"],
        ["5", "100%", "0", "0", "0", "5", "0"],
        ["5", "0%", "0", "0", "5", "0", "0"],
        ["5", "0%", "0", "5", "0", "0", "0"],
        ["5", "20%", "4", "0", "0", "0", "1"],
    ]


def test_who_may(app: Flask, session: Session, scene: Scene) -> None:
    url = f"{scene.path}/evaluation"
    assert Browser(app, scene.viewer).get(url).status_code == 403
    assert Browser(app, scene.stranger).get(url).status_code == 404
    assert Browser(app, scene.stranger).post(url, form(session, 1, 1, 1, 1, 1)).status_code == 404
    assert Browser(app, scene.maker).get(url).status_code == 200
    assert session.scalar(select(func.count()).select_from(Evaluation)) == 0


@given(st.lists(st.lists(st.integers(0, 50), min_size=5, max_size=5), max_size=6))
def test_the_headline_is_over_all_scores(counts: list[list[int]]) -> None:
    results = Results(9, 5, [Tally("q", tuple(row)) for row in counts])
    scores = [value for row in counts for value, n in enumerate(row, start=1) for _ in range(n)]
    wanted = sum(value >= 4 for value in scores) / len(scores) if scores else 0
    assert results.share == pytest.approx(wanted)


def test_several_recordings_count_people_once(session: Session, scene: Scene) -> None:
    other = scene.world.recording(scene.recording.case)
    people = [scene.world.person(f"q{n}@example.org") for n in range(5)]
    for recording in (scene.recording, other):
        for person in people:
            evaluation = Evaluation(recording_id=recording.id, person_id=person.id)
            evaluation.scores = [Score(question_id=q.id, value=4) for q in vocabulary.evaluation_questions(session)]
            session.add(evaluation)
    session.flush()
    found = evaluations.results(session, [scene.recording.id, other.id])
    assert found.people == 5
    assert found.tallies[0].n == 10
    assert found.share == 1
