"""What the player of a page is told, so that watch page, materials and embeds tell it the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import url_for
from sqlalchemy import func, select

from app.captions import languages
from app.db import db
from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.people import Person
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import caption_showing, growing, playback
from app.web import captions_shown, guard

#: What the note beneath the player says of captions that nobody has checked.
UNCHECKED = "Automatic captions, not yet checked"
HIDDEN = "Nobody has checked the captions of this recording yet, so they are not shown"
NO_SPEECH = "No speech was found in this recording, so it has no captions"


@dataclass(frozen=True)
class Track:
    """A caption track as the asker meets it: `shown` to them or not, `checked` by a person or not."""

    language: str
    shown: bool
    checked: bool
    has_cues: bool


def tracks_of(recording: Recording) -> list[Track]:
    """The caption tracks of a recording, what is spoken before translations: one query."""
    number = captions_shown.shown()
    has_cues = (
        select(Cue.position)
        .join(CaptionVersion, CaptionVersion.id == Cue.version_id)
        .where(caption_showing.version_is(func.coalesce(number, CaptionTrack.current_version)))
        .correlate(CaptionTrack)
        .exists()
    )
    query = (
        select(CaptionTrack.language, number.is_not(None), caption_showing.is_checked(), has_cues)
        .where(CaptionTrack.recording_id == recording.id, CaptionTrack.current_version > 0)
        .order_by(CaptionTrack.kind, CaptionTrack.language != "en", CaptionTrack.language)
    )
    return [Track(*row) for row in db.session.execute(query)]


def captions_note(tracks: list[Track]) -> str:
    """The sentence that viewers must read beneath the player, or nothing."""
    spoken = [track for track in tracks if track.has_cues]
    if any(track.shown and not track.checked for track in spoken):
        return UNCHECKED
    if spoken and not any(track.shown for track in spoken):
        return HIDDEN
    return NO_SPEECH if tracks and not spoken else ""


def _plays(recording: Recording, kinds: set[ArtefactKind]) -> bool:
    """Whether there is a playlist: of renditions, of what is encoded so far, or of sound alone."""
    if ArtefactKind.RENDITION in kinds:
        return True
    if recording.watchable_at is None:
        return False
    heard = ArtefactKind.AUDIO in kinds and playback.is_heard_only(recording)
    return heard or growing.is_growing(db.session(), recording.id)


def player_of(
    recording: Recording,
    *,
    id: str = "player",
    start: float = 0.0,
    end: float | None = None,
    position: str = "",
    embed: bool = False,
) -> dict[str, Any]:
    """The dictionary that `components/player.html` draws for a recording that the actor may view.

    Args:
        start: second to begin at; end: second at which a clip stops.
        position: address that remembers where the viewer is, or empty.
        embed: use the addresses that an embed's own session opens.
    """
    # kinds only: the detail of a rendition holds the index of all its segments
    kinds = set(db.session.scalars(select(Artefact.kind).where(Artefact.recording_id == recording.id)))

    def address(endpoint: str, is_there: bool) -> str:
        name = f"playback.{'embed_' if embed else ''}{endpoint}"
        return url_for(name, recording_id=recording.id) if is_there else ""

    tracks = tracks_of(recording)
    who = db.session.get(Person, guard.actor().person_id) if guard.actor().person_id else None
    return {
        "id": id,
        "title": recording.title,
        "mp4": address("video", ArtefactKind.DOWNLOAD in kinds),
        "playlist": address("master", _plays(recording, kinds)),
        "poster": address("poster", ArtefactKind.POSTER in kinds),
        "storyboard": address("storyboard", ArtefactKind.STORYBOARD in kinds),
        "captions": [
            {
                "src": url_for(
                    f"playback.{'embed_' if embed else ''}captions",
                    recording_id=recording.id,
                    language=track.language,
                ),
                "lang": track.language,
                "label": languages.of(track.language).label,
            }
            for track in tracks
            if track.shown and track.has_cues
        ],
        "captions_note": captions_note(tracks),
        "position": position,
        "start": start,
        "end": end,
        "chapters": [{"start": c.start_ms / 1000, "title": c.title} for c in recording.chapters] if not end else [],
        "watermark": f"{who.display_name} · {who.email}" if who is not None else "",
    }
