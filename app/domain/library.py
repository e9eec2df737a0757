"""The library: the recordings that somebody may watch, narrowed and sorted, with counts of what they may see.

Every query begins with the policy's predicate, counts included, so that no figure tells of what the asker may not view.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, Uuid, and_, bindparam, cast, func, or_, select, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.types import NullType

from app import clock
from app.access import Action, Actor, policy
from app.access.actor import area_tree, with_narrower
from app.db.captions import CaptionTrack
from app.db.cases import Case, case_terms
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState, WatchPosition, recording_terms
from app.db.vocabulary import Term, TermKind
from app.domain import caption_showing, descriptions, paging, search
from app.domain.caption_showing import Shown
from app.domain.paging import Page, Sorting
from app.domain.watching import on_show, worth_resuming

#: The groups by which the library can be narrowed, in their order on the page.
FACETS = {"theme": "Theme", "origin": "Where the case comes from", "profession": "Profession", "region": "Region"}


@dataclass(frozen=True)
class Wish:
    """What somebody looks for. `chosen` maps a facet to the codes chosen in it: any of a facet, all of the facets.
    `by_ear`: only what can be followed without the picture."""

    words: str = ""
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    case_id: uuid.UUID | None = None
    drafts: bool = False
    by_ear: bool = False

    @property
    def narrows(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.words or self.case_id or any(self.chosen.values()) or self.by_ear)


@dataclass(frozen=True)
class Choice:
    """One value of a facet, and how many recordings would be listed with it."""

    code: str
    name: str
    count: int


@dataclass(frozen=True)
class Extras:
    """What a list shows of recordings besides their rows."""

    posters: frozenset[uuid.UUID]
    unchecked: frozenset[uuid.UUID]
    watched: Mapping[uuid.UUID, float]


def sortings(words: str, shown: Shown) -> list[Sorting]:
    """How the library can be sorted; the first is what it is without a wish."""
    newest = Sorting(
        "newest", "Newest first", func.coalesce(Recording.published_at, Recording.created_at), descending=True
    )
    others = [
        Sorting("title", "Title", func.lower(Recording.title)),
        Sorting("duration", "Shortest first", func.coalesce(Recording.duration_ms, 0)),
    ]
    if not words:
        return [newest, *others]
    return [Sorting("relevance", "Best match first", search.rank(words, shown), descending=True), newest, *others]


def _tagged(kind: TermKind, codes: Sequence[str]) -> ColumnElement[bool]:
    """Recordings about these: themes are the recording's own, professions the recording's or its case's."""
    terms = select(Term.id).where(Term.kind == kind, Term.code.in_(codes))
    own = Recording.id.in_(select(recording_terms.c.recording_id).where(recording_terms.c.term_id.in_(terms)))
    if kind is TermKind.THEME:
        return own
    return or_(own, Recording.case_id.in_(select(case_terms.c.case_id).where(case_terms.c.term_id.in_(terms))))


def _placed(areas: Sequence[uuid.UUID] | frozenset[uuid.UUID]) -> ColumnElement[bool]:
    return or_(
        Recording.area_id.in_(areas),
        Recording.organisation_id.in_(select(Organisation.id).where(Organisation.area_id.in_(areas))),
    )


def _narrowing(facet: str, codes: Sequence[str], areas: Mapping[str, frozenset[uuid.UUID]]) -> ColumnElement[bool]:
    if facet == "theme":
        return _tagged(TermKind.THEME, codes)
    if facet == "profession":
        return _tagged(TermKind.PROFESSION, codes)
    if facet == "origin":
        origins = select(Term.id).where(Term.kind == TermKind.ORIGIN, Term.code.in_(codes))
        return Recording.case_id.in_(select(Case.id).where(Case.origin_id.in_(origins)))
    return _placed(frozenset().union(*(areas.get(code, frozenset()) for code in codes)))


def _fitting(session: Session, actor: Actor, wish: Wish, shown: Shown, now: datetime) -> str:
    """Ids of all recordings that the actor may view and that fit the wish, whatever is chosen in the facets; as the text
    of one array, which is made and sent quicker than thousands of ids.

    The policy is asked once for the page and all its counts: for 5,000 recordings and 100,000 grants that took 60 ms, and
    six times that where each count asked anew.
    """
    conditions = [policy.where(actor, Action.RECORDING_VIEW, now)]
    if wish.drafts:
        unpublished = and_(
            or_(Recording.published_at.is_(None), Recording.published_at > now),
            Recording.state.notin_((RecordingState.WITHDRAWN, RecordingState.REJECTED)),
            policy.where(actor, Action.RECORDING_MANAGE, now),
        )
        conditions.append(or_(on_show(now), unpublished))
    else:
        conditions.append(on_show(now))
    if wish.words:
        conditions.append(search.matches(wish.words, shown))
    if wish.case_id is not None:
        conditions.append(Recording.case_id == wish.case_id)
    if wish.by_ear:
        conditions.append(descriptions.followed_by_ear())
    return session.scalar(select(func.array_agg(Recording.id).cast(Text)).where(*conditions)) or "{}"


def _conditions(
    fitting: str, wish: Wish, areas: Mapping[str, frozenset[uuid.UUID]], *, but: str = ""
) -> list[ColumnElement[bool]]:
    """What a recording must fulfil to be listed, leaving the choices of the facet `but` out."""
    ids = cast(bindparam("fitting", fitting, type_=NullType()), ARRAY(Uuid()))
    chosen = [_narrowing(facet, codes, areas) for facet, codes in wish.chosen.items() if codes and facet != but]
    # unnested and not "= any": a prepared plan that knows nothing of the ids would go through all of them for each row
    return [Recording.id.in_(select(func.unnest(ids))), *chosen]


def _regions(session: Session) -> tuple[list[Area], dict[str, frozenset[uuid.UUID]]]:
    """The regions by name, and for each one's code the areas within it."""
    tree = area_tree(session)
    regions = list(session.scalars(select(Area).where(Area.kind == AreaKind.REGION).order_by(Area.name)))
    return regions, {region.code: with_narrower([region.id], tree) for region in regions}


def listing(
    session: Session, actor: Actor, wish: Wish, sorting: Sorting, shown: Shown, *, after: str = "", before: str = ""
) -> tuple[Page[Recording], dict[str, list[Choice]]]:
    """A page of the recordings that the actor may view and that fit the wish, with their cases; and for each facet its
    values with counts over just these recordings. Always eight queries.

    Raises:
        Invalid: the cursor is none of ours.
    """
    now = clock.now()
    regions, areas = _regions(session)
    fitting = _fitting(session, actor, wish, shown, now)
    query = select(Recording).where(*_conditions(fitting, wish, areas)).options(joinedload(Recording.case))
    page = paging.read(session, query, Recording, sorting, after=after, before=before)
    return page, _facets(session, fitting, wish, regions, areas)


def _facets(
    session: Session,
    fitting: str,
    wish: Wish,
    regions: Sequence[Area],
    areas: Mapping[str, frozenset[uuid.UUID]],
) -> dict[str, list[Choice]]:
    """Each facet's values, counted as if nothing were chosen in that facet itself; what is chosen stays in sight."""

    def listed(facet: str) -> Any:
        return select(Recording.id, Recording.case_id, Recording.area_id, Recording.organisation_id).where(
            *_conditions(fitting, wish, areas, but=facet)
        )

    found: dict[str, list[Choice]] = {}
    themes = listed("theme").subquery()
    found["theme"] = _counted(
        session,
        select(recording_terms.c.term_id, themes.c.id).join(themes, themes.c.id == recording_terms.c.recording_id),
        TermKind.THEME,
    )
    origins = listed("origin").subquery()
    found["origin"] = _counted(
        session,
        select(Case.origin_id.label("term_id"), origins.c.id).join(origins, origins.c.case_id == Case.id),
        TermKind.ORIGIN,
    )
    jobs = listed("profession").subquery()
    found["profession"] = _counted(
        session,
        union(
            select(recording_terms.c.term_id, jobs.c.id).join(jobs, jobs.c.id == recording_terms.c.recording_id),
            select(case_terms.c.term_id, jobs.c.id).join(jobs, jobs.c.case_id == case_terms.c.case_id),
        ),
        TermKind.PROFESSION,
    )
    places = listed("region").subquery()
    placed = session.execute(
        select(func.coalesce(places.c.area_id, Organisation.area_id), func.count())
        .select_from(places)
        .outerjoin(Organisation, Organisation.id == places.c.organisation_id)
        .group_by(func.coalesce(places.c.area_id, Organisation.area_id))
    ).all()
    found["region"] = [
        Choice(region.code, region.name, sum(count for area_id, count in placed if area_id in areas[region.code]))
        for region in regions
    ]
    return {
        facet: [choice for choice in found[facet] if choice.count or choice.code in wish.chosen.get(facet, ())]
        for facet in FACETS
    }


def _counted(session: Session, pairs: Any, kind: TermKind) -> list[Choice]:
    """How many recordings each term of a kind has. `pairs` selects (term_id, id of a recording)."""
    tagged = pairs.subquery()
    rows = session.execute(
        select(Term.code, Term.name, func.count(tagged.c.id.distinct()))
        .outerjoin(tagged, tagged.c.term_id == Term.id)
        .where(Term.kind == kind)
        .group_by(Term.id)
        .order_by(Term.position, Term.name)
    )
    return [Choice(code, name, count) for code, name, count in rows]


def extras(session: Session, actor: Actor, recordings: Sequence[Recording], shown: Shown) -> Extras:
    """What a list shows of these recordings besides: three queries."""
    ids = [recording.id for recording in recordings]
    posters = session.scalars(
        select(Artefact.recording_id).where(Artefact.recording_id.in_(ids), Artefact.kind == ArtefactKind.POSTER)
    )
    unchecked = session.scalars(
        search.said(shown, CaptionTrack.recording_id)
        .where(CaptionTrack.recording_id.in_(ids), ~caption_showing.is_checked())
        .distinct()
    )
    positions = session.execute(
        select(WatchPosition.recording_id, WatchPosition.position_ms).where(
            WatchPosition.recording_id.in_(ids), WatchPosition.person_id == actor.person_id
        )
    )
    lengths = {recording.id: recording.duration_ms for recording in recordings}
    watched = {
        recording_id: position_ms / (lengths[recording_id] or position_ms)
        for recording_id, position_ms in positions
        if worth_resuming(position_ms, lengths[recording_id])
    }
    return Extras(frozenset(posters), frozenset(unchecked), watched)
