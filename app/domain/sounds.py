"""The tracks of sound of a recording: which of the source's are heard, and what they are called.

A camera may have written a microphone on the lapel and one in the room, a call an interpreter beside the speakers. Only
the track that the source itself names is heard until somebody who may edit the recording offers others: nobody has
listened to those yet.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.access import Actor
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.db.runs import Run
from app.domain import audit, runs
from app.errors import Invalid
from app.media.ladder import MAX_SOUNDS, choose_sounds
from app.media.probe import AudioTrack, Probe

_OTHER = "track-"
#: Languages that cameras and calls name (ISO 639-2, both forms), as people call them.
_LANGUAGES = {
    "eng": "English", "cym": "Welsh", "wel": "Welsh", "gla": "Scottish Gaelic", "gle": "Irish", "pol": "Polish",
    "ron": "Romanian", "rum": "Romanian", "pan": "Punjabi", "urd": "Urdu", "ben": "Bengali", "guj": "Gujarati",
    "ara": "Arabic", "por": "Portuguese", "spa": "Spanish", "fra": "French", "fre": "French", "deu": "German",
    "ger": "German", "ita": "Italian", "hin": "Hindi", "tam": "Tamil", "bfi": "British Sign Language",
}  # fmt: skip


def artefact_name(index: int, *, usual: bool) -> str:
    """What the artefact of a track of the source is called; the usual one has no name."""
    return "" if usual else f"{_OTHER}{index}"


def is_of_source(name: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether an artefact of sound with this name was made from a track of the source."""
    return or_(name == "", name.startswith(_OTHER, autoescape=True))


@dataclass(frozen=True)
class Track:
    """One track of the source: `offered` says whether it is heard, `usual` whether it is heard unless another is chosen."""

    index: int
    label: str
    offered: bool
    usual: bool


def label(number: int, language: str) -> str:
    """What a track is called in lists: its number from 1, and its language where the source names it."""
    spoken = _LANGUAGES.get(language, "")
    return f"Sound {number} ({spoken})" if spoken else f"Sound {number}"


def labels(tracks: Sequence[AudioTrack]) -> dict[int, str]:
    """What each track of a source is called, by its stream index."""
    return {track.index: label(number, track.language) for number, track in enumerate(tracks, 1)}


def of_source(session: Session, recording: Recording) -> list[Track]:
    """The tracks that the source has, in its order; none while it has not been looked at."""
    found = _tracks(session, recording.id)
    heard = [track.index for track in choose_sounds(found, recording.sound_tracks)]
    channels = {1: "one channel", 2: "stereo", 6: "5.1 surround", 8: "7.1 surround"}
    return [
        Track(
            track.index,
            f"{label(number, track.language)}, {channels.get(track.channels, f'{track.channels} channels')}",
            track.index in heard,
            heard[:1] == [track.index],
        )
        for number, track in enumerate(found, 1)
    ]


def choose(session: Session, actor: Actor, recording: Recording, usual: int | None, others: Sequence[int]) -> Run:
    """Say which tracks are heard. The sound, the captions and the file for download are made again; the picture is not.

    Args:
        usual: the stream index of the track that is heard unless somebody chooses another.
        others: further tracks to offer.

    Raises:
        Invalid: no such tracks, or too many.
        Conflict: the recording is being processed, or its file is not kept any more.
    """
    there = {track.index for track in _tracks(session, recording.id)}
    chosen = list(dict.fromkeys([*([] if usual is None else [usual]), *others]))
    if usual is None or not there.issuperset(chosen):
        raise Invalid("Choose one of the tracks of sound that the file has.")
    if len(chosen) > MAX_SOUNDS:
        raise Invalid(f"Offer at most {MAX_SOUNDS} tracks of sound.")
    recording.sound_tracks = chosen
    audit.record(session, actor, "recording:choose-sound", "recording", recording.id, tracks=chosen)
    return runs.start(session, recording, requested_by_id=actor.person_id)


def heard(session: Session, recording_id: uuid.UUID) -> list[Artefact]:
    """The tracks that can be heard, the usual one first."""
    query = select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind == ArtefactKind.AUDIO)
    return sorted(session.scalars(query), key=lambda row: row.name)


def _tracks(session: Session, recording_id: uuid.UUID) -> tuple[AudioTrack, ...]:
    query = select(Run.plan["probe"]).where(Run.recording_id == recording_id, Run.plan.has_key("probe"))
    found = session.scalar(query.order_by(Run.created_at.desc()).limit(1))
    return Probe.from_json(found).audio if found else ()
