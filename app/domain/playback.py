"""What a player asks for: playlists, and the stored objects behind media, captions and stills.

Playlists are written anew at each request from the segment indexes of what is there, so a recording that is still being
processed plays with the renditions that it has.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import webvtt
from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.recordings import Artefact, ArtefactKind, Chapter
from app.domain import caption_showing, caption_versions
from app.domain.caption_showing import Shown
from app.errors import NotFound
from app.media import playlists
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


def media(session: Session, recording_id: uuid.UUID, name: str) -> Artefact:
    """The rendition of that name, or the separate sound: one query.

    Raises:
        NotFound: there is no such rendition (yet).
    """
    if name == AUDIO:
        return artefact(session, recording_id, ArtefactKind.AUDIO)
    return artefact(session, recording_id, ArtefactKind.RENDITION, name)


def _index(row: Artefact) -> Index:
    """The segment index that is kept with a rendition."""
    return Index.from_json({field.name: row.detail[field.name] for field in fields(Index)})


def _frame_rate(index: Index) -> Fraction:
    """Frames per second as the fragments tell: pictures over seconds."""
    pictures = sum(fragment.samples for fragment in index.fragments)
    return Fraction(pictures / max(index.duration, 1e-6)).limit_denominator(1001)


def _in_order(variants: Sequence[playlists.Variant]) -> list[playlists.Variant]:
    """The one to start with first, then from small to large."""

    def short_edge(variant: playlists.Variant) -> int:
        return min(variant.index.width, variant.index.height)

    rising = sorted(variants, key=lambda variant: (short_edge(variant), variant.name))
    start = min(rising, key=lambda variant: abs(short_edge(variant) - START_SHORT_EDGE))
    return [start, *(variant for variant in rising if variant is not start)]


def master_playlist(session: Session, recording_id: uuid.UUID) -> str:
    """The HLS multivariant playlist over the renditions that are there: one query. Its addresses are relative.

    Raises:
        NotFound: there is no rendition (yet).
    """
    kinds = (ArtefactKind.RENDITION, ArtefactKind.AUDIO)
    rows = session.scalars(
        select(Artefact).where(Artefact.recording_id == recording_id, Artefact.kind.in_(kinds)).order_by(Artefact.name)
    ).all()
    indexes = {row: _index(row) for row in rows}
    variants = [
        playlists.Variant(row.name, index, _frame_rate(index))
        for row, index in indexes.items()
        if row.kind is ArtefactKind.RENDITION
    ]
    if not variants:
        raise NotFound
    return playlists.multivariant(
        _in_order(variants),
        next((index for row, index in indexes.items() if row.kind is ArtefactKind.AUDIO), None),
        media_uri=lambda name: f"{name}.m3u8",
        iframes_uri=lambda name: f"{name}.iframes.m3u8",
        audio_uri=lambda: f"{AUDIO}.m3u8",
    )


def media_playlist(session: Session, recording_id: uuid.UUID, name: str) -> str:
    """The playlist of one rendition, or of the sound: one query.

    Raises:
        NotFound: there is no such rendition (yet).
    """
    return playlists.media(_index(media(session, recording_id, name)), lambda segment: f"media/{name}.mp4")


def iframe_playlist(session: Session, recording_id: uuid.UUID, name: str) -> str:
    """The key frames of one rendition: one query.

    Raises:
        NotFound: there is no such rendition (yet).
    """
    row = artefact(session, recording_id, ArtefactKind.RENDITION, name)
    return playlists.iframes(_index(row), lambda segment: f"media/{name}.mp4")


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
