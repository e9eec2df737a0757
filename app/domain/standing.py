"""Where a recording stands: what has been made of it, its captions, how far it is. Read-only, a few queries each."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, StageState
from app.domain import caption_showing, growing, playback, runs
from app.domain.caption_showing import Shown
from app.media import playlists
from app.media.fmp4 import Index


@dataclass(frozen=True)
class Rendition:
    """One picture size that can be played. `bandwidth` is the peak in bit/s, `size` in bytes."""

    name: str
    width: int
    height: int
    bandwidth: int
    size: int


@dataclass(frozen=True)
class Captions:
    """A caption track. `status` is `automatic` until a person has reviewed it; without cues no speech was found."""

    language: str
    status: str
    cues: int

    @property
    def no_speech(self) -> bool:
        """True when the sound was listened to and nobody spoke."""
        return self.cues == 0


@dataclass(frozen=True)
class Progress:
    """How far a recording is: `fraction` from 0 to 1; `stages` are {name, label, state, progress} where a run is known,
    their states in the words of the status tags."""

    fraction: float
    seconds_left: float | None
    stages: list[dict[str, Any]]


@dataclass(frozen=True)
class Standing:
    """Everything that was made of a recording so far."""

    renditions: list[Rendition]
    captions: list[Captions]
    kinds: frozenset[ArtefactKind]
    sounds: list[str]
    heard_only: bool = False
    growing_seconds: float | None = None

    @property
    def plays(self) -> bool:
        """Whether there is anything that a player can be given."""
        heard = self.heard_only and ArtefactKind.AUDIO in self.kinds
        return bool(self.renditions or self.growing_seconds) or heard


def of(session: Session, recording_id: uuid.UUID, shown: Shown) -> Standing:
    """What there is of a recording: a few queries."""
    recording = session.get_one(Recording, recording_id)
    rows = session.scalars(select(Artefact).where(Artefact.recording_id == recording_id)).all()
    renditions = [_rendition(row) for row in rows if row.kind is ArtefactKind.RENDITION]
    return Standing(
        sorted(renditions, key=lambda r: (r.height, r.name)),
        captions_of(session, recording_id, shown),
        frozenset(row.kind for row in rows),
        playback.sound_labels(rows),
        playback.is_heard_only(recording),
        growing.seconds(session, recording_id) if recording.state is RecordingState.PROCESSING else None,
    )


def _rendition(row: Artefact) -> Rendition:
    index = Index.from_json({name: row.detail[name] for name in Index.__dataclass_fields__})
    peak, _ = playlists.rates(playlists.segments(index))
    return Rendition(row.name, index.width, index.height, peak, row.size)


def captions_of(session: Session, recording_id: uuid.UUID, shown: Shown) -> list[Captions]:
    """The caption tracks that are shown: one query."""
    query = (
        select(CaptionTrack.language, CaptionTrack.published_version, func.count(Cue.position))
        .select_from(CaptionTrack)
        .join(CaptionVersion, caption_showing.version_is(shown))
        .outerjoin(Cue, Cue.version_id == CaptionVersion.id)
        .where(CaptionTrack.recording_id == recording_id)
        .group_by(CaptionTrack.id)
        .order_by(CaptionTrack.language)
    )
    return [
        Captions(language, "reviewed" if published is not None else "automatic", count)
        for language, published, count in session.execute(query)
    ]


def latest_run(session: Session, recording: Recording) -> Run | None:
    """The newest run with its stages: two queries."""
    query = select(Run).where(Run.recording_id == recording.id).options(selectinload(Run.stages))
    return session.scalar(query.order_by(Run.created_at.desc()).limit(1))


def progress(recording: Recording, run: Run | None) -> Progress:
    """How far a recording is, given its newest run."""
    if run is None:
        done = recording.state in (RecordingState.READY, RecordingState.WITHDRAWN)
        return Progress(1.0 if done else 0.0, None, [])
    told = runs.progress(run)
    stages = [
        {**stage, "state": "done" if stage["state"] == StageState.SUCCEEDED.value else stage["state"]}
        for stage in told["stages"]
    ]
    fraction = 1.0 if recording.state is RecordingState.READY else told["fraction"]
    return Progress(fraction, told["seconds_left"], stages)
