"""Cases: writing them, keeping them under review, retiring them, and finding them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Select, and_, func, literal, not_, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app import clock
from app.access import Action, Actor, Coverage, policy
from app.access.actor import area_tree, with_narrower
from app.access.rules import placed_in
from app.db.cases import Case, CaseStatus, case_terms
from app.db.places import Area, AreaKind
from app.db.recordings import Recording
from app.db.vocabulary import FrameworkDomain, Term, TermKind
from app.domain import audit, days, paging
from app.domain.paging import Page, Sorting
from app.domain.places import Place, check_may_place
from app.errors import Conflict, Invalid

NEVER = date(9999, 12, 31)
MOST_WORDS = 200
WORD_LENGTH = 100

SORTINGS = (
    Sorting("newest", "Newest first", Case.created_at, descending=True),
    Sorting("title", "Title", func.lower(Case.title)),
    Sorting("review", "Review date", func.coalesce(Case.review_on, literal(NEVER))),
)
STATUSES = {"live": "Live", "review_due": "Review due", "retired": "Retired"}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a person writes of a case."""

    title: str
    summary: str = ""
    content_notice: str = ""
    origin: Term | None = None
    themes: Sequence[Term] = ()
    professions: Sequence[Term] = ()
    domains: Sequence[FrameworkDomain] = ()
    review_on: date | None = None
    glossary: Sequence[str] = ()
    identifying_names: Sequence[str] = ()
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class Filters:
    """What a list of cases is narrowed to; empty is no narrowing."""

    themes: Sequence[str] = ()
    origins: Sequence[str] = ()
    statuses: Sequence[str] = ()
    areas: Sequence[str] = ()
    words: str = ""


def status_of(case: Case, today: date) -> str:
    """`live`, `review_due` or `retired`; one of `STATUSES`."""
    if case.status is CaseStatus.RETIRED:
        return "retired"
    return "review_due" if case.review_on is not None and case.review_on <= today else "live"


def themes_of(case: Case) -> list[Term]:
    """The themes among a case's terms."""
    return [term for term in case.terms if term.kind is TermKind.THEME]


def professions_of(case: Case) -> list[Term]:
    """The professions among a case's terms."""
    return [term for term in case.terms if term.kind is TermKind.PROFESSION]


# -- changing ------------------------------------------------------------------------------------------------------------


def _checked_words(words: Sequence[str], field_name: str) -> list[str]:
    kept = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    if len(kept) > MOST_WORDS or any(len(word) > WORD_LENGTH for word in kept):
        sentence = f"Enter at most {MOST_WORDS} lines of at most {WORD_LENGTH} characters each"
        raise Invalid(sentence, fields={field_name: sentence})
    return kept


def _write(session: Session, actor: Actor, case: Case, content: Content) -> list[str]:
    title = content.title.strip()
    if not title or len(title) > 200:
        sentence = "Title must be 200 characters or fewer" if title else "Enter a title"
        raise Invalid(sentence, fields={"title": sentence})
    if not content.themes:
        raise Invalid("Select at least one theme", fields={"themes": "Select at least one theme"})
    if content.place != Place(case.area_id, case.organisation_id) or case.created_at is None:
        check_may_place(session, actor, content.place)
    others = [term for term in case.terms if term.kind not in (TermKind.THEME, TermKind.PROFESSION)]
    values: dict[str, Any] = {
        "title": title,
        "summary": content.summary.strip(),
        "content_notice": content.content_notice.strip(),
        "origin_id": content.origin.id if content.origin is not None else None,
        "review_on": content.review_on,
        "glossary": _checked_words(content.glossary, "glossary"),
        "identifying_names": _checked_words(content.identifying_names, "identifying_names"),
        **content.place.columns(),
    }
    changed = [name for name, value in values.items() if getattr(case, name) != value]
    for name in changed:
        setattr(case, name, values[name])
    terms = [*content.themes, *content.professions, *others]
    if {term.id for term in case.terms} != {term.id for term in terms}:
        case.terms = terms
        changed.append("terms")
    if {domain.id for domain in case.domains} != {domain.id for domain in content.domains}:
        case.domains = list(content.domains)
        changed.append("domains")
    return sorted(changed)


def create(session: Session, actor: Actor, content: Content) -> Case:
    """A new live case.

    Raises:
        Forbidden: the actor is no facilitator or admin.
        Invalid: the content is not complete, or the place is not theirs.
    """
    policy.require_capability(actor, Action.CASE_CREATE)
    case = Case(created_by_id=actor.person_id, glossary=[], identifying_names=[])
    _write(session, actor, case, content)
    session.add(case)
    session.flush()
    audit.record(session, actor, "case:create", "case", case.id)
    return case


def edit(session: Session, actor: Actor, case: Case, content: Content) -> None:
    """Change a case. The caller has checked that the actor may edit it.

    Raises:
        Invalid: the content is not complete, or the new place is not theirs.
    """
    changed = _write(session, actor, case, content)
    session.flush()
    if changed:
        audit.record(session, actor, "case:edit", "case", case.id, fields=changed)


def review(session: Session, actor: Actor, case: Case, *, next_on: date) -> None:
    """Note that somebody has looked whether the case is still right for training, and when to look again.

    Raises:
        Conflict: it is retired.
        Invalid: the next review is not in the future.
    """
    if case.status is CaseStatus.RETIRED:
        raise Conflict("This case is retired. Bring it back before you review it.")
    if next_on <= days.today():
        sentence = "The next review date must be in the future"
        raise Invalid(sentence, fields={"review_on": sentence})
    case.reviewed_on, case.review_on = days.today(), next_on
    audit.record(session, actor, "case:review", "case", case.id, next_on=next_on.isoformat())


def retire(session: Session, actor: Actor, case: Case) -> None:
    """Take a case out of training: its recordings stay with their makers and nobody else can watch them."""
    if case.status is not CaseStatus.RETIRED:
        case.status, case.retired_at = CaseStatus.RETIRED, clock.now()
        audit.record(session, actor, "case:retire", "case", case.id)


def reinstate(session: Session, actor: Actor, case: Case) -> None:
    """Bring a retired case back; what was shared is shared again."""
    if case.status is CaseStatus.RETIRED:
        case.status, case.retired_at = CaseStatus.LIVE, None
        audit.record(session, actor, "case:reinstate", "case", case.id)


# -- finding -------------------------------------------------------------------------------------------------------------


def _with_lists(query: Select[Any]) -> Select[Any]:
    return query.options(
        selectinload(Case.terms), joinedload(Case.origin), joinedload(Case.area), joinedload(Case.organisation)
    )


def _narrowed(session: Session, query: Select[Any], filters: Filters) -> Select[Any]:
    if filters.themes:
        wanted = select(case_terms.c.case_id).join(Term).where(
            Term.kind == TermKind.THEME, Term.code.in_(filters.themes)
        )  # fmt: skip
        query = query.where(Case.id.in_(wanted))
    if filters.origins:
        origins = select(Term.id).where(Term.kind == TermKind.ORIGIN, Term.code.in_(filters.origins))
        query = query.where(Case.origin_id.in_(origins))
    if filters.statuses:
        due = and_(Case.review_on.is_not(None), Case.review_on <= days.today())
        live = Case.status == CaseStatus.LIVE
        meaning = {
            "live": and_(live, not_(func.coalesce(due, False))),
            "review_due": and_(live, due),
            "retired": Case.status == CaseStatus.RETIRED,
        }
        query = query.where(or_(*(meaning[word] for word in filters.statuses if word in meaning)))
    if filters.areas:
        ids = [uuid.UUID(word) for word in filters.areas]
        within = with_narrower(ids, area_tree(session))
        query = query.where(placed_in(Coverage(area_ids=within), Case.area_id, Case.organisation_id))
    if filters.words:
        pattern = "%" + filters.words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = query.where(or_(Case.title.ilike(pattern), Case.summary.ilike(pattern)))
    return query


def filter_areas(session: Session) -> list[Area]:
    """The areas by which a list of cases is filtered: countries, then regions."""
    wide = (AreaKind.COUNTRY, AreaKind.REGION)
    return list(session.scalars(select(Area).where(Area.kind.in_(wide)).order_by(Area.kind, Area.name)))


def listing(
    session: Session, actor: Actor, filters: Filters, sorting: Sorting, *, after: str = "", before: str = "",
    size: int = paging.PAGE,
) -> Page[Case]:  # fmt: skip
    """A page of the cases that the actor may see."""
    query = _narrowed(session, _with_lists(policy.visible(actor, Action.CASE_VIEW, clock.now())), filters)
    return paging.read(session, query, Case, sorting, after=after, before=before, size=size)


def recordings_of(session: Session, actor: Actor, case: Case, limit: int = 100) -> list[Recording]:
    """The newest recordings of a case that the actor may watch."""
    query = policy.visible(actor, Action.RECORDING_VIEW, clock.now()).where(Recording.case_id == case.id)
    return list(session.scalars(query.order_by(Recording.created_at.desc()).limit(limit)))


def related(session: Session, actor: Actor, case: Case, limit: int = 5) -> list[Case]:
    """Other live cases that the actor may see and that share themes, those with most in common first."""
    theme_ids = [term.id for term in themes_of(case)]
    shared = (
        select(case_terms.c.case_id, func.count().label("common"))
        .where(case_terms.c.term_id.in_(theme_ids), case_terms.c.case_id != case.id)
        .group_by(case_terms.c.case_id)
        .subquery()
    )
    query = (
        policy.visible(actor, Action.CASE_VIEW, clock.now())
        .join(shared, shared.c.case_id == Case.id)
        .where(Case.status == CaseStatus.LIVE)
        .options(selectinload(Case.terms))
        .order_by(shared.c.common.desc(), func.lower(Case.title), Case.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def recordable(session: Session, actor: Actor) -> list[Case]:
    """The cases to which the actor may add a recording, by title, for a list to choose from."""
    query = policy.visible(actor, Action.CASE_RECORD, clock.now()).options(selectinload(Case.terms))
    return list(session.scalars(query.order_by(func.lower(Case.title), Case.id)))
