"""Bulk invitations: a file is looked at first, and done only when its outcome was seen."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

from flask import Blueprint, render_template, request
from wtforms import FileField

from app.access import Action
from app.db import db
from app.domain import imports, mail, spreadsheets
from app.domain.imports import AFTER, BEFORE, Kind, Report
from app.errors import Conflict, Invalid, TooLarge
from app.web import guard
from app.web.forms import Form

bp = Blueprint("imports", __name__, url_prefix="/people/import")
#: The file goes to the page and back packed; with the rest of the form it must fit into a request.
MOST_PACKED = 900_000
CHANGED = "The file is not the one that you looked at. Choose it again."


class FileForm(Form):
    """A CSV file."""

    file = FileField(
        "CSV file",
        description="At most 1 MB and 2,000 rows. The first row names the columns: email, name, organisation, role, "
        "area, group, until.",
    )


def _packed(data: bytes) -> str:
    packed = base64.urlsafe_b64encode(zlib.compress(data, 9)).decode()
    if len(packed) > MOST_PACKED:
        raise TooLarge("The selected file is too large to be looked at in one go. Split it into two.")
    return packed


def _unpacked(text: str, digest: str) -> bytes:
    """The file that a page carried, if it is the one whose digest the page shows."""
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.urlsafe_b64decode(text), imports.MOST_BYTES + 1)
    except (ValueError, zlib.error):
        raise Conflict(CHANGED) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise Conflict(CHANGED)
    return data


def _as_csv(report: Report, words: dict[Kind, str]) -> str:
    """The outcomes as an address that a browser saves as a file, so that nothing is kept on the server for it."""
    rows = [(o.line, o.email, words[o.kind], o.detail) for o in report.outcomes]
    body = spreadsheets.write(("line", "email", "outcome", "detail"), rows)
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(body).decode()


def _report(report: Report, words: dict[Kind, str], **more: Any) -> str:
    return render_template(
        "pages/people/import_report.html",
        report=report,
        words=words,
        counts=[(words[kind], report.count(kind)) for kind in Kind if report.count(kind)],
        todo=report.count(Kind.INVITE, Kind.ROLE, Kind.CHANGE),
        csv=_as_csv(report, words),
        can_mail=mail.is_set_up(guard.core().settings),
        **more,
    )


@bp.route("/", methods=["GET", "POST"])
@guard.can(Action.PEOPLE_ADMINISTER)
def check() -> Any:
    """Choose a file, and see what each of its rows would do. Writes nothing."""
    form = FileForm()
    if request.method == "POST":

        def act() -> str:
            chosen = request.files.get("file")
            data = chosen.read(imports.MOST_BYTES + 1) if chosen is not None else b""
            if not data:
                raise Invalid("Select a CSV file", fields={"file": "Select a CSV file"})
            try:
                report = imports.dry_run(db.session(), guard.actor(), imports.parse(data))
                return _report(
                    report, BEFORE, packed=_packed(data), digest=hashlib.sha256(data).hexdigest(), done=False
                )
            except Invalid as error:
                raise Invalid(str(error), fields={"file": str(error)}) from None

        page = form.attempt(act)
        if page is not None:
            return page
    errors = form.sentences()
    return render_template("pages/people/import.html", form=form, errors=errors), 400 if errors else 200


@bp.post("/confirm")
@guard.can(Action.PEOPLE_ADMINISTER)
def confirm() -> Any:
    """Do what can be done of the file that was looked at, all in one transaction."""
    session, who = db.session(), guard.actor()
    digest = request.form.get("digest", "")
    data = _unpacked(request.form.get("packed", ""), digest)
    report = imports.carry_out(session, who, imports.parse(data), digest=digest)
    imports.invite(session, guard.core().settings, who, report)
    return _report(report, AFTER, done=True)
