"""Cases: the list, the page of one, and the forms that makers write them with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, TextAreaField
from wtforms.validators import DataRequired, Length

from app import clock
from app.access import Action, policy
from app.access.places import areas_within, organisations_within
from app.access.rules import MAKERS
from app.db import db
from app.db.cases import Case, CaseStatus
from app.db.vocabulary import TermKind
from app.domain import cases, days, paging, places, vocabulary
from app.web import guard, links, rows
from app.web.forms import Checkboxes, Day, Form, text_field

bp = Blueprint("cases", __name__, url_prefix="/cases")
REVIEW_AFTER = timedelta(days=365)


class CaseForm(Form):
    """What a maker writes of a case."""

    title = text_field("Title", most=200, required="Enter a title", hint="Nothing that tells who it was about.")
    summary = TextAreaField(
        "What happened",
        [Length(max=10_000, message="What happened must be 10,000 characters or fewer")],
        description="Anonymised: no names, dates or places by which anyone could be known.",
    )
    content_notice = TextAreaField(
        "Content note (optional)",
        [Length(max=1000, message="Content note must be 1,000 characters or fewer")],
        description="What people should know before they watch, for example racist language. It is shown first.",
    )
    origin = SelectField("Where the case comes from", choices=[])
    themes = Checkboxes("Themes", choices=[], description="Select all that apply.")
    professions = Checkboxes("Professions (optional)", choices=[])
    domains = Checkboxes("Framework domains (optional)", choices=[])
    review_on = Day("Review date (optional)", description="When somebody should look whether the case is still right.")
    glossary = TextAreaField(
        "Words that captions should spell right (optional)", description="One word or name of a drug or place a line."
    )
    identifying_names = TextAreaField(
        "Names that must never be said or shown (optional)",
        description="One a line. Only people who can edit this case see this list.",
    )
    place = SelectField("Who keeps this case", choices=[])


class ReviewForm(Form):
    """That the case was looked at."""

    review_on = Day("Next review date", [DataRequired("Enter the next review date")])


def _prepared(form: CaseForm, case: Case | None = None) -> CaseForm:
    """The form with the choices that this actor has."""
    session, who = db.session(), guard.actor()
    form.origin.choices = [("", "Not stated")] + [
        (term.code, term.name) for term in vocabulary.terms_of(session, TermKind.ORIGIN)
    ]
    form.themes.choices = _choices(session, TermKind.THEME, case)
    form.professions.choices = _choices(session, TermKind.PROFESSION, case)
    form.domains.choices = [
        (str(domain.id), f"{framework.title}: {domain.name}")
        for framework in vocabulary.frameworks(session)
        for domain in framework.domains
    ]
    cover = who.over(*MAKERS)
    form.place.choices = [("all", "All places")] if cover.everywhere else []
    form.place.choices += [(f"area:{area.id}", area.name) for area in areas_within(session, cover)]
    form.place.choices += [(f"organisation:{o.id}", o.name) for o in organisations_within(session, cover)]
    if case is not None:
        present = places.Place(case.area_id, case.organisation_id).code
        if present not in [code for code, _ in form.place.choices]:
            form.place.choices.insert(0, (present, rows.place_name(case)))
    return form


def _choices(session: Any, kind: TermKind, case: Case | None) -> list[tuple[str, str]]:
    terms = vocabulary.terms_of(session, kind)
    kept = [term for term in case.terms if term.kind is kind and term not in terms] if case is not None else []
    return [(term.code, term.name) for term in [*terms, *kept]]


def _content(form: CaseForm, case: Case | None = None) -> cases.Content:
    session = db.session()
    by_id = {str(domain.id): domain for framework in vocabulary.frameworks(session) for domain in framework.domains}
    own = {term.code: term for term in case.terms} if case is not None else {}

    def terms(kind: TermKind, codes: list[str]) -> list[Any]:
        held = [own[code] for code in codes if code in own and own[code].kind is kind]
        rest = [code for code in codes if code not in {term.code for term in held}]
        return held + vocabulary.find_terms(session, kind, rest)

    return cases.Content(
        title=form.title.data or "",
        summary=form.summary.data or "",
        content_notice=form.content_notice.data or "",
        origin=vocabulary.find_terms(session, TermKind.ORIGIN, [form.origin.data])[0] if form.origin.data else None,
        themes=terms(TermKind.THEME, form.themes.data or []),
        professions=terms(TermKind.PROFESSION, form.professions.data or []),
        domains=[by_id[word] for word in form.domains.data or []],
        review_on=form.review_on.data,
        glossary=(form.glossary.data or "").splitlines(),
        identifying_names=(form.identifying_names.data or "").splitlines(),
        place=places.place_from_code(form.place.data or ""),
    )


# -- pages ---------------------------------------------------------------------------------------------------------------


@bp.get("/")
@guard.can(Action.OWN_ACCOUNT)
def index() -> Any:
    """The cases that the actor may see."""
    session, who, asked = db.session(), guard.actor(), request.args
    chosen = {name: asked.getlist(name) for name in ("theme", "origin", "status", "place")}
    areas = cases.filter_areas(session)
    groups = [
        _group("theme", "Theme", [(t.code, t.name) for t in vocabulary.terms_of(session, TermKind.THEME)], chosen),
        _group("status", "Status", list(cases.STATUSES.items()), chosen),
        _group("origin", "Origin", [(t.code, t.name) for t in vocabulary.terms_of(session, TermKind.ORIGIN)], chosen),
        _group("place", "Place", [(area.code, area.name) for area in areas], chosen),
    ]
    sorting = paging.choose(cases.SORTINGS, asked.get("sort"))
    words = asked.get("q", "").replace("\x00", "")[:200].strip()
    page = cases.listing(
        session,
        who,
        cases.Filters(
            themes=chosen["theme"],
            origins=chosen["origin"],
            statuses=chosen["status"],
            areas=[str(area.id) for area in areas if area.code in chosen["place"]],
            words=words,
        ),
        sorting,
        after=asked.get("after", ""),
        before=asked.get("before", ""),
    )
    kept = {**chosen, "q": words, "sort": asked.get("sort", "")}
    today = days.today()
    return render_template(
        "pages/cases/index.html",
        cases=[_row(case, today) for case in page.rows],
        groups=groups,
        query=words,
        narrowed=any(chosen.values()) or bool(words),
        sortings=rows.sortings("cases.index", cases.SORTINGS, sorting, {**kept, "sort": ""}),
        sort=sorting.name,
        beside=links.page_links("cases.index", page, **kept),
        may_create=policy.can(who, Action.CASE_CREATE),
    )


def _group(name: str, legend: str, options: list[tuple[str, str]], chosen: dict[str, list[str]]) -> dict[str, Any]:
    items = [{"value": value, "text": text, "checked": value in chosen[name]} for value, text in options]
    return {"name": name, "legend": legend, "items": items}


def _row(case: Case, today: Any) -> dict[str, Any]:
    return {
        "title": case.title,
        "href": url_for("cases.show", case_id=case.id),
        "status": cases.status_of(case, today),
        "themes": [term.name for term in cases.themes_of(case)],
        "origin": case.origin.name if case.origin is not None else "",
        "place": rows.place_name(case),
        "review_on": case.review_on,
        "invented": case.invented,
    }


@bp.route("/new", methods=["GET", "POST"])
@guard.can(Action.CASE_CREATE)
def new() -> Any:
    """Write a new case."""
    session, who = db.session(), guard.actor()
    form = _prepared(CaseForm())
    if request.method == "POST":
        case = form.attempt(lambda: cases.create(session, who, _content(form)))
        if case is not None:
            flash("The case has been saved. You can add a recording now.", "success")
            return redirect(url_for("cases.show", case_id=case.id))
    else:
        form.place.data = places.home_of(session, who).code
        form.review_on.data = days.today() + REVIEW_AFTER
    errors = form.sentences()
    return render_template("pages/cases/edit.html", form=form, errors=errors, case=None), 400 if errors else 200


@bp.get("/<uuid:case_id>")
@guard.on(Action.CASE_VIEW, Case)
def show(case: Case) -> Any:
    """One case."""
    return _show(case, ReviewForm())


def _show(case: Case, form: ReviewForm) -> Any:
    session, who, now = db.session(), guard.actor(), clock.now()
    may_edit = policy.allows(session, who, Action.CASE_EDIT, case.id, now)
    found = cases.recordings_of(session, who, case)
    if not form.is_submitted():
        form.review_on.data = days.today() + REVIEW_AFTER
    errors = form.sentences()
    page = render_template(
        "pages/cases/show.html",
        case=case,
        status=cases.status_of(case, days.today()),
        place=rows.place_name(case),
        themes=cases.themes_of(case),
        professions=cases.professions_of(case),
        recordings=rows.of_recordings(session, found),
        related=[_row(other, days.today()) for other in cases.related(session, who, case)],
        may_edit=may_edit,
        may_share=policy.allows(session, who, Action.CASE_SHARE, case.id, now),
        may_record=policy.allows(session, who, Action.CASE_RECORD, case.id, now),
        retired=case.status is CaseStatus.RETIRED,
        form=form,
        errors=errors,
    )
    return page, 400 if errors else 200


@bp.route("/<uuid:case_id>/edit", methods=["GET", "POST"])
@guard.on(Action.CASE_EDIT, Case)
def edit(case: Case) -> Any:
    """Change a case."""
    session, who = db.session(), guard.actor()
    form = _prepared(CaseForm(), case)
    if request.method == "POST":

        def act() -> bool:
            cases.edit(session, who, case, _content(form, case))
            return True

        if form.attempt(act):
            flash("The case has been saved.", "success")
            return redirect(url_for("cases.show", case_id=case.id))
    else:
        _fill(form, case)
    errors = form.sentences()
    return render_template("pages/cases/edit.html", form=form, errors=errors, case=case), 400 if errors else 200


def _fill(form: CaseForm, case: Case) -> None:
    form.title.data, form.summary.data, form.content_notice.data = case.title, case.summary, case.content_notice
    form.origin.data = case.origin.code if case.origin is not None else ""
    form.themes.data = [term.code for term in cases.themes_of(case)]
    form.professions.data = [term.code for term in cases.professions_of(case)]
    form.domains.data = [str(domain.id) for domain in case.domains]
    form.review_on.data = case.review_on
    form.glossary.data, form.identifying_names.data = "\n".join(case.glossary), "\n".join(case.identifying_names)
    form.place.data = places.Place(case.area_id, case.organisation_id).code


# -- keeping it under review ---------------------------------------------------------------------------------------------


@bp.post("/<uuid:case_id>/review")
@guard.on(Action.CASE_EDIT, Case)
def review(case: Case) -> Any:
    """Note that the case was looked at and is still right."""
    form = ReviewForm()

    def act() -> bool:
        cases.review(db.session(), guard.actor(), case, next_on=form.review_on.data or days.today())
        return True

    if form.attempt(act) is None:
        return _show(case, form)
    flash("The review has been noted.", "success")
    return redirect(url_for("cases.show", case_id=case.id))


@bp.post("/<uuid:case_id>/retire")
@guard.on(Action.CASE_EDIT, Case)
def retire(case: Case) -> Any:
    """Take the case out of training."""
    cases.retire(db.session(), guard.actor(), case)
    flash(
        "The case is retired. Its recordings are no longer shown to their audiences. You can bring it back.", "success"
    )
    return redirect(url_for("cases.show", case_id=case.id))


@bp.post("/<uuid:case_id>/reinstate")
@guard.on(Action.CASE_EDIT, Case)
def reinstate(case: Case) -> Any:
    """Bring a retired case back."""
    cases.reinstate(db.session(), guard.actor(), case)
    flash("The case is live again.", "success")
    return redirect(url_for("cases.show", case_id=case.id))
