"""What makers' lists of recordings and cases show of each row, as the card and list templates read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import recordings
from app.domain.paging import Sorting

EVERYWHERE = "All places"


def place_name(row: Case | Recording) -> str:
    """Where a case or recording belongs, in words."""
    if row.area is not None:
        return row.area.name
    return row.organisation.name if row.organisation is not None else EVERYWHERE


def of_recordings(session: Session, rows: Sequence[Recording], *, manage: bool = False) -> list[dict[str, Any]]:
    """Cards of recordings, leading to the watch page or to the maker's: one query more, however many there are."""
    with_poster = set(
        session.scalars(
            select(Artefact.recording_id).where(
                Artefact.kind == ArtefactKind.POSTER, Artefact.recording_id.in_([row.id for row in rows])
            )
        )
    )
    endpoint = "recordings.manage" if manage else "watch.show"
    return [
        {
            "title": row.title,
            "href": url_for(endpoint, recording_id=row.id),
            "poster": url_for("playback.poster", recording_id=row.id) if row.id in with_poster else None,
            "duration": row.duration_ms / 1000 if row.duration_ms is not None else None,
            "recorded": row.recorded_on,
            "state": recordings.standing(row),
        }
        for row in rows
    ]


def sortings(endpoint: str, known: Sequence[Sorting], chosen: Sorting, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Links that sort a list anew and keep its filters."""
    arguments = {name: value for name, value in kept.items() if value}
    return [
        {
            "text": sorting.label,
            "href": url_for(endpoint, **{**arguments, "sort": sorting.name}),
            "current": sorting.name == chosen.name,
        }
        for sorting in known
    ]
