"""Checking captions: who has compared them with the sound, a second pair of eyes, and what viewers then see."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.captions import identifiers
from app.captions.cues import Cue, lint
from app.captions.words import Word
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.captions import Cue as Row
from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import audit, caption_drafts, caption_versions
from app.domain.caption_drafts import Draft, EditedMeanwhile
from app.errors import Conflict
from app.storage.s3 import Storage

#: Breaches with which captions cannot be shown at all; the others are a matter of reading comfort.
UNSHOWABLE = frozenset({"empty", "reversed", "order"})


@dataclass(frozen=True)
class Named:
    """An identifying name or number of the case in caption number `index` (from 0); `exact`, or only similar."""

    index: int
    identifier: str
    said: str
    exact: bool


def named_in(session: Session, recording: Recording, cues: Sequence[Cue]) -> list[Named]:
    """Where the captions say what must not be said: one query."""
    listed = session.scalar(select(Case.identifying_names).where(Case.id == recording.case_id)) or []
    words, owners = [], []
    for index, cue in enumerate(cues):
        for word in cue.text.split():
            words.append(Word(cue.start_ms / 1000, cue.end_ms / 1000, word, 1.0))
            owners.append(index)
    return [
        Named(owners[found.first], found.identifier, " ".join(w.text for w in words[found.first : found.last + 1]),
              found.exact)
        for found in (identifiers.find(listed, words) if listed else [])
    ]  # fmt: skip


# -- marking as checked ------------------------------------------------------------------------------------------------


def eyes(session: Session, track: CaptionTrack, number: int) -> set[uuid.UUID]:
    """The people who had a version in hand: all who edited or brought it or one that it was made from."""
    return {
        version.created_by_id
        for version in caption_versions.lineage(session, track, number)
        if version.created_by_id is not None and version.origin is not CaptionOrigin.AUTOMATIC
    }


def review(
    session: Session, storage: Storage, actor: Actor, recording: Recording, language: str, *, revision: int,
    four_eyes: bool, names_are_right: bool = False,
) -> Draft:  # fmt: skip
    """Say that the current version is right: somebody has compared every caption with the sound.

    Viewers then see it; with `four_eyes` only once two people have had it in hand, and `approve` is how the second one
    says so. The caller has asked the policy.

    Raises:
        NotFound: there is no such track.
        EditedMeanwhile: `revision` is no longer the track's.
        Conflict: something stands against it; the sentence says what.
        Unavailable: storage did not take the file.
    """
    track, draft = _current(session, recording, language, revision)
    if why_not := stands_against(session, recording, draft, names_are_right=names_are_right):
        raise Conflict(why_not, code="not-reviewable")
    now = clock.now()
    track.reviewed_version, track.reviewed_at, track.reviewed_by_id = draft.number, now, actor.person_id
    track.approved_at = track.approved_by_id = None
    audit.record(
        session, actor, "captions:review", "recording", recording.id, language=language, version=draft.number,
        names_are_right=names_are_right,
    )  # fmt: skip
    if not four_eyes or _seen_by_two(session, track):
        _publish(session, storage, actor, recording, track, draft)
    session.flush()
    return draft


def stands_against(session: Session, recording: Recording, draft: Draft, *, names_are_right: bool = False) -> str:
    """Why a version cannot be marked as checked, as a sentence; empty when it can."""
    broken = [breach for breach in lint(draft.cues) if breach.rule in UNSHOWABLE]
    if broken:
        return f"{broken[0].sentence} Correct that first."
    if left := len(draft.cues) - draft.checked:
        return "1 caption has not been checked yet." if left == 1 else f"{left} captions have not been checked yet."
    names = [] if names_are_right else [found for found in named_in(session, recording, draft.cues) if found.exact]
    if names:
        return (
            f"Caption {names[0].index + 1} says “{names[0].said}”, which is on the case's list of what must not be said. "
            "Take it out, or confirm that it is not the person or number on the list."
        )
    return ""


def waits_for_second(session: Session, track: CaptionTrack, *, four_eyes: bool) -> bool:
    """Whether the version that was marked as checked is not shown because a second person has to look."""
    return (
        four_eyes
        and track.reviewed_version is not None
        and track.reviewed_version == track.current_version
        and track.published_version != track.reviewed_version
        and not _seen_by_two(session, track)
    )


def _seen_by_two(session: Session, track: CaptionTrack) -> bool:
    who = eyes(session, track, track.reviewed_version or 0)
    who |= {person for person in (track.reviewed_by_id, track.approved_by_id) if person is not None}
    return len(who) > 1


def approve(
    session: Session, storage: Storage, actor: Actor, recording: Recording, language: str, *, revision: int
) -> Draft:
    """Be the second pair of eyes: the version that was marked as checked is then shown.

    Raises:
        NotFound, EditedMeanwhile, Unavailable: as `review`.
        Conflict: nobody has marked it as checked, or the actor had it in hand before.
    """
    track, draft = _current(session, recording, language, revision)
    if track.reviewed_version != draft.number:
        raise Conflict("Nobody has marked these captions as checked yet. Do that first.", code="not-reviewed")
    before = eyes(session, track, draft.number) | {track.reviewed_by_id}
    if actor.person_id is None or actor.person_id in before:
        raise Conflict(
            "Somebody who has neither edited nor checked these captions must look at them.", code="four-eyes"
        )
    track.approved_at, track.approved_by_id = clock.now(), actor.person_id
    audit.record(session, actor, "captions:approve", "recording", recording.id, language=language, version=draft.number)
    _publish(session, storage, actor, recording, track, draft)
    session.flush()
    return draft


# -- what viewers see --------------------------------------------------------------------------------------------------


def _publish(
    session: Session, storage: Storage, actor: Actor, recording: Recording, track: CaptionTrack, draft: Draft
) -> None:
    caption_versions.store_file(session, storage, track, draft.number, draft.cues, checked=True, show=True)
    track.published_version, track.published_at = draft.number, clock.now()
    audit.record(
        session, actor, "captions:publish", "recording", recording.id, language=track.language, version=draft.number
    )


def unpublish(session: Session, actor: Actor, recording: Recording, language: str) -> None:
    """Take the captions from viewers, for example because something in them must not be shown. Doing it twice is doing it
    once; marking them as checked again shows them again.

    Raises:
        NotFound: there is no such track.
    """
    track = caption_versions.track(session, recording.id, language, lock=True)
    if track.published_version is None:
        return
    audit.record(
        session, actor, "captions:unpublish", "recording", recording.id, language=language,
        version=track.published_version,
    )  # fmt: skip
    track.published_version = track.published_at = None
    track.reviewed_version = track.reviewed_at = track.reviewed_by_id = None
    track.approved_at = track.approved_by_id = None
    session.execute(
        delete(Artefact).where(
            Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.CAPTIONS, Artefact.name == language
        )
    )
    session.flush()


def why_not_captioned(session: Session, recording: Recording, *, unchecked_shown: bool) -> str:
    """Why viewers would get no captions, as a sentence; empty when they do, and when there is no speech: two queries."""
    if recording.has_audio is False:
        return ""
    tracks = caption_versions.tracks(session, recording.id)
    if not tracks:
        return "This recording has no captions yet."
    if any(track.published_version is not None for track in tracks):
        return ""
    spoken = session.scalar(
        select(func.count())
        .select_from(Row)
        .join(CaptionVersion, CaptionVersion.id == Row.version_id)
        .join(CaptionTrack, CaptionTrack.id == CaptionVersion.track_id)
        .where(CaptionTrack.recording_id == recording.id, CaptionVersion.number == CaptionTrack.current_version)
    )
    if not spoken or unchecked_shown:
        return ""
    return "Nobody has checked the captions of this recording yet, so viewers would get none."


def _current(session: Session, recording: Recording, language: str, revision: int) -> tuple[CaptionTrack, Draft]:
    track = caption_versions.track(session, recording.id, language, lock=True)
    draft = caption_drafts.of(session, track)
    if revision != track.revision:
        raise EditedMeanwhile(draft)
    return track, draft
