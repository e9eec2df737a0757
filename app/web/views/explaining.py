"""Explaining access: who can see a recording, and what a person can see."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, render_template, request, url_for

from app.access import Action
from app.db import db
from app.db.people import Person
from app.db.recordings import Recording
from app.domain import explaining, looks
from app.web import guard, rows

bp = Blueprint("explaining", __name__)


def _person_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@bp.get("/recordings/<uuid:recording_id>/access")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def who(recording: Recording) -> Any:
    """Who can see a recording: the rules in force, how many people each names, and the answer for one person.

    Somebody of whom the asker may not know is answered like somebody who does not exist.
    """
    session, asker = db.session(), guard.actor()
    words = request.args.get("q", "").strip()[:100]
    wanted = _person_id(request.args.get("person", ""))
    found = explaining.find_people(session, asker, words) if words else []
    person = explaining.find_person(session, asker, wanted) if wanted is not None else None
    if len(found) == 1 and wanted is None:
        person, found = found[0], []
    answer = explaining.answer(session, person, Action.RECORDING_VIEW, recording.id) if person is not None else None
    if person is not None:
        looks.why(session, asker, person, "recording", recording.id)
    return render_template(
        "pages/access/who.html",
        recording=recording,
        picture=explaining.picture(session, asker, recording, rows.place_name(recording)),
        words=words,
        found=found,
        person=person,
        answer=answer,
        nobody=person is None and not found and bool(words or request.args.get("person")),
    )


@bp.get("/people/<uuid:person_id>/access")
@guard.on(Action.PERSON_ADMINISTER, Person)
def what(person: Person) -> Any:
    """What a person can see, as far as the asker sees it too."""
    looks.why(db.session(), guard.actor(), person, "person", person.id)
    page = explaining.what(
        db.session(),
        guard.actor(),
        person,
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    address: dict[str, Any] = {"person_id": person.id}
    return render_template(
        "pages/access/what.html",
        person=person,
        seen=page.rows,
        older=url_for("explaining.what", after=page.after, **address) if page.after else "",
        newer=url_for("explaining.what", before=page.before, **address) if page.before else "",
    )
