"""Caption tracks: what machines hear, what people bring, and what viewers see. Every version is kept; a machine's never
takes the place of a person's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access import Actor
from app.captions import doubts
from app.captions.cues import Cue
from app.captions.engines import Transcript
from app.db.captions import CaptionKind, CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.recordings import Recording
from app.domain import audit, caption_versions
from app.errors import NotFound
from app.storage.s3 import Storage


@dataclass(frozen=True)
class Published:
    """The version of a track that viewers see: a person has checked it."""

    track: CaptionTrack
    number: int
    published_at: datetime | None
    cues: list[Cue]


def store_automatic(
    session: Session, storage: Storage, recording: Recording, transcript: Transcript, cues: Sequence[Cue]
) -> CaptionVersion:
    """Keep what an engine heard as a new version; without cues it says that no speech was found.

    It becomes the current version only where the current one is a machine's and nobody has reviewed it.

    Raises:
        Unavailable: storage did not take the file.
    """
    track = caption_versions.locked_track(session, recording.id, transcript.language)
    replaces = _may_replace(session, track)
    marked = doubts.mark(cues, transcript.words)
    version = caption_versions.add(
        session, track, marked, CaptionOrigin.AUTOMATIC, engine=transcript.engine, model=transcript.model
    )
    caption_versions.store_file(session, storage, track, version.number, cues, show=replaces)
    if replaces:
        caption_versions.become_current(track, version)
    session.flush()
    return version


def _may_replace(session: Session, track: CaptionTrack) -> bool:
    if track.current_version == 0:
        return True
    query = select(CaptionVersion.origin).where(
        CaptionVersion.track_id == track.id, CaptionVersion.number == track.current_version
    )
    return track.reviewed_at is None and session.scalar(query) == CaptionOrigin.AUTOMATIC


def import_version(
    session: Session, storage: Storage, actor: Actor, recording: Recording, language: str, cues: Sequence[Cue], *,
    note: str = "", kind: CaptionKind = CaptionKind.CAPTIONS,
) -> CaptionVersion:  # fmt: skip
    """Keep captions that a person brings as the version that is worked on. Viewers see them when somebody has checked
    them; what they see until then stays. The caller has asked the policy.

    Args:
        note: a few words for the list of versions, for example the name of the file.
        kind: of a track that is new; one that is there keeps its own.
    Raises:
        TooLarge, Invalid: captions that cannot be kept; the sentence names the first.
        Unavailable: storage did not take the file.
    """
    kept = caption_versions.fit_to_keep(cues)
    track = caption_versions.locked_track(session, recording.id, language)
    if track.current_version == 0:
        track.kind = kind
    version = caption_versions.add(
        session, track, kept, CaptionOrigin.IMPORTED, parent=track.current_version or None, by=actor.person_id,
        note=note,
    )  # fmt: skip
    caption_versions.store_file(session, storage, track, version.number, kept, show=False)
    caption_versions.become_current(track, version)
    audit.record(
        session, actor, "captions:import", "recording", recording.id, language=language, version=version.number
    )
    session.flush()
    return version


def published(session: Session, recording_id: uuid.UUID, language: str) -> Published | None:
    """What viewers see in a language, or None where nobody has checked anything yet: two queries."""
    try:
        track = caption_versions.track(session, recording_id, language)
    except NotFound:
        return None
    if track.published_version is None:
        return None
    cues = caption_versions.cues_of(session, track, track.published_version)
    return Published(track, track.published_version, track.published_at, cues)
