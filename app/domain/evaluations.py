"""Evaluations: what people score after watching, and what their facilitators learn of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.access import Actor
from app.db.evaluations import Evaluation, Score
from app.db.recordings import Recording
from app.db.vocabulary import EvaluationQuestion
from app.domain import audit, vocabulary
from app.errors import Invalid

MOST_REFLECTION = 10_000
GOOD = 4


def mine(session: Session, actor: Actor, recording_id: uuid.UUID) -> Evaluation | None:
    """The actor's own evaluation of a recording, with its scores."""
    if actor.person_id is None:
        return None
    return session.scalar(
        select(Evaluation)
        .where(Evaluation.recording_id == recording_id, Evaluation.person_id == actor.person_id)
        .options(selectinload(Evaluation.scores))
    )


def evaluate(
    session: Session, actor: Actor, recording: Recording, scores: Mapping[uuid.UUID, int], reflection: str
) -> Evaluation:
    """Keep the actor's scores for a recording; an earlier evaluation of theirs is replaced.

    The caller has checked that the actor may evaluate it. The reflection is for the person alone: nothing but `mine`
    reads it.

    Args:
        scores: question to 1-5, for every question in use.
    Raises:
        Invalid: a question is not answered, or not with 1 to 5.
    """
    questions = vocabulary.evaluation_questions(session)
    faults = {
        str(question.id): f"Select a score for “{question.text}”"
        for question in questions
        if scores.get(question.id) not in range(1, 6)
    }
    if len(reflection) > MOST_REFLECTION:
        faults["reflection"] = f"Reflection must be {MOST_REFLECTION:,} characters or fewer"
    if faults:
        raise Invalid(next(iter(faults.values())), fields=faults)
    now = clock.now()
    values = {"reflection": reflection.strip(), "updated_at": now}
    evaluation_id = session.scalar(
        insert(Evaluation)
        .values(id=uuid.uuid4(), recording_id=recording.id, person_id=actor.person_id, created_at=now, **values)
        .on_conflict_do_update(index_elements=[Evaluation.recording_id, Evaluation.person_id], set_=values)
        .returning(Evaluation.id)
    )
    evaluation = session.get_one(
        Evaluation, evaluation_id, options=[selectinload(Evaluation.scores)], populate_existing=True
    )
    given = {score.question_id: score for score in evaluation.scores}
    for question in questions:
        if question.id in given:
            given[question.id].value = scores[question.id]
        else:
            evaluation.scores.append(Score(question_id=question.id, value=scores[question.id]))
    audit.record(session, actor, "recording:evaluate", "recording", recording.id)
    session.flush()
    return evaluation


@dataclass(frozen=True)
class Tally:
    """Scores of one question: `counts` from 1 to 5, `good` of them 4 or 5. Shares are from 0 to 1."""

    text: str
    counts: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many scored it."""
        return sum(self.counts)

    @property
    def good(self) -> int:
        """How many scored 4 or 5."""
        return sum(self.counts[GOOD - 1 :])

    @property
    def share(self) -> float:
        """Share of 4 and 5; 0 where nobody scored."""
        return self.good / self.n if self.n else 0.0


@dataclass(frozen=True)
class Results:
    """What facilitators see. Below `least` people nothing but that is told: `tallies` is empty."""

    people: int
    least: int
    tallies: Sequence[Tally]

    @property
    def suppressed(self) -> bool:
        """Whether too few have scored for figures that name nobody."""
        return self.people < self.least

    @property
    def share(self) -> float:
        """The headline: share of all scores, over all questions, that are 4 or 5."""
        scores = sum(tally.n for tally in self.tallies)
        return sum(tally.good for tally in self.tallies) / scores if scores else 0.0


def least_people() -> int:
    """Below so many people no figure is shown."""
    return int(vocabulary.data()["evaluation"]["suppress_below_n"])


def results(session: Session, recording_ids: Sequence[uuid.UUID]) -> Results:
    """The figures over these recordings: two queries. A question that too few have scored is left out.

    People are counted once, however many of the recordings they scored. The caller has checked that the actor manages
    the recordings.
    """
    least = least_people()
    people = session.scalar(
        select(func.count(Evaluation.person_id.distinct())).where(Evaluation.recording_id.in_(recording_ids))
    )
    rows = session.execute(
        select(
            EvaluationQuestion.text,
            func.count(Evaluation.person_id.distinct()).label("people"),
            *(func.count().filter(Score.value == value) for value in range(1, 6)),
        )
        .select_from(Score)
        .join(Evaluation, Evaluation.id == Score.evaluation_id)
        .join(EvaluationQuestion, EvaluationQuestion.id == Score.question_id)
        .where(Evaluation.recording_id.in_(recording_ids))
        .group_by(EvaluationQuestion.id)
        .order_by(EvaluationQuestion.position, EvaluationQuestion.id)
    ).all()
    enough = (people or 0) >= least
    return Results(
        people or 0,
        least,
        [Tally(row[0], tuple(row[2:])) for row in rows if enough and row.people >= least],
    )
