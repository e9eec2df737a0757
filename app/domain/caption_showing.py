"""Which version of a caption track somebody gets to see: on the watch page, in files, in search, everywhere by this.

Viewers see what a person has checked. Whoever may manage a recording sees what nobody has checked as well, marked as such.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func

from app.access import Action, Actor, policy
from app.db.captions import CaptionTrack, CaptionVersion
from app.db.recordings import Recording

#: The number of a version, or NULL where the asker sees none of the track; over `CaptionTrack`, for any query with it.
Shown = ColumnElement[Any]


def number(actor: Actor, now: datetime, *, everyone: bool) -> Shown:
    """The version of each track that the actor gets to see.

    Args:
        everyone: whether those who watch also see captions that nobody has checked.
    """
    unchecked = func.nullif(CaptionTrack.current_version, 0)
    if everyone:
        return func.coalesce(CaptionTrack.published_version, unchecked)
    manages = (
        exists()
        .where(Recording.id == CaptionTrack.recording_id, policy.where(actor, Action.RECORDING_MANAGE, now))
        .correlate_except(Recording)
    )
    return case((CaptionTrack.published_version.is_not(None), CaptionTrack.published_version), (manages, unchecked))


def version_is(shown: Shown) -> ColumnElement[bool]:
    """The condition that joins a track with the version of it that is shown."""
    return and_(CaptionVersion.track_id == CaptionTrack.id, CaptionVersion.number == shown)


def is_checked() -> ColumnElement[bool]:
    """Whether what is shown of a track is what a person has checked: that goes before all else."""
    return CaptionTrack.published_version.is_not(None)
