"""Captions that come and go as files, and a second language begun from the first.

What is brought becomes the version that is worked on, never what viewers see: that takes a person who has checked it. What
is taken away is a copy of confidential words, so it is a download like the video: by the same right, with a reason where
one is asked for, and written down.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.access import Actor
from app.captions import files, languages
from app.captions.cues import Cue
from app.captions.tracks import Flag
from app.db.captions import CaptionKind, CaptionTrack
from app.db.recordings import Recording
from app.domain import caption_versions, captions
from app.errors import Conflict, Invalid
from app.storage.s3 import Storage


@dataclass(frozen=True)
class Brought:
    """What became of a file: the version that it is now, how many captions, and what its owner should know. `unit` is
    what the places of the remarks count: lines, or rows of a table."""

    language: str
    version: int
    cues: int
    flags: Sequence[Flag] = ()
    unit: str = "line"


def check_language(tag: str) -> languages.Language:
    """The language of a tag that somebody chose.

    Raises:
        Invalid: it is not on the list.
    """
    found = languages.LANGUAGES.get(tag)
    if found is None:
        raise Invalid("Select a language from the list", fields={"language": "Select a language from the list"})
    return found


def bring(
    session: Session, storage: Storage, actor: Actor, recording: Recording, language: str, data: bytes, filename: str
) -> Brought:
    """Import a file in any format as the version that is worked on. The caller has asked the policy.

    A text without times takes them from the captions in the same language, or else from those of what is spoken.

    Raises:
        TooLarge, Invalid: it cannot be read; the sentence says where, and what to do.
        Unavailable: storage did not take it.
    """
    chosen = check_language(language)
    tracks = caption_versions.tracks(session, recording.id)
    existing = _to_time_by(session, tracks, language)
    duration_ms = recording.duration_ms or 0
    speakers = {cue.speaker for cue in existing if cue.speaker}
    found = files.read(data, filename, existing=existing, duration_ms=duration_ms, speakers=speakers)
    flags = [*_remarks(found.cues, found.language, chosen, duration_ms), *found.flags]
    kind = files.format_of(data, filename)
    note = f"Imported from {files.FORMATS[kind].label}"
    version = captions.import_version(
        session, storage, actor, recording, language, found.cues, note=note, kind=_kind(tracks, language)
    )
    return Brought(language, version.number, len(found.cues), flags, "row" if kind == "docx" else "line")


def _kind(tracks: Sequence[CaptionTrack], language: str) -> CaptionKind:
    """A track beside one in what is spoken is a translation."""
    spoken = any(track.kind is CaptionKind.CAPTIONS and track.language != language for track in tracks)
    return CaptionKind.TRANSLATION if spoken else CaptionKind.CAPTIONS


def _to_time_by(session: Session, tracks: Sequence[CaptionTrack], language: str) -> list[Cue]:
    wanted = sorted(tracks, key=lambda track: (track.language != language, track.kind is not CaptionKind.CAPTIONS))
    for track in wanted:
        cues = [cue for cue in caption_versions.cues_of(session, track, track.current_version) if cue.lines]
        if cues:
            return cues
    return []


def _remarks(cues: Sequence[Cue], said: str | None, chosen: languages.Language, duration_ms: int) -> list[Flag]:
    found = []
    if said and said.partition("-")[0].lower() != chosen.tag.partition("-")[0]:
        found.append(Flag(1, f"The file says that its language is “{said}”; it was imported as {chosen.name}."))
    late = sum(cue.end_ms > duration_ms for cue in cues) if duration_ms else 0
    if late:
        words = "1 caption ends" if late == 1 else f"{late:,} captions end"
        found.append(Flag(1, f"{words} after the recording does. Do the times belong to this recording?"))
    return found


def begin_translation(session: Session, storage: Storage, actor: Actor, recording: Recording, language: str) -> Brought:
    """Begin a second language: a copy of the captions in what is spoken, to be overwritten one by one in the editor.

    Raises:
        Invalid: not a language of the list.
        Conflict: there are captions in that language, or none to copy.
        Unavailable: storage did not take it.
    """
    chosen = check_language(language)
    tracks = caption_versions.tracks(session, recording.id)
    if any(track.language == language for track in tracks):
        raise Conflict(f"There are captions in {chosen.name} already.")
    source = next((track for track in tracks if track.kind is CaptionKind.CAPTIONS), None)
    copied = caption_versions.cues_of(session, source, source.current_version) if source is not None else []
    if source is None or not copied:
        raise Conflict("There are no captions to translate yet. Import a file with times instead.")
    cues = [replace(cue, confidence=1.0, checked=False, doubtful=()) for cue in copied]
    note = f"Copied from {languages.of(source.language).name}, to be translated"
    version = captions.import_version(
        session, storage, actor, recording, language, cues, note=note, kind=CaptionKind.TRANSLATION
    )
    return Brought(language, version.number, len(cues))


def worked_on(session: Session, recording_id: uuid.UUID, language: str) -> list[Cue]:
    """The captions of the version that people work on, without those that have no text yet.

    Raises:
        NotFound: there is no such track.
    """
    track = caption_versions.track(session, recording_id, language)
    return [cue for cue in caption_versions.cues_of(session, track, track.current_version) if cue.lines]
