"""The library: what somebody may watch, found by words and by what it is about."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.cases import Case
from app.domain import library, paging, search
from app.web import captions_shown, cards, guard, links, listing

bp = Blueprint("library", __name__)


def _wish() -> library.Wish:
    """What the address asks for. Only those who make recordings can ask for drafts."""
    asked = request.args
    return library.Wish(
        words=search.cleaned(asked.get("q", "")),
        chosen={
            facet: tuple(dict.fromkeys(search.cleaned(code) for code in asked.getlist(facet)))
            for facet in library.FACETS
        },
        case_id=links.as_id(asked.get("case", "")),
        by_ear=asked.get("by_ear") == "yes",
        drafts=asked.get("drafts") == "yes" and policy.can(guard.actor(), Action.RECORDING_CREATE),
    )


def _kept(wish: library.Wish, sort: str) -> dict[str, Any]:
    """The wish as it stands in addresses."""
    kept: dict[str, Any] = {"q": wish.words, "case": wish.case_id, "drafts": "yes" if wish.drafts else "", "sort": sort}
    kept["by_ear"] = "yes" if wish.by_ear else ""
    kept |= {facet: list(codes) for facet, codes in wish.chosen.items()}
    return {name: value for name, value in kept.items() if value}


@bp.get("/library")
@listing.of(Action.RECORDING_VIEW)
def index() -> Any:
    """The list with its filters."""
    session, who, wish = db.session(), guard.actor(), _wish()
    shown = captions_shown.shown()
    sortings = library.sortings(wish.words, shown)
    sorting = paging.choose(sortings, request.args.get("sort"))
    page, facets = library.listing(
        session, who, wish, sorting, shown, after=request.args.get("after", ""), before=request.args.get("before", "")
    )
    hits = search.spoken(session, page.rows, wish.words, shown) if wish.words else {}
    kept = _kept(wish, sorting.name if sorting is not sortings[0] else "")
    case = None
    if wish.case_id is not None:
        case = session.scalar(policy.visible(who, Action.CASE_VIEW, clock.now()).where(Case.id == wish.case_id))
    return render_template(
        "pages/library/index.html",
        recordings=cards.cards(page.rows, library.extras(session, who, page.rows, shown), hits),
        wish=wish,
        case=case,
        groups=[
            {
                "name": facet,
                "legend": legend,
                "items": [
                    {
                        "value": choice.code,
                        "text": choice.name,
                        "count": choice.count,
                        "checked": choice.code in wish.chosen[facet],
                    }
                    for choice in facets[facet]
                ],
            }
            for facet, legend in library.FACETS.items()
            if facets[facet]
        ],
        sortings=sortings,
        sorting=sorting,
        kept=kept,
        newer=url_for("library.index", **kept, before=page.before) if page.before else "",
        older=url_for("library.index", **kept, after=page.after) if page.after else "",
        may_make=policy.can(who, Action.RECORDING_CREATE),
    )
