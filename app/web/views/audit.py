"""The audit for those who keep it: who did or saw what, from where and why. Looking at it is written down too."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from wtforms import SelectField

from app import clock
from app.access import Action
from app.db import db
from app.domain import audit_log
from app.domain.audit_log import Filters
from app.domain.audit_sentences import SENTENCES
from app.errors import Invalid
from app.web import guard
from app.web.forms import Day, Form, text_field

bp = Blueprint("audit", __name__, url_prefix="/audit")
NAMES = ("person", "action", "subject", "id", "from", "until")


class FilterForm(Form):
    """What the list is narrowed to, as it stands in the address."""

    person = text_field("Person", most=320, hint="Their email address")
    action = SelectField(
        "What they did",
        validate_choice=False,
        choices=[("", "Anything"), *((k, v.capitalize()) for k, v in SENTENCES.items())],
    )
    subject = text_field("Thing", most=100, hint="recording, case, person, group… or with its id: recording:ID")
    id = text_field("Id", most=100, hint="Of a request, an event, a person or a thing")
    until = Day("Last day")

    @property
    def filters(self) -> Filters:
        """The same for the domain."""
        return Filters(
            person=self.person.data or "",
            action=self.action.data or "",
            subject=self.subject.data or "",
            id=self.id.data or "",
            from_day=self["from"].data,
            until_day=self.until.data,
        )


# `from` is the word in the address and no word for an attribute
setattr(FilterForm, "from", Day("First day"))


def cursor(name: str) -> int | None:
    """A number from the address at which a page goes on.

    Raises:
        Invalid: it is none.
    """
    text = request.args.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise Invalid("This page of the list does not exist. Go back to its first page.")
    return int(text)


@bp.get("")
@guard.can(Action.AUDIT_VIEW)
def index() -> Any:
    """The events that the actor may read, the latest first."""
    session, who = db.session(), guard.actor()
    form = FilterForm(formdata=request.args)
    kept: dict[str, Any] = {name: request.args[name] for name in NAMES if request.args.get(name)}

    def read() -> audit_log.Page:
        return audit_log.search(session, who, form.filters, older=cursor("older"), newer=cursor("newer"))

    page = form.attempt(read)
    if page is not None:
        audit_log.look(session, who, form.filters)
    errors = form.sentences()
    body = render_template(
        "pages/audit/index.html",
        form=form,
        errors=errors,
        lines=page.lines if page else [],
        kept=kept,
        newer=url_for("audit.index", newer=page.newer, **kept) if page and page.newer is not None else "",
        older=url_for("audit.index", older=page.older, **kept) if page and page.older is not None else "",
    )
    return body, 400 if errors else 200


@bp.get("/export.<any(csv, jsonl):kind>")
@guard.can(Action.AUDIT_VIEW)
def export(kind: str) -> Response:
    """The same events, all of them, as a file that is written while it is sent."""
    form = FilterForm(formdata=request.args)
    if not form.validate():
        raise Invalid(next(iter(form.sentences().values())))
    rows = audit_log.export(db.session(), guard.actor(), form.filters, kind)
    name = f"audit-{clock.now():%Y-%m-%d}.{kind}"
    return Response(
        stream_with_context(rows),
        content_type=audit_log.FORMATS[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
