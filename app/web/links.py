"""Addresses of a recording's parts, present as soon as each part exists."""

from __future__ import annotations

import uuid
from typing import Any

from flask import url_for

from app.db.recordings import ArtefactKind, Recording
from app.domain.standing import Standing


def _named(recording: Recording) -> dict[str, Any]:
    return {"recording_id": recording.id}


def plain(recording: Recording) -> dict[str, str | None]:
    """Addresses that every recording has."""
    here = _named(recording)
    return {"self": url_for("api_recordings.show", **here), "watch": url_for("watch.show", **here)}


def of_recording(recording: Recording, standing: Standing) -> dict[str, str | None]:
    """Addresses by what is there; None for what is not (yet)."""
    kinds, here = standing.kinds, _named(recording)
    watchable = recording.watchable_at is not None
    spoken = next((track for track in standing.captions if not track.no_speech), None)
    return {
        **plain(recording),
        "playlist": url_for("playback.master", **here) if watchable and standing.plays else None,
        "manifest": url_for("playback.manifest", **here) if watchable and standing.renditions else None,
        "captions": url_for("playback.captions", language=spoken.language, **here) if spoken is not None else None,
        "poster": url_for("playback.poster", **here) if ArtefactKind.POSTER in kinds else None,
        "storyboard": url_for("playback.storyboard", **here) if ArtefactKind.STORYBOARD in kinds else None,
        "peaks": url_for("playback.peaks", **here) if ArtefactKind.PEAKS in kinds else None,
    }


def page_links(endpoint: str, page: Any, **kept: Any) -> dict[str, str | None]:
    """Addresses of the pages beside one page of a list."""
    arguments = {name: value for name, value in kept.items() if value}
    return {
        "next": url_for(endpoint, **arguments, after=page.after) if page.after else None,
        "previous": url_for(endpoint, **arguments, before=page.before) if page.before else None,
    }


def as_id(text: str) -> uuid.UUID | None:
    """The id that a query's value is, or None."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
