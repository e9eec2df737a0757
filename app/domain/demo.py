"""A made-up region to try everything in: cases, people of each role, and the sample recording, processed for real.

Everything in it says that it is invented. Making it twice makes it once.
"""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app import demo as files
from app.access import Actor
from app.captions.cues import build_cues
from app.captions.words import spread
from app.db.cases import Case
from app.db.people import Person, Role
from app.db.places import Area, Organisation
from app.db.recordings import Artefact, ArtefactKind, Chapter, Recording
from app.db.vocabulary import Framework, TermKind
from app.domain import (
    audit,
    caption_reviews,
    caption_versions,
    captions,
    cases,
    days,
    grants,
    people,
    places,
    recovery_codes,
    runs,
    second_factors,
    vocabulary,
)
from app.domain.places import Place
from app.errors import NotFound
from app.storage import keys
from app.storage.s3 import Storage

FOLDER = Path(files.__file__).parent
AREA = "NEY"
OTHER_AREA = "SW"
ORGANISATION = "Invented Teaching Hospital (demo)"
DOMAIN = "demo.example"
LANGUAGE = "en"
#: name before the @, what they are called, role, where
PEOPLE: tuple[tuple[str, str, Role, str], ...] = (
    ("facilitator", "Demo Facilitator", Role.FACILITATOR, AREA),
    ("viewer", "Demo Viewer", Role.VIEWER, AREA),
    ("viewer.elsewhere", "Demo Viewer of another region", Role.VIEWER, OTHER_AREA),
    ("admin", "Demo Admin", Role.ADMIN, AREA),
    ("custodian", "Demo Custodian", Role.CUSTODIAN, AREA),
)
REVIEW_AFTER = timedelta(days=180)


@dataclass(frozen=True)
class Demo:
    """What was made. `password` is the one of all demo people, or empty when they were there already."""

    recording_id: uuid.UUID
    case_ids: list[uuid.UUID]
    emails: list[str]
    password: str
    factors: list[ShownFactor]


@dataclass(frozen=True)
class ShownFactor:
    """The second factor of a demo person who must have one, shown this once: a secret for an authenticator app, and
    codes that each work once in its place."""

    email: str
    secret: str
    codes: list[str]


def sample() -> dict[str, Any]:
    """The sample's words, as data."""
    read: dict[str, Any] = json.loads((FOLDER / "sample.json").read_text())
    return read


def create(session: Session, storage: Storage, actor: Actor, *, factors_key: str = "") -> Demo:
    """Make the demo region, or find it. The recording is shared with the region.

    Args:
        factors_key: SECRET_KEY, where admins and custodians must show a second factor: its new ones then get one as
            everybody else would have, because a known password must not open what a real one does not.

    Raises:
        Invalid, Forbidden: the actor may not make people there; only an admin from everywhere (or the system) may.
    """
    script = sample()
    area = session.scalars(select(Area).where(Area.code == AREA)).one()
    password, emails, factors = _people(session, actor, factors_key)
    _organisation(session, actor, area)
    made = [_case(session, actor, area, entry) for entry in [script, *script["cases"]]]
    recording = session.scalar(select(Recording).where(Recording.case_id == made[0].id))
    if recording is None:
        recording = _recording(session, storage, actor, area, made[0], script)
    return Demo(recording.id, [case.id for case in made], emails, password, factors)


def _people(session: Session, actor: Actor, factors_key: str) -> tuple[str, list[str], list[ShownFactor]]:
    password = f"{secrets.token_hex(3)}-{secrets.token_hex(3)}-{secrets.token_hex(3)}"
    emails = [f"{local}@{DOMAIN}" for local, *_ in PEOPLE]
    fresh = [entry for entry, email in zip(PEOPLE, emails, strict=True) if people.by_email(session, email) is None]
    for local, name, role, code in fresh:
        place = Place(area_id=places.find_area(session, code).id)
        people.add(session, actor, email=f"{local}@{DOMAIN}", name=name, role=role, place=place, password=password)
    factors = [
        _factor(session, f"{local}@{DOMAIN}", factors_key)
        for local, _, role, _ in fresh
        if factors_key and role in second_factors.SENSITIVE
    ]
    return (password if fresh else ""), emails, factors


def _factor(session: Session, email: str, factors_key: str) -> ShownFactor:
    person = people.by_email(session, email)
    if person is None:
        raise NotFound
    who = access.load(session, person.id, clock.now())
    factor = second_factors.start_app(session, who, factors_key, "Demo")
    second_factors.count_from_now(session, who, factor)
    codes = recovery_codes.make(session, who, person.id)
    return ShownFactor(email, second_factors.secret_of(factors_key, factor), codes)


def _organisation(session: Session, actor: Actor, area: Area) -> None:
    if session.scalar(select(Organisation.id).where(Organisation.name == ORGANISATION)) is None:
        places.add_organisation(session, actor, name=ORGANISATION, area_id=area.id)


def _case(session: Session, actor: Actor, area: Area, entry: dict[str, Any]) -> Case:
    found = session.scalar(select(Case).where(Case.title == entry["title"], Case.invented))
    if found is not None:
        return found
    frameworks = {framework.code: framework for framework in session.scalars(select(Framework))}
    case = cases.create(
        session,
        actor,
        cases.Content(
            title=entry["title"],
            summary=entry["summary"],
            content_notice=entry["content_notice"],
            origin=vocabulary.find_terms(session, TermKind.ORIGIN, [entry["origin"]])[0],
            themes=vocabulary.find_terms(session, TermKind.THEME, entry["themes"]),
            professions=vocabulary.find_terms(session, TermKind.PROFESSION, entry["professions"]),
            domains=[
                domain
                for wanted in entry["framework_domains"]
                for domain in frameworks[wanted["framework"]].domains
                if domain.name == wanted["domain"]
            ],
            review_on=days.today() + REVIEW_AFTER,
            glossary=entry.get("glossary", []),
            place=Place(area_id=area.id),
        ),
    )
    case.invented = True
    return case


def _recording(
    session: Session, storage: Storage, actor: Actor, area: Area, case: Case, script: dict[str, Any]
) -> Recording:
    owner = people.by_email(session, f"{PEOPLE[0][0]}@{DOMAIN}")
    path = FOLDER / script["media"]["file"]
    recording = Recording(
        id=uuid.uuid4(),
        case_id=case.id,
        title=f"{script['title']} (invented sample)",
        description=script["notice"],
        source_name=path.name,
        source_size=path.stat().st_size,
        owner_id=owner.id if isinstance(owner, Person) else None,
        area_id=area.id,
        terms=[term for term in case.terms if term.kind is TermKind.THEME],
        chapters=[
            Chapter(start_ms=round(chapter["start"] * 1000), title=chapter["title"]) for chapter in script["chapters"]
        ],
    )
    session.add(recording)
    session.flush()
    stored = storage.put_file(keys.source(recording.id, uuid.uuid4()), path, "application/octet-stream")
    session.add(
        Artefact(
            recording_id=recording.id,
            kind=ArtefactKind.SOURCE,
            key=stored.key,
            media_type="application/octet-stream",
            size=stored.size,
            sha256=stored.sha256,
        )
    )
    if isinstance(owner, Person):
        _captions(session, storage, owner, recording, script)
    audience = grants.find_audience(session, actor, f"region:{AREA}")
    grants.give(session, actor, recording, audience, reason="Demo")
    # published ahead of time: the audience sees it from the moment that it can be watched
    recording.published_at = clock.now()
    runs.start(session, recording, requested_by_id=actor.person_id)
    audit.record(session, actor, "demo:create", "recording", recording.id)
    return recording


def _captions(session: Session, storage: Storage, owner: Person, recording: Recording, script: dict[str, Any]) -> None:
    """The script as captions that its facilitator has checked, so that viewers have some at once. What the machine hears
    becomes a version beside it, to compare."""
    turns = script["turns"]
    ends = [turn["start"] for turn in turns[1:]] + [script["media"]["duration"]]
    cues = [
        replace(cue, speaker=turn["speaker"], checked=True)
        for turn, end in zip(turns, ends, strict=True)
        for cue in build_cues(spread(turn["text"], turn["start"], turn["end"]), duration=end)
    ]
    # each turn was shaped by itself, and may have borrowed a moment from the next one
    cues = [
        replace(cue, end_ms=min(cue.end_ms, after.start_ms))
        for cue, after in zip(cues, [*cues[1:], cues[-1]], strict=True)
        if cue is not after
    ] + cues[-1:]
    who = access.load(session, owner.id, clock.now())
    captions.import_version(session, storage, who, recording, LANGUAGE, cues, note="The sample's script")
    revision = caption_versions.track(session, recording.id, LANGUAGE).revision
    caption_reviews.review(session, storage, who, recording, LANGUAGE, revision=revision, four_eyes=False)
