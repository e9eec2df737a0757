"""Who sees a recording: its grants, publishing, and the link to give to people."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from wtforms import SelectField, StringField
from wtforms.validators import Length

from app import clock
from app.access import Action
from app.db import db
from app.db.grants import Grant
from app.db.recordings import Recording
from app.domain import grants, people, recordings
from app.errors import Conflict, Invalid, NotFound
from app.web import guard, rows
from app.web.forms import Day, Form, text_field

bp = Blueprint("share", __name__, url_prefix="/recordings/<uuid:recording_id>/share")


class GrantForm(Form):
    """One more audience."""

    to = SelectField("Share with", choices=[], validate_choice=False)
    email = StringField(
        "Or with one person, by email address",
        [Length(max=320)],
        description="Somebody who has an account in the places where you are a facilitator or admin.",
        filters=[lambda value: value.strip() if value else ""],
    )
    starts = Day("First day (optional)", description="Leave empty to begin now.")
    until = Day("Last day (optional)", description="The whole of this day counts. Leave empty for no end.")
    reason = text_field("Why (optional)", most=grants.MOST_REASON, hint="Shown here and to those who keep the records.")


def _page(recording: Recording, form: GrantForm) -> Any:
    session, now = db.session(), clock.now()
    form.to.choices = [("", "Choose a place or group"), *grants.choices(session, guard.actor())]
    errors = form.sentences()
    page = render_template(
        "pages/share/show.html",
        recording=recording,
        state=recordings.standing(recording),
        place=rows.place_name(recording),
        grants=[_row(grant, now) for grant in grants.current(session, recording)],
        ended=[
            {**_row(grant, now), "again": grant.ends_at is None or grant.ends_at > now}
            for grant in grants.ended(session, recording)
        ],
        missing=grants.missing_for_publishing(session, recording),
        address=guard.core().settings.base_url + url_for("watch.show", recording_id=recording.id),
        form=form,
        errors=errors,
    )
    return page, 400 if errors else 200


def _row(grant: Grant, now: Any) -> dict[str, Any]:
    first, last = grants.when(grant, now)
    name = grant.audience_name
    return {
        "id": grant.id,
        "audience": name[:1].upper() + name[1:],
        "first": first,
        "last": last,
        "reason": grant.reason,
        "revoked_at": grant.revoked_at,
    }


def _back(recording: Recording) -> Any:
    return redirect(url_for("share.show", recording_id=recording.id))


@bp.get("")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def show(recording: Recording) -> Any:
    """Who sees it now, and what can be changed about that."""
    return _page(recording, GrantForm(formdata=None))


@bp.post("")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def give(recording: Recording) -> Any:
    """Share with one more audience."""
    session, who = db.session(), guard.actor()
    form = GrantForm()

    def act() -> Grant:
        if bool(form.to.data) == bool(form.email.data):
            sentence = "Choose a place or group, or enter one email address"
            raise Invalid(sentence, fields={"to": sentence})
        try:
            if form.email.data:
                people.check_email(form.email.data)
            wanted = form.to.data or f"user:{form.email.data}"
            audience = grants.find_audience(session, who, wanted)
        except Invalid as error:
            field = "email" if form.email.data else "to"
            raise Invalid(str(error), fields={field: str(error)}) from None
        return grants.give(
            session, who, recording, audience, from_day=form.starts.data, until_day=form.until.data,
            reason=form.reason.data or "",
        )  # fmt: skip

    given = form.attempt(act)
    if given is None:
        return _page(recording, form)
    name = given.audience_name
    flash(
        f"Shared with {name}." if recording.published_at else f"Will be shared with {name} once published.", "success"
    )
    return _back(recording)


def _grant(recording: Recording, grant_id: uuid.UUID) -> Grant:
    found = grants.find(db.session(), recording, grant_id)
    if found is None:
        raise NotFound
    return found


@bp.post("/<uuid:grant_id>/revoke")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def revoke(recording: Recording, grant_id: uuid.UUID) -> Any:
    """Stop sharing with an audience."""
    grant = _grant(recording, grant_id)
    grants.revoke(db.session(), guard.actor(), grant)
    flash(f"No longer shared with {grant.audience_name}. You can undo this below.", "success")
    return _back(recording)


@bp.post("/<uuid:grant_id>/again")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def again(recording: Recording, grant_id: uuid.UUID) -> Any:
    """Undo that."""
    try:
        grant = grants.again(db.session(), guard.actor(), _grant(recording, grant_id))
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(f"Shared with {grant.audience_name} again.", "success")
    return _back(recording)


@bp.post("/publish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def publish(recording: Recording) -> Any:
    """Open the recording to its audience."""
    grants.publish(db.session(), guard.actor(), recording)
    flash("The recording is published. The people below can watch it now.", "success")
    return _back(recording)


@bp.post("/unpublish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def unpublish(recording: Recording) -> Any:
    """Close it again."""
    grants.unpublish(db.session(), guard.actor(), recording)
    flash(
        "The recording is no longer published. Whom it is shared with is kept for when you publish it again.", "success"
    )
    return _back(recording)
