"""Captions as the workers make and keep them."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.captions import webvtt
from app.captions.cues import build_cues
from app.captions.engines import Transcript
from app.captions.words import Word
from app.clock import now
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import captions
from app.storage import keys
from app.storage.s3 import Storage


def heard(*texts: str) -> Transcript:
    words = tuple(Word(1.0 + n, 1.5 + n, text, 0.9) for n, text in enumerate(texts))
    return Transcript(words=words, language="en", engine="test", model="test-1", seconds=10, speech_seconds=len(texts))


def keep(session: Session, storage: Storage, recording: Recording, transcript: Transcript) -> CaptionVersion:
    cues = build_cues(transcript.words, duration=10)
    return captions.store_automatic(session, storage, recording, transcript, cues)


def current(session: Session, recording: Recording) -> tuple[int, str]:
    """Number of the current version, and the key of the captions that viewers get."""
    session.expire_all()
    track = session.query(CaptionTrack).filter_by(recording_id=recording.id).one()
    row = session.query(Artefact).filter_by(recording_id=recording.id, kind=ArtefactKind.CAPTIONS, name="en").one()
    return track.current_version, row.key


def test_what_was_heard_becomes_a_version_with_cues_and_a_file(
    session: Session, storage: Storage, recording: Recording
) -> None:
    version = keep(session, storage, recording, heard("Good", "morning."))
    assert [cue.text for cue in version.cues] == ["Good morning."]
    key = keys.caption_version(recording.id, "en", 1)
    assert current(session, recording) == (1, key)
    track = webvtt.parse(storage.get_bytes(key))
    assert [cue.lines for cue in track.cues] == [("Good morning.",)]


def test_silence_is_a_version_without_cues(session: Session, storage: Storage, recording: Recording) -> None:
    version = keep(session, storage, recording, heard())
    assert version.cues == []
    assert webvtt.parse(storage.get_bytes(current(session, recording)[1])).cues == ()


def test_a_second_hearing_replaces_a_machines_version(session: Session, storage: Storage, recording: Recording) -> None:
    keep(session, storage, recording, heard("One."))
    keep(session, storage, recording, heard("Two."))
    assert current(session, recording) == (2, keys.caption_version(recording.id, "en", 2))


@pytest.mark.parametrize("by_person", ["edited", "reviewed"])
def test_a_machine_never_takes_the_place_of_a_person(
    session: Session, storage: Storage, recording: Recording, by_person: str
) -> None:
    first = keep(session, storage, recording, heard("One."))
    track = session.query(CaptionTrack).filter_by(recording_id=recording.id).one()
    if by_person == "edited":
        first.origin = CaptionOrigin.EDITED
    else:
        track.reviewed_at = now()
    session.flush()
    second = keep(session, storage, recording, heard("Two."))
    assert second.number == 2
    assert current(session, recording) == (1, keys.caption_version(recording.id, "en", 1))
