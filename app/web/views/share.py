"""Who sees a recording: its grants and those of its case, codes to ask with, publishing, and the link to give to people."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.grants import Grant
from app.db.recordings import Recording
from app.domain import access_requests, caption_reviews, grants, looks, recordings
from app.errors import Conflict, Invalid, NotFound
from app.web import captions_shown, guard, rows, sharing

bp = Blueprint("share", __name__, url_prefix="/recordings/<uuid:recording_id>/share")


def _page(recording: Recording, form: sharing.GrantForm, code: str = "") -> Any:
    session, who, now = db.session(), guard.actor(), clock.now()
    form.fill(who)
    errors = form.sentences()
    may_share_case = policy.allows(session, who, Action.CASE_SHARE, recording.case_id, now)
    page = render_template(
        "pages/share/show.html",
        recording=recording,
        state=recordings.standing(recording),
        place=rows.place_name(recording),
        **sharing.lists(recording, now),
        by_case=[sharing.row(grant, now) for grant in grants.current(session, recording.case)],
        case_share=url_for("case_share.show", case_id=recording.case_id) if may_share_case else "",
        missing=grants.missing_for_publishing(session, recording),
        uncaptioned=caption_reviews.why_not_captioned(
            session, recording, unchecked_shown=captions_shown.unchecked_are_shown()
        ),
        address=guard.core().settings.base_url + url_for("watch.show", recording_id=recording.id),
        codes=access_requests.codes(session, recording),
        code=code,
        code_address=guard.core().settings.base_url + url_for("requests.ask"),
        form=form,
        errors=errors,
    )
    return page, 400 if errors else 200


def _back(recording: Recording) -> Any:
    return redirect(url_for("share.show", recording_id=recording.id))


@bp.get("")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def show(recording: Recording) -> Any:
    """Who sees it now, and what can be changed about that."""
    looks.at_sharing(db.session(), guard.actor(), recording)
    return _page(recording, sharing.GrantForm(formdata=None))


@bp.post("")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def give(recording: Recording) -> Any:
    """Share with one more audience."""
    form = sharing.GrantForm()
    given = form.give(guard.actor(), recording)
    if given is None:
        return _page(recording, form)
    flash(sharing.said(given, clock.now(), published=recording.published_at is not None), "success")
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
    """Undo that, or begin anew with a last day."""
    try:
        grant = grants.again(db.session(), guard.actor(), _grant(recording, grant_id), sharing.UntilForm().until.data)
    except Invalid as error:
        raise Conflict(str(error)) from None
    flash(sharing.said(grant, clock.now(), published=recording.published_at is not None), "success")
    return _back(recording)


# -- codes with which people ask -----------------------------------------------------------------------------------------


@bp.post("/codes")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def make_code(recording: Recording) -> Any:
    """Make a code and show it, this once."""
    try:
        code = access_requests.make_code(db.session(), guard.actor(), recording)
    except Invalid as error:
        raise Conflict(str(error)) from None
    return _page(recording, sharing.GrantForm(formdata=None), code)


@bp.post("/codes/<uuid:code_id>/revoke")
@guard.on(Action.RECORDING_PUBLISH, Recording)
def revoke_code(recording: Recording, code_id: uuid.UUID) -> Any:
    """Stop a code: nobody can ask with it any more."""
    code = access_requests.find_code(db.session(), recording, code_id)
    if code is None:
        raise NotFound
    access_requests.revoke_code(db.session(), guard.actor(), code)
    flash("Nobody can ask with that code any more. Requests that were made stay.", "success")
    return _back(recording)


# -- publishing ----------------------------------------------------------------------------------------------------------


@bp.post("/publish")
@guard.on(Action.RECORDING_PUBLISH, Recording, lock=True)
def publish(recording: Recording) -> Any:
    """Open the recording to its audience. Without captions only where the form says that this is known."""
    grants.publish(
        db.session(),
        guard.actor(),
        recording,
        without_captions=request.form.get("without_captions") == "yes",
        unchecked_shown=captions_shown.unchecked_are_shown(),
    )
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
