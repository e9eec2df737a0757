"""What a player asks for: playlists, and the stored objects behind media, captions and stills.

Playlists are written anew at each request from the segment indexes of what is there, so a recording that is still being
processed plays with the renditions that it has; before it has any, with the chunks that are encoded so far, in a playlist
that grows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.captions import webvtt
from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.recordings import Artefact, ArtefactKind, Chapter, Recording, RetiredObject
from app.domain import caption_showing, caption_versions, growing
from app.domain.caption_showing import Shown
from app.errors import NotFound
from app.media import dash, playlists
from app.media.fmp4 import Index
from app.media.stills import Storyboard

#: A player starts with the rendition whose short edge is nearest to this, and finds out about the others from there.
START_SHORT_EDGE = 480
#: What the address of the separate sound is called.
AUDIO = "audio"


def artefact(session: Session, recording_id: uuid.UUID, kind: ArtefactKind, name: str | None = None) -> Artefact:
    """One stored object of a recording: one query.

    Args:
        name: None takes the only one of its kind.
    Raises:
        NotFound: it was not made (yet).
    """
    query = select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind == kind)
    if name is not None:
        query = query.where(Artefact.name == name)
    found = session.scalar(query.order_by(Artefact.name).limit(1))
    if found is None:
        raise NotFound
    return found


def has(session: Session, recording_id: uuid.UUID, kind: ArtefactKind) -> bool:
    """Whether there is any stored object of this kind: one query."""
    query = select(Artefact.id).where(Artefact.recording_id == recording_id, Artefact.kind == kind)
    return session.scalar(query.limit(1)) is not None


def media(session: Session, recording_id: uuid.UUID, name: str, version: str = "") -> Artefact | RetiredObject:
    """The rendition of that name, or a track of sound: one query, unless it was replaced.

    Args:
        version: as a playlist names it. Its byte ranges fit this object only, so another one is never given instead.

    Raises:
        NotFound: there is no such rendition (yet, or any more).
    """
    track = _track_of(name)
    kind, name = (ArtefactKind.RENDITION, name) if track is None else (ArtefactKind.AUDIO, track)
    query = select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind == kind, Artefact.name == name)
    found: Artefact | RetiredObject | None = session.scalar(query)
    if found is None or (version and _version(found) != version):
        found = _retired(session, recording_id, kind, name, version)
    if found is None:
        raise NotFound
    return found


def _track_of(name: str) -> str | None:
    """The name of the artefact of sound behind a name in an address; None where it names a rendition."""
    if name == AUDIO:
        return ""
    return name.removeprefix(f"{AUDIO}-") if name.startswith(f"{AUDIO}-") else None


def _address_of(track: str) -> str:
    return f"{AUDIO}-{track}" if track else AUDIO


def _retired(
    session: Session, recording_id: uuid.UUID, kind: ArtefactKind, name: str, version: str
) -> RetiredObject | None:
    """What had this name before: the newest one, or the one of this version. A player that began before it was replaced
    goes on with it."""
    query = select(RetiredObject).where(
        RetiredObject.recording_id == recording_id, RetiredObject.kind == kind, RetiredObject.name == name,
        RetiredObject.until > clock.now(),
    )  # fmt: skip
    rows = session.scalars(query.order_by(RetiredObject.until.desc()))
    return next((row for row in rows if not version or _version(row) == version), None)


def _version(row: Artefact | RetiredObject) -> str:
    """Tells an object apart from the one that replaces it."""
    return row.sha256[:16]


def _address(name: str, row: Artefact | RetiredObject) -> str:
    """Where the bytes are, relative to the playlists."""
    return f"media/{name}.mp4?v={_version(row)}"


def _index(row: Artefact | RetiredObject) -> Index:
    """The segment index that is kept with a rendition."""
    return Index.from_json({field.name: row.detail[field.name] for field in fields(Index)})


def _frame_rate(index: Index) -> Fraction:
    """Frames per second as the fragments tell: pictures over seconds."""
    pictures = sum(fragment.samples for fragment in index.fragments)
    return Fraction(pictures / max(index.duration, 1e-6)).limit_denominator(1001)


def _in_order(variants: Sequence[playlists.Variant]) -> list[playlists.Variant]:
    """The one to start with first, then from small to large; AV1 after what every player can decode."""

    def short_edge(variant: playlists.Variant) -> int:
        return min(variant.index.width, variant.index.height)

    def is_av1(variant: playlists.Variant) -> bool:
        return variant.index.codecs.startswith("av01")

    rising = sorted(variants, key=lambda variant: (is_av1(variant), short_edge(variant), variant.name))
    start = min(rising, key=lambda variant: (is_av1(variant), abs(short_edge(variant) - START_SHORT_EDGE)))
    return [start, *(variant for variant in rising if variant is not start)]


def _kept(
    session: Session, recording_id: uuid.UUID
) -> tuple[list[playlists.Variant], list[playlists.Track], dict[str, Artefact]]:
    """The renditions and tracks of sound that are complete, and the artefact behind each name in addresses: one query."""
    kinds = (ArtefactKind.RENDITION, ArtefactKind.AUDIO)
    rows = session.scalars(
        select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind.in_(kinds)).order_by(Artefact.name)
    ).all()
    pictures = [(row, _index(row)) for row in rows if row.kind is ArtefactKind.RENDITION]
    sounds = [(row, _index(row)) for row in rows if row.kind is ArtefactKind.AUDIO]
    variants = [playlists.Variant(row.name, index, _frame_rate(index)) for row, index in pictures]
    named = {row.name: row for row, _ in pictures} | {_address_of(row.name): row for row, _ in sounds}
    return variants, _tracks(sounds), named


def dash_manifest(session: Session, recording_id: uuid.UUID) -> str:
    """The DASH manifest over the renditions that are there: one query. Its addresses are relative.

    Raises:
        NotFound: there is no rendition (yet).
    """
    variants, tracks, rows = _kept(session, recording_id)
    if not variants:
        raise NotFound
    audio = tracks[0].index if tracks else None
    return dash.manifest(_in_order(variants), audio, uri=lambda name: _address(name, rows[name]), audio_name=AUDIO)


def master_playlist(session: Session, recording_id: uuid.UUID) -> str:
    """The HLS multivariant playlist over the renditions that are there, or over what is encoded so far. Its addresses are
    relative.

    Raises:
        NotFound: there is no rendition (yet).
    """
    variants, tracks, _ = _kept(session, recording_id)
    if not variants and (found := growing.of(session, recording_id)) is not None:
        variants = [
            playlists.Variant(name, whole, _frame_rate(whole))
            for name in found.rungs
            if (whole := playlists.whole(found.pieces(name)))
        ]
        if not tracks and found.sound is not None:
            tracks = [playlists.Track("", Index.from_json(found.sound["index"]), "Sound")]
    if not variants and not (tracks and is_heard_only(session.get_one(Recording, recording_id))):
        raise NotFound
    return playlists.multivariant(
        _in_order(variants) if variants else [],
        tracks,
        media_uri=lambda name: f"{name}.m3u8",
        iframes_uri=lambda name: f"{name}.iframes.m3u8",
        audio_uri=lambda name: f"{_address_of(name)}.m3u8",
    )


def sound_labels(rows: Sequence[Artefact]) -> list[str]:
    """What the tracks of sound among these are called in players, the usual one first."""
    return [track.label for track in _tracks([(row, _index(row)) for row in rows if row.kind is ArtefactKind.AUDIO])]


def is_heard_only(recording: Recording) -> bool:
    """Whether the file was looked at and has no picture."""
    return recording.duration_ms is not None and recording.width is None


def _tracks(rows: Sequence[tuple[Artefact, Index]]) -> list[playlists.Track]:
    """The tracks of sound as the playlist names them: labels that are there twice get a number."""
    found: list[playlists.Track] = []
    for row, index in sorted(rows, key=lambda item: item[0].name):
        label = row.detail.get("label") if len(rows) > 1 else ""
        label = label or ("Sound" if not row.name else "Other sound")
        taken = {track.label for track in found}
        unique = next(name for name in (label, *(f"{label} {n}" for n in range(2, 99))) if name not in taken)
        language, describes = str(row.detail.get("language", "")), bool(row.detail.get("describes", False))
        found.append(playlists.Track(row.name, index, unique, language, describes))
    return found


def media_playlist(session: Session, recording_id: uuid.UUID, name: str) -> str:
    """The playlist of one rendition, or of a track of sound. It has no end while the picture is still growing.

    Raises:
        NotFound: there is no such rendition (yet).
    """
    try:
        row = media(session, recording_id, name)
    except NotFound:
        found = growing.of(session, recording_id)
        if found is None:
            raise
        if _track_of(name) == "" and found.sound is not None:
            sound = Index.from_json(found.sound["index"])
            return playlists.media(sound, lambda segment: f"media/{name}.mp4?chunk=0", growing=True)
        pieces = found.pieces(name)
        if not pieces:
            raise
        return playlists.growing(pieces, lambda piece: f"media/{name}.mp4?chunk={piece.number}")
    open_end = _track_of(name) is not None and growing.is_growing(session, recording_id)
    return playlists.media(_index(row), lambda segment: _address(name, row), growing=open_end)


def iframe_playlist(session: Session, recording_id: uuid.UUID, name: str) -> str:
    """The key frames of one rendition: one query.

    Raises:
        NotFound: there is no such rendition (yet).
    """
    if _track_of(name) is not None:
        raise NotFound
    try:
        row = media(session, recording_id, name)
    except NotFound:
        found = growing.of(session, recording_id)
        pieces = found.pieces(name) if found is not None else []
        if not pieces:
            raise
        return playlists.growing(pieces, lambda piece: f"media/{name}.mp4?chunk={piece.number}", iframes=True)
    return playlists.iframes(_index(row), lambda segment: _address(name, row))


def storyboard(session: Session, recording_id: uuid.UUID, image: str) -> dict[str, Any]:
    """The storyboard's geometry as the player reads it, with `image` as the address of its picture.

    Raises:
        NotFound: there is none (yet).
    """
    board = Storyboard.from_json(artefact(session, recording_id, ArtefactKind.STORYBOARD).detail)
    return {
        "interval": float(board.interval_seconds),
        "width": board.tile_width,
        "height": board.tile_height,
        "columns": board.columns,
        "rows": board.rows,
        "count": board.tiles,
        "images": [image],
    }


def captions(session: Session, recording_id: uuid.UUID, language: str, shown: Shown) -> str:
    """The captions in a language as WebVTT, in the version that the asker gets to see: two queries.

    Raises:
        NotFound: there are none for them.
    """
    found = session.execute(
        select(CaptionVersion.id, CaptionTrack.published_version)
        .select_from(CaptionVersion)
        .join(CaptionTrack, caption_showing.version_is(shown))
        .where(CaptionTrack.recording_id == recording_id, CaptionTrack.language == language)
    ).first()
    if found is None:
        raise NotFound
    rows = session.scalars(select(Cue).where(Cue.version_id == found.id).order_by(Cue.position))
    cues = [caption_versions.built(row) for row in rows]
    return caption_versions.as_file(language, cues, checked=found.published_version is not None)


def chapters(session: Session, recording_id: uuid.UUID, duration_ms: int | None) -> str:
    """The chapters as a WebVTT track of kind "chapters"; each lasts until the next.

    Raises:
        NotFound: there are none.
    """
    rows = list(session.scalars(select(Chapter).where(Chapter.recording_id == recording_id).order_by(Chapter.start_ms)))
    if not rows:
        raise NotFound
    last = max(duration_ms or 0, rows[-1].start_ms + 1)
    ends = [row.start_ms for row in rows[1:]] + [last]
    lines = ["WEBVTT"]
    for row, end in zip(rows, ends, strict=True):
        title = " ".join(row.title.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        lines += ["", f"{webvtt.timestamp(row.start_ms)} --> {webvtt.timestamp(max(end, row.start_ms + 1))}", title]
    return "\n".join([*lines, ""])
