"""Caption tracks and their versions. Every version is kept; a machine's never takes the place of a person's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import clock
from app.captions import webvtt
from app.captions.cues import Cue as BuiltCue
from app.captions.engines import Transcript
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion, Cue
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.storage import keys
from app.storage.s3 import Storage

VTT = "text/vtt"
UNCHECKED = "Automatic captions. Nobody has checked them yet."


def store_automatic(
    session: Session, storage: Storage, recording: Recording, transcript: Transcript, cues: Sequence[BuiltCue]
) -> CaptionVersion:
    """Keep what an engine heard as a new version; without cues it says that no speech was found.

    It becomes the current version only where the current one is a machine's and nobody has reviewed it.

    Raises:
        Unavailable: storage did not take the file.
    """
    track = _locked_track(session, recording.id, transcript.language)
    last = session.scalar(select(func.max(CaptionVersion.number)).where(CaptionVersion.track_id == track.id)) or 0
    version = CaptionVersion(
        track_id=track.id,
        number=last + 1,
        origin=CaptionOrigin.AUTOMATIC,
        engine=transcript.engine[:100],
        model=transcript.model[:100],
        cues=[
            Cue(
                position=position,
                start_ms=cue.start_ms,
                end_ms=cue.end_ms,
                text="\n".join(cue.lines),
                speaker=cue.speaker or "",
                confidence=cue.confidence,
            )
            for position, cue in enumerate(cues)
        ],
    )
    session.add(version)
    key = keys.caption_version(recording.id, track.language, version.number)
    body = webvtt.write(cues, language=track.language, note=UNCHECKED).encode()
    stored = storage.put_bytes(key, body, VTT)
    if _may_replace(session, track):
        track.current_version = version.number
        _point_at(session, recording.id, track.language, key, stored.size, stored.sha256)
    session.flush()
    return version


def _locked_track(session: Session, recording_id: uuid.UUID, language: str) -> CaptionTrack:
    """The recording's track in a language, made when there is none, and locked: versions get their numbers in turn."""
    identity = {"recording_id": recording_id, "language": language}
    session.execute(
        insert(CaptionTrack).values(id=uuid.uuid4(), **identity).on_conflict_do_nothing(index_elements=list(identity))
    )
    query = select(CaptionTrack).filter_by(**identity).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one()


def _may_replace(session: Session, track: CaptionTrack) -> bool:
    if track.current_version == 0:
        return True
    query = select(CaptionVersion.origin).where(
        CaptionVersion.track_id == track.id, CaptionVersion.number == track.current_version
    )
    return track.reviewed_at is None and session.scalar(query) == CaptionOrigin.AUTOMATIC


def _point_at(session: Session, recording_id: uuid.UUID, language: str, key: str, size: int, sha256: str) -> None:
    """Make the object the recording's captions in this language."""
    values = {"key": key, "media_type": VTT, "size": size, "sha256": sha256, "created_at": clock.now()}
    identity = {"recording_id": recording_id, "kind": ArtefactKind.CAPTIONS, "name": language}
    session.execute(
        insert(Artefact)
        .values(id=uuid.uuid4(), **identity, **values)
        .on_conflict_do_update(index_elements=list(identity), set_=values)
    )
