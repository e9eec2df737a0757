"""Watching: what the watch page shows besides the bytes, where people were, and that they have read the notice."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.access.actor import area_tree, with_narrower
from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.cases import Case, CaseStatus
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import (
    NoticeAcknowledgement,
    Recording,
    RecordingState,
    WatchPosition,
)
from app.domain import audit, caption_showing
from app.domain.caption_showing import Shown
from app.domain.days import today

#: Version of the notice on real cases. A new one is to be read by everybody again.
NOTICE_VERSION = 1
#: Nobody is asked whether to go on from the first seconds, or with the last ones.
RESUME_AFTER_MS = 5_000
RESUME_BEFORE_END_MS = 10_000
#: A review that is due within this time waits for its people.
REVIEW_AHEAD = timedelta(days=30)


@dataclass(frozen=True)
class Captions:
    """The version of one track that somebody gets to see. `checked` means that a person has reviewed it."""

    language: str
    checked: bool
    cues: Sequence[Cue]


def to_watch(session: Session, recording_id: uuid.UUID) -> Recording:
    """A recording with all that the watch page shows of it: three queries. The caller has asked the policy."""
    return session.scalars(
        select(Recording)
        .where(Recording.id == recording_id)
        .options(
            joinedload(Recording.case).joinedload(Case.origin),
            selectinload(Recording.terms),
            selectinload(Recording.chapters),
        )
        .execution_options(populate_existing=True)
    ).one()


def captions(session: Session, recording_id: uuid.UUID, shown: Shown) -> list[Captions]:
    """The tracks of a recording that are shown, with their cues, what is spoken before translations: two queries."""
    tracks = session.execute(
        select(CaptionTrack, CaptionVersion.id)
        .select_from(CaptionTrack)
        .join(CaptionVersion, caption_showing.version_is(shown))
        .where(CaptionTrack.recording_id == recording_id)
        .order_by(CaptionTrack.kind, CaptionTrack.language != "en", CaptionTrack.language)
    ).all()
    cues: dict[uuid.UUID, list[Cue]] = {version_id: [] for _, version_id in tracks}
    for cue in session.scalars(select(Cue).where(Cue.version_id.in_(cues)).order_by(Cue.version_id, Cue.position)):
        cues[cue.version_id].append(cue)
    return [
        Captions(track.language, track.published_version is not None, cues[version_id]) for track, version_id in tracks
    ]


# -- where people were ---------------------------------------------------------------------------------------------------


def save_position(session: Session, actor: Actor, recording: Recording, seconds: float) -> int:
    """Keep where the actor is in a recording. Returns the second that was kept, clamped to the recording's length."""
    if actor.person_id is None:
        return 0
    position_ms = max(0, min(int(seconds * 1000), recording.duration_ms or 0))
    now = clock.now()
    session.execute(
        insert(WatchPosition)
        .values(person_id=actor.person_id, recording_id=recording.id, position_ms=position_ms, updated_at=now)
        .on_conflict_do_update(
            index_elements=[WatchPosition.person_id, WatchPosition.recording_id],
            set_={"position_ms": position_ms, "updated_at": now},
        )
    )
    return position_ms // 1000


def position(session: Session, actor: Actor, recording: Recording) -> float | None:
    """The second from which the actor may want to go on; None at the beginning, and once it was seen to the end."""
    found = session.get(WatchPosition, (actor.person_id, recording.id)) if actor.person_id is not None else None
    if found is None or not worth_resuming(found.position_ms, recording.duration_ms):
        return None
    return found.position_ms / 1000


def has_watched(session: Session, actor: Actor, recording: Recording) -> bool:
    """Whether the actor has watched any of it before."""
    return actor.person_id is not None and session.get(WatchPosition, (actor.person_id, recording.id)) is not None


def worth_resuming(position_ms: int, duration_ms: int | None) -> bool:
    """Whether a position lies between the first seconds and the last."""
    return RESUME_AFTER_MS <= position_ms < (duration_ms or 0) - RESUME_BEFORE_END_MS


# -- the notice ----------------------------------------------------------------------------------------------------------


def has_acknowledged(session: Session, actor: Actor) -> bool:
    """Whether the actor has confirmed the present notice."""
    if actor.person_id is None:
        return False
    return session.get(NoticeAcknowledgement, (actor.person_id, NOTICE_VERSION)) is not None


def acknowledge(session: Session, actor: Actor) -> None:
    """Keep that the actor has read the present notice; a second time changes nothing."""
    added = session.scalar(
        insert(NoticeAcknowledgement)
        .values(person_id=actor.person_id, version=NOTICE_VERSION, acknowledged_at=clock.now())
        .on_conflict_do_nothing()
        .returning(NoticeAcknowledgement.version)
    )
    if added is not None:
        audit.record(session, actor, "notice:acknowledge", "person", actor.person_id, version=NOTICE_VERSION)


# -- the start page ------------------------------------------------------------------------------------------------------


def on_show(now: datetime) -> ColumnElement[bool]:
    """Recordings that are published, watchable and of a live case: what audiences see. Who may see them is the policy's."""
    return and_(
        Recording.published_at.is_not(None),
        Recording.published_at <= now,
        Recording.watchable_at.is_not(None),
        Recording.state.in_((RecordingState.PROCESSING, RecordingState.READY)),
        exists().where(Case.id == Recording.case_id, Case.status == CaseStatus.LIVE).correlate_except(Case),
    )


def to_continue(session: Session, actor: Actor, limit: int = 3) -> list[tuple[Recording, float]]:
    """Recordings that the actor began and did not finish, the latest first, and the second they were at: one query."""
    now = clock.now()
    rows = session.execute(
        policy.visible(actor, Action.RECORDING_VIEW, now)
        .add_columns(WatchPosition.position_ms)
        .join(
            WatchPosition,
            and_(WatchPosition.recording_id == Recording.id, WatchPosition.person_id == actor.person_id),
        )
        .where(
            Recording.state != RecordingState.WITHDRAWN,
            WatchPosition.position_ms >= RESUME_AFTER_MS,
            WatchPosition.position_ms < func.coalesce(Recording.duration_ms, 0) - RESUME_BEFORE_END_MS,
        )
        .options(joinedload(Recording.case))
        .order_by(WatchPosition.updated_at.desc(), Recording.id)
        .limit(limit)
    )
    return [(recording, position_ms / 1000) for recording, position_ms in rows]


def new_nearby(session: Session, actor: Actor, limit: int = 6) -> list[Recording]:
    """The newest recordings of the actor's regions that they have not begun: three queries. Somebody of a country or
    of everywhere gets the newest of all that they may view."""
    now = clock.now()
    query = policy.visible(actor, Action.RECORDING_VIEW, now).where(
        on_show(now),
        ~exists()
        .where(WatchPosition.recording_id == Recording.id, WatchPosition.person_id == actor.person_id)
        .correlate_except(WatchPosition),
    )
    tree = area_tree(session)
    mine = session.scalars(
        select(Area.id).where(Area.id.in_(actor.audience_area_ids), Area.kind == AreaKind.REGION)
    ).all()
    if mine:
        areas = with_narrower(mine, tree)
        query = query.where(
            or_(
                Recording.area_id.in_(areas),
                Recording.organisation_id.in_(select(Organisation.id).where(Organisation.area_id.in_(areas))),
            )
        )
    query = query.options(joinedload(Recording.case)).order_by(Recording.published_at.desc(), Recording.id).limit(limit)
    return list(session.scalars(query))


def waiting_recordings(session: Session, actor: Actor, limit: int = 10) -> list[Recording]:
    """Recordings of the actor's own that are not published yet or could not be processed: one query."""
    unfinished = (
        RecordingState.UPLOADING,
        RecordingState.PROCESSING,
        RecordingState.FAILED,
        RecordingState.REJECTED,
    )
    return list(
        session.scalars(
            policy.visible(actor, Action.RECORDING_MANAGE, clock.now())
            .join(Case, Case.id == Recording.case_id)
            .where(
                Recording.owner_id == actor.person_id,
                Recording.state != RecordingState.WITHDRAWN,
                or_(Recording.state.in_(unfinished), Recording.published_at.is_(None)),
            )
            .options(contains_eager(Recording.case))
            .order_by(Recording.updated_at.desc(), Recording.id)
            .limit(limit)
        )
    )


def waiting_cases(session: Session, actor: Actor, limit: int = 10) -> list[Case]:
    """Live cases that the actor may edit and whose review is due, the most overdue first: one query."""
    return list(
        session.scalars(
            policy.visible(actor, Action.CASE_EDIT, clock.now())
            .where(Case.status == CaseStatus.LIVE, Case.review_on <= today() + REVIEW_AHEAD)
            .order_by(Case.review_on, Case.id)
            .limit(limit)
        )
    )
