"""Cases over the API."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request, url_for

from app.access import Action
from app.db import db
from app.db.cases import Case
from app.db.vocabulary import TermKind
from app.domain import cases, days, paging, places, vocabulary
from app.web import guard, links, listing
from app.web.api.pages import PAGING, page_size
from app.web.bodies import Body
from app.web.openapi import (
    BOOLEAN,
    DAY,
    PREFIX,
    STRING,
    URI,
    UUID,
    array,
    component,
    describe,
    nullable,
    one_of,
    paged,
    thing,
)

bp = Blueprint("api_cases", __name__, url_prefix=f"{PREFIX}/cases")
TAGS = ("cases",)

CASE = component(
    "Case",
    thing(
        {
            "id": UUID,
            "title": STRING,
            "summary": STRING,
            "content_notice": STRING,
            "origin": nullable(STRING),
            "themes": array(STRING),
            "professions": array(STRING),
            "status": one_of(*cases.STATUSES),
            "review_on": nullable(DAY),
            "reviewed_on": nullable(DAY),
            "place": STRING,
            "invented": BOOLEAN,
            "links": thing({"self": URI, "page": URI}),
        },
        note="`themes`, `professions` and `origin` are codes of the vocabulary.",
    ),
)
NEW_CASE = component(
    "NewCase",
    thing(
        {
            "title": STRING,
            "summary": STRING,
            "content_notice": STRING,
            "origin": STRING,
            "themes": array(STRING),
            "professions": array(STRING),
            "review_on": DAY,
            "glossary": array(STRING),
            "place": STRING,
        },
        optional=("summary", "content_notice", "origin", "professions", "review_on", "glossary", "place"),
        note="Words of the vocabulary by code or name. `place` is an area's code or name, an organisation's name, or "
        "all; without it, where the token's person is a facilitator or admin.",
    ),
)


def place_name(case: Case) -> str:
    """Where a case belongs, in words."""
    if case.area is not None:
        return case.area.name
    return case.organisation.name if case.organisation is not None else "All places"


def shape(case: Case) -> dict[str, Any]:
    """A case as the API shows it. Identifying names and the glossary stay with the makers' pages."""
    return {
        "id": str(case.id),
        "title": case.title,
        "summary": case.summary,
        "content_notice": case.content_notice,
        "origin": case.origin.code if case.origin is not None else None,
        "themes": [term.code for term in cases.themes_of(case)],
        "professions": [term.code for term in cases.professions_of(case)],
        "status": cases.status_of(case, days.today()),
        "review_on": case.review_on.isoformat() if case.review_on is not None else None,
        "reviewed_on": case.reviewed_on.isoformat() if case.reviewed_on is not None else None,
        "place": place_name(case),
        "invented": case.invented,
        "links": {
            "self": url_for("api_cases.show", case_id=case.id),
            "page": url_for("cases.show", case_id=case.id),
        },
    }


@bp.get("")
@listing.of(Action.CASE_VIEW)
@describe(
    "Cases that one may see",
    query={
        **PAGING,
        "theme": STRING,
        "status": one_of(*cases.STATUSES),
        "sort": one_of(*(s.name for s in cases.SORTINGS)),
    },
    responses={200: paged("Cases", CASE)},
    tags=TAGS,
)
def index() -> Any:
    """A page of cases."""
    themes, statuses, sort = request.args.getlist("theme"), request.args.getlist("status"), request.args.get("sort", "")
    page = cases.listing(
        db.session(),
        guard.actor(),
        cases.Filters(themes=themes, statuses=statuses),
        paging.choose(cases.SORTINGS, sort),
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
        size=page_size(),
    )
    beside = links.page_links("api_cases.index", page, theme=themes, status=statuses, sort=sort, limit=page_size())
    return jsonify({"items": [shape(case) for case in page.rows], "links": beside})


@bp.post("")
@guard.can(Action.CASE_CREATE)
@describe("Write a new case", request=NEW_CASE, responses={201: CASE}, tags=TAGS)
def create() -> Any:
    """A new case."""
    body = Body()
    session, who = db.session(), guard.actor()
    origin, place = body.text("origin", most=200), body.text("place", most=200)
    words = {name: body.texts(name) for name in ("themes", "professions", "glossary")}
    summary, content_notice = body.text("summary"), body.text("content_notice")
    title, review_on = body.text("title"), body.day("review_on")
    body.check()
    case = cases.create(
        session,
        who,
        cases.Content(
            title=title,
            summary=summary,
            content_notice=content_notice,
            origin=vocabulary.find_terms(session, TermKind.ORIGIN, [origin])[0] if origin else None,
            themes=vocabulary.find_terms(session, TermKind.THEME, words["themes"]),
            professions=vocabulary.find_terms(session, TermKind.PROFESSION, words["professions"]),
            review_on=review_on,
            glossary=words["glossary"],
            place=places.find_place(session, place) if place else places.home_of(session, who),
        ),
    )
    answer = jsonify(shape(case))
    answer.status_code = 201
    answer.headers["Location"] = url_for("api_cases.show", case_id=case.id)
    return answer


@bp.get("/<uuid:case_id>")
@guard.on(Action.CASE_VIEW, Case)
@describe("One case", responses={200: CASE}, tags=TAGS)
def show(case: Case) -> Any:
    """One case."""
    return jsonify(shape(case))
