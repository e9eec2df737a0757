"""The demo region: made once, all of it invented, and open to its region only."""

from __future__ import annotations

import pyotp
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Action, policy
from app.captions.cues import lint
from app.core import Core
from app.db.cases import Case
from app.db.people import Person, Role
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run
from app.domain import captions, demo, second_factors
from tests.support.world import Browser, World


def test_made_once_and_invented(core: Core, session: Session) -> None:
    made = demo.create(session, core.storage, SYSTEM)
    again = demo.create(session, core.storage, SYSTEM)
    assert again.recording_id == made.recording_id
    assert again.case_ids == made.case_ids
    assert made.password
    assert not again.password
    assert session.scalar(select(func.count()).select_from(Recording)) == 1
    assert session.scalar(select(func.count()).select_from(Run)) == 1
    for case in session.scalars(select(Case)):
        assert case.invented
        assert case.summary.startswith("Invented")
        assert case.terms
    spoken = captions.published(session, made.recording_id, "en")
    assert spoken is not None
    assert len(spoken.cues) > 10
    assert [breach.sentence for breach in lint(spoken.cues) if not breach.warning] == []
    recording = session.get_one(Recording, made.recording_id)
    assert recording.state is RecordingState.PROCESSING
    assert len(recording.chapters) > 2
    # not watchable yet, so not even its region sees it; then its region does, and no other
    now = clock.now()
    people = {p.email.partition("@")[0]: p.id for p in session.scalars(select(Person))}
    near, far = (access.load(session, people[name], now) for name in ("viewer", "viewer.elsewhere"))
    assert not policy.allows(session, near, Action.RECORDING_VIEW, recording.id, now)
    recording.watchable_at = now
    session.flush()
    now = clock.now()
    assert policy.allows(session, near, Action.RECORDING_VIEW, recording.id, now)
    assert not policy.allows(session, far, Action.RECORDING_VIEW, recording.id, now)


def test_admin_and_custodian_get_a_second_factor(core: Core, session: Session) -> None:
    key = core.settings.secret_key
    made = demo.create(session, core.storage, SYSTEM, factors_key=key)
    assert [shown.email for shown in made.factors] == ["admin@demo.example", "custodian@demo.example"]
    for shown in made.factors:
        person = session.scalars(select(Person).where(Person.email == shown.email)).one()
        who = access.load(session, person.id, clock.now())
        assert second_factors.prove(session, who, key, pyotp.TOTP(shown.secret).at(clock.now())) == "totp"
        assert second_factors.prove(session, who, key, shown.codes[0]) == "recovery"
    assert demo.create(session, core.storage, SYSTEM, factors_key=key).factors == [], "they are shown once"


def test_offered_to_an_admin_from_everywhere_only(app: Flask, session: Session) -> None:
    world = World(session)
    people = [world.person(role=Role.ADMIN, area=None), world.person(role=Role.ADMIN, area="NEY")]
    session.commit()
    chief, regional = (Browser(app, person) for person in people)
    assert regional.post("/demo").status_code == 403
    page = chief.post("/demo")
    assert page.status_code == 200
    assert "viewer@demo.example" in page.text
