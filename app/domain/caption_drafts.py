"""The version of a track that people work on: reading it, saving it, and never overwriting anybody in silence.

Whoever saves names the revision that they began from. Is it no longer the track's, somebody else has saved meanwhile: the
save is refused, and the refusal carries all that is needed to choose.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.captions import comparing
from app.captions.cues import Cue
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.recordings import Recording
from app.domain import audit, caption_versions
from app.errors import Conflict

#: One person's saves go into one version until they pause for this long.
SITTING = timedelta(minutes=30)


@dataclass(frozen=True)
class Draft:
    """The current version. `by` is empty for a machine's; `at` is when it was last saved."""

    track: CaptionTrack
    number: int
    revision: int
    origin: CaptionOrigin
    by: str
    by_id: uuid.UUID | None
    at: datetime
    cues: list[Cue]

    @property
    def checked(self) -> int:
        """How many captions a person has compared with the sound."""
        return sum(cue.checked for cue in self.cues)


class EditedMeanwhile(Conflict):
    """Somebody else has saved since. `theirs` is the present state; `merged` both works, where the base was told."""

    code = "edited-meanwhile"

    def __init__(self, theirs: Draft, merged: comparing.Merged | None = None) -> None:
        who = theirs.by or "The automatic captioning"
        super().__init__(
            f"{who} saved these captions at {theirs.at:%H:%M} UTC, after you opened them. Nothing was overwritten: choose "
            "which captions to keep."
        )
        self.theirs = theirs
        self.merged = merged


def of(session: Session, track: CaptionTrack, cues: list[Cue] | None = None) -> Draft:
    """The current version of a track: two queries, or one where its cues are known.

    Raises:
        NotFound: the track has no version yet.
    """
    version = caption_versions.version(session, track, track.current_version)
    by = version.created_by
    return Draft(
        track, version.number, track.revision, version.origin, by.name if by is not None else "",
        version.created_by_id, version.updated_at,
        caption_versions.cues_of(session, track, version.number) if cues is None else cues,
    )  # fmt: skip


def save(
    session: Session, actor: Actor, recording: Recording, language: str, cues: Sequence[Cue], *, revision: int,
    base: Sequence[Cue] | None = None, apart: bool = False, note: str = "",
) -> Draft:  # fmt: skip
    """Save the captions that people work on. The caller has asked the policy.

    Args:
        revision: the track's, as the actor loaded it or last saved it.
        base: the cues at that revision; with them a conflict comes with both works merged.
        apart: keep what was there as a version of its own, even if it is the actor's own from a moment ago.
        note: what the list of versions says of it.
    Raises:
        NotFound: there is no such track.
        EditedMeanwhile: `revision` is no longer the track's.
        TooLarge, Invalid: cues that cannot be kept.
    """
    kept = caption_versions.fit_to_keep(cues)
    track = caption_versions.track(session, recording.id, language, lock=True)
    if revision != track.revision:
        theirs = of(session, track)
        raise EditedMeanwhile(theirs, comparing.merge(base, kept, theirs.cues) if base is not None else None)
    current = caption_versions.version(session, track, track.current_version)
    if caption_versions.cues_of(session, track, current.number) == kept and not apart:
        return of(session, track, kept)
    if not apart and not note and _goes_on(actor, track, current):
        _rewrite(session, track, current, kept)
    else:
        added = caption_versions.add(
            session, track, kept, CaptionOrigin.EDITED, parent=current.number, by=actor.person_id, note=note
        )
        caption_versions.become_current(track, added)
        audit.record(
            session, actor, "captions:edit", "recording", recording.id, language=language, version=added.number
        )
    session.flush()
    return of(session, track, kept)


def _goes_on(actor: Actor, track: CaptionTrack, current: CaptionVersion) -> bool:
    """Whether a save belongs to the version that is current: the actor's own, fresh, and nothing rests on it yet."""
    return (
        current.origin is CaptionOrigin.EDITED
        and current.created_by_id == actor.person_id
        and not current.note
        and current.number not in (track.reviewed_version, track.published_version)
        and clock.now() - current.updated_at < SITTING
    )


def _rewrite(session: Session, track: CaptionTrack, current: CaptionVersion, cues: Sequence[Cue]) -> None:
    caption_versions.clear_cues(session, current)
    caption_versions.write_cues(session, current, cues)
    current.updated_at = clock.now()
    caption_versions.become_current(track, current)


def restore(
    session: Session, actor: Actor, recording: Recording, language: str, number: int, *, revision: int
) -> Draft:
    """Work on with an earlier version: it is copied into a new one, so nothing in between is lost.

    Raises:
        NotFound: there is no such track or version.
        EditedMeanwhile: `revision` is no longer the track's.
    """
    track = caption_versions.track(session, recording.id, language, lock=True)
    if revision != track.revision:
        raise EditedMeanwhile(of(session, track))
    cues = caption_versions.cues_of(session, track, caption_versions.version(session, track, number).number)
    added = caption_versions.add(
        session, track, cues, CaptionOrigin.EDITED, parent=number, by=actor.person_id, note=f"Version {number} restored"
    )
    caption_versions.become_current(track, added)
    audit.record(
        session,
        actor,
        "captions:restore",
        "recording",
        recording.id,
        language=language,
        version=added.number,
        of=number,
    )
    session.flush()
    return of(session, track)


def check_all(
    session: Session, actor: Actor, recording: Recording, language: str, *, revision: int, checked: bool = True
) -> Draft:
    """Tick every caption of the current version, or none.

    Raises:
        NotFound, EditedMeanwhile: as `save`.
    """
    track = caption_versions.track(session, recording.id, language)
    cues = [replace(cue, checked=checked) for cue in of(session, track).cues]
    return save(session, actor, recording, language, cues, revision=revision)
