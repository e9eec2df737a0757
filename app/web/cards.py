"""Recordings as `components/recording_card.html` draws them in a list."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import url_for

from app import clock
from app.db.recordings import Recording, RecordingState
from app.domain.library import Extras
from app.domain.search import Hit
from app.web import formats


def state_of(recording: Recording, now: datetime) -> str:
    """What the card's tag says: the state, or that it is a draft."""
    if recording.state is RecordingState.READY and (recording.published_at is None or recording.published_at > now):
        return "draft"
    return recording.state.value


def card(
    recording: Recording, extras: Extras, hits: Sequence[Hit] = (), *, at: float | None = None, show_state: bool = True
) -> dict[str, Any]:
    """One recording.

    Args:
        at: second at which its link begins to play.
    """

    def watch(seconds: float | None) -> str:
        return url_for("watch.show", recording_id=recording.id, t=int(seconds) if seconds else None)

    notes = [f"Continue from {formats.clock(at)}"] if at else []
    return {
        "title": recording.title,
        "href": watch(at),
        "poster": url_for("playback.poster", recording_id=recording.id) if recording.id in extras.posters else "",
        "duration": recording.duration_ms / 1000 if recording.duration_ms else None,
        "case": recording.case.title,
        "recorded": recording.recorded_on,
        "state": state_of(recording, clock.now()) if show_state else "",
        "captions": "automatic" if recording.id in extras.unchecked else "",
        "watched": extras.watched.get(recording.id),
        "notes": notes,
        "hits": [
            {"at": hit.start, "href": watch(hit.start), "parts": [vars(piece) for piece in hit.pieces]} for hit in hits
        ],
    }


def cards(
    recordings: Sequence[Recording], extras: Extras, hits: Mapping[uuid.UUID, Sequence[Hit]] | None = None
) -> list[dict[str, Any]]:
    """Recordings of a list, in its order."""
    return [card(recording, extras, (hits or {}).get(recording.id, ())) for recording in recordings]
