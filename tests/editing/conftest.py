"""A recording with captions that a machine made, and the people who correct them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Actor
from app.captions.cues import Cue
from app.captions.engines import Transcript
from app.captions.words import Word
from app.db.captions import CaptionTrack
from app.db.people import Person, Role
from app.db.recordings import Recording
from app.domain import caption_drafts, captions
from app.domain.caption_drafts import Draft
from app.storage.s3 import Storage
from tests.support.world import World

#: What the machine heard wrongly, and where; the second caption runs into the third, and its line is too long.
HEARD = (
    (0, 2000, "Good mourning, please sit down."),
    (2000, 4800, "I complained about the mist diagnosis."),
    (4500, 7000, "I am so sorry that nobody told you."),
    (7000, 9500, "Nobody answered my letters."),
    (9500, 12000, "We will right to you on Thursday."),
)
UNSURE = {"mourning,": 0.3, "mist": 0.2}


@dataclass
class Desk:
    """The recording's captions, and who works on them."""

    session: Session
    storage: Storage
    world: World
    recording: Recording
    people: dict[str, Person]

    def actor(self, name: str) -> Actor:
        return access.load(self.session, self.people[name].id, clock.now())

    @property
    def track(self) -> CaptionTrack:
        self.session.expire_all()
        return self.session.query(CaptionTrack).filter_by(recording_id=self.recording.id, language="en").one()

    @property
    def draft(self) -> Draft:
        return caption_drafts.of(self.session, self.track)

    def save(self, name: str, cues: list[Cue], revision: int | None = None, **options: object) -> Draft:
        revision = self.track.revision if revision is None else revision
        return caption_drafts.save(  # type: ignore[arg-type]
            self.session, self.actor(name), self.recording, "en", cues, revision=revision, **options
        )


@pytest.fixture
def desk(session: Session, storage: Storage) -> Desk:
    world = World(session)
    recording = world.recording(world.case(identifying_names=["Mr Example"]), duration_ms=12_000, published=True)
    world.grant(recording, area="NEY")
    people = {
        "ann": world.person("ann@example.org", Role.FACILITATOR, "NEY", name="Ann"),
        "bea": world.person("bea@example.org", Role.FACILITATOR, "NEY", name="Bea"),
        "viewer": world.person("viewer@example.org", Role.VIEWER, "NEY", name="Vera"),
    }
    words = [
        Word(start / 1000, end / 1000, word, UNSURE.get(word, 0.9))
        for start, end, text in HEARD
        for word in text.split()
    ]
    heard = Transcript(tuple(words), "en", "test", "test-1", 12, 12)
    cues = [Cue(start, end, (text,), 0.8) for start, end, text in HEARD]
    captions.store_automatic(session, storage, recording, heard, cues)
    session.commit()
    return Desk(session, storage, world, recording, people)


def later(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """Let time pass."""
    then = clock.now() + timedelta(minutes=minutes)
    monkeypatch.setattr(clock, "now", lambda: then)
